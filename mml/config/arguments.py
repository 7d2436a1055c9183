"""The arguments that the commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_OPTIONS = ("config_files", "dataset", "gpu_id", "help")


def common_arguments(
    arguments: Sequence[str], description: str, positional: Mapping[str, str] | None = None, epilog: str | None = None
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Options, config files, and the `--key=value` arguments for the Config.

    Args:
        arguments: of the command line.
        description: of the command.
        positional: name -> help of what comes first.
        epilog: what the help ends with.
    """
    parser = argparse.ArgumentParser(description=description, epilog=epilog, allow_abbrev=False)
    for name, text in (positional or {}).items():
        parser.add_argument(name, help=text)
    parser.add_argument("--dataset", default="ml-100k", help="a folder below data_path (default: ml-100k)")
    parser.add_argument(
        "--config_files", nargs="*", action="extend", default=[], help="YAML files, separated by spaces or commas"
    )
    parser.add_argument("--gpu_id", default=None, help="the GPU to use; the CPU serves where there is none")
    settings = [one for one in arguments if is_setting(one)]  # argparse takes one with a space in it for a file
    known, rest = parser.parse_known_args([one for one in arguments if not is_setting(one)])
    files = [name for text in known.config_files for name in split_names(text)]
    rest = [*settings, *rest]
    if known.gpu_id is not None:
        rest.append(f"--gpu_id={known.gpu_id}")
    return known, files, rest


def is_setting(argument: str) -> bool:
    """Whether an argument is `--key=value` for the Config, not an option of a command."""
    match = re.match(r"--([A-Za-z_][\w.\-]*)=", argument)
    return match is not None and match[1] not in _OPTIONS


def split_names(text: str) -> list[str]:
    """Names separated by spaces or commas; the name of a file that has some itself is one."""
    return [text] if Path(text).is_file() else [name for name in re.split(r"[\s,]+", text) if name]


def named_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with a dataset that is named first, as in `mml train shop`, given by its option."""
    given = list(arguments)
    return ["--dataset", *given] if given and not given[0].startswith("-") else given
