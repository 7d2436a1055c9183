"""The arguments that the commands share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mml.command_line import CommandParser
from mml.errors import InputError

_OPTIONS = ("config_files", "dataset", "device", "gpu_id", "help")


def common_arguments(
    arguments: Sequence[str],
    description: str,
    positional: Mapping[str, str] | None = None,
    epilog: str | None = None,
    command: str | None = None,
    takes_dataset: bool = True,
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Options, config files, and the `--key=value` arguments for the Config.

    Args:
        arguments: of the command line.
        description: of the command.
        positional: name -> help of what comes first.
        epilog: what the help ends with, lines that are kept as they are.
        command: how it is called, up to its options, such as `mml train NAME`; as the process is if None.
        takes_dataset: whether any dataset can be named, so that the help says how.
    """
    parser = CommandParser(
        prog=None if command is None else " ".join(command.split()[:2]),
        usage=None if command is None else f"{command} [options] [--key=value ...]",
        description=description,
        epilog=epilog,
        allow_abbrev=False,
    )
    for name, text in (positional or {}).items():
        parser.add_argument(name, help=text)
    add = parser.add_argument
    dataset_help = "a folder below data_path (default: ml-100k)" if takes_dataset else argparse.SUPPRESS
    add("--dataset", metavar="NAME", default="ml-100k", help=dataset_help)
    files_help = "YAML files over the defaults, separated by spaces or commas"
    add("--config_files", nargs="*", action="extend", default=[], metavar="FILE", help=files_help)
    add_device(parser)
    settings = [one for one in arguments if is_setting(one)]  # argparse takes one with a space in it for a file
    known, rest = parser.parse_known_args([one for one in arguments if not is_setting(one)])
    files = [name for text in known.config_files for name in split_names(text)]
    return known, files, [*settings, *rest, *device_settings(known)]


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what is computed on."""
    parser.add_argument(
        "--device",
        metavar="D",
        default="auto",
        help="auto (the first GPU, or the CPU where there is none; the default), cpu, cuda or cuda:N",
    )
    parser.add_argument("--gpu_id", metavar="N", default=None, help="the same as --device=cuda:N")


def device_settings(options: argparse.Namespace) -> list[str]:
    """The options of `add_device` as settings.

    Raises:
        InputError: for a device that is none.
    """
    found = [] if options.gpu_id is None else [f"--gpu_id={options.gpu_id}"]
    kind, _, number = options.device.partition(":")
    if options.device == "cpu":
        return [*found, "--use_gpu=False"]
    if (
        kind not in ("auto", "cuda")
        or (kind == "auto" and number)
        or (":" in options.device and not number.isdecimal())
    ):
        raise InputError(f"--device is {options.device!r}; it must be auto, cpu, cuda or cuda:N, such as cuda:0.")
    return found if kind == "auto" else [*found, "--use_gpu=True", f"--gpu_id={number or 0}"]


def is_setting(argument: str) -> bool:
    """Whether an argument is `--key=value` for the Config, not an option of a command."""
    match = re.match(r"--([A-Za-z_][\w.\-]*)=", argument)
    return match is not None and match[1] not in _OPTIONS


def split_names(text: str) -> list[str]:
    """Names separated by spaces or commas; the name of a file that has some itself is one."""
    return [text] if Path(text).is_file() else [name for name in re.split(r"[\s,]+", text) if name]


def named_first(arguments: Sequence[str], place: int = 0) -> list[str]:
    """The arguments with a dataset that is named first, as in `mml train shop`, given by its option.

    Args:
        arguments: of the command line.
        place: of the name, which may be missing.

    Raises:
        InputError: for two of them.
    """
    given = list(arguments)
    if len(given) > place and not any(one.startswith("-") for one in given[: place + 1]):
        if any(one.partition("=")[0] == "--dataset" for one in given):
            raise InputError(f"the dataset is named twice, by '{given[place]}' and by --dataset; leave one out.")
        given[place : place + 1] = ["--dataset", given[place]]
    return given
