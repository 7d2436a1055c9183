"""Settings as the command line's `--key=value`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import yaml

from mml.config.arguments import add_device, device_settings, is_setting, split_names

Settings = dict[str, object]


def flat(settings: Mapping[str, object], prefix: str = "") -> Settings:
    """Nested settings with dotted keys."""
    found: Settings = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def as_arguments(settings: Mapping[str, object]) -> list[str]:
    """`--key=value` of settings, whose keys may have dots."""
    return [f"--{key}={as_yaml(value)}" for key, value in flat(settings).items()]


def as_yaml(value: object) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("...").strip()


def own_and_settings(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """A command's own options, the config files, and the `--key=value` for the config.

    The latter may hold blanks, as in "--topk=[5, 10]", which argparse would take for what stands alone.

    Args:
        parser: of the own options, `--config_files` and `--device` among them, which are added here.
        arguments: of the command line.
    """
    parser.add_argument(
        "--config_files", nargs="*", action="extend", default=[], help="YAML files, separated by spaces or commas"
    )
    add_device(parser)
    own = {option for action in parser._actions for option in action.option_strings}
    settings = [one for one in arguments if is_setting(one) and one.partition("=")[0] not in own]
    options, rest = parser.parse_known_args([one for one in arguments if one not in settings])
    settings += rest
    settings += device_settings(options)
    return options, [name for text in options.config_files for name in split_names(text)], settings
