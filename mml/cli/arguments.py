"""The words of the command line that the entry points share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path


def common_arguments(
    arguments: Sequence[str], description: str, positional: Mapping[str, str] | None = None, epilog: str | None = None
) -> tuple[argparse.Namespace, list[str], list[str]]:
    """Options, config files, and the `--key=value` words for the Config.

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
    known, rest = parser.parse_known_args(arguments)
    files = [name for text in known.config_files for name in split_names(text)]
    if known.gpu_id is not None:
        rest.append(f"--gpu_id={known.gpu_id}")
    return known, files, rest


def split_names(text: str) -> list[str]:
    """Names separated by spaces or commas; the name of a file that has some itself is one."""
    return [text] if Path(text).is_file() else [name for name in re.split(r"[\s,]+", text) if name]
