"""The command `mml`: one subcommand for each thing that can be done."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from mml.errors import did_you_mean
from mml.memory import is_out_of_memory, report_out_of_memory
from mml.stopping import report_stop, stoppable

_COMMANDS = {
    "demo": ("mml.cli.demo", "train on MovieLens-100K and list films; needs no file"),
    "import": ("mml.importing.command", "make a dataset of CSV files"),
    "check": ("mml.checking.command", "say what is wrong or odd with a dataset"),
    "train": ("mml.cli.train", "train and evaluate on a dataset"),
    "recommend": ("mml.cli.recommend", "list items for users of a trained run"),
    "update": ("mml.cli.update", "let a model learn from what came since: interactions, new items"),
    "serve": ("mml.serve.command", "serve recommendations over HTTP, with a page to try them"),
    "result": ("mml.run.printing", "print the results of finished runs"),
    "tune": ("mml.tuning.command", "search for good settings on the validation users"),
    "baseline": ("mml.baselines.__main__", "train and evaluate a baseline on the same split"),
    "baselines": ("mml.cli.baselines", "list the baselines"),
    "report": ("mml.report.command", "write the report of a finished run, one HTML file"),
    "compare": ("mml.comparison.__main__", "compare methods over seeds"),
    "keys": ("mml.cli.keys", "list the configuration keys"),
    "features": ("prepare_multimodal_information_file.cli", "make and check feature files"),
}
_STOPPED = "Stopped. Nothing is half written: give the same command again."
"""Of commands that keep no state to go on from; the others say it themselves."""
_RECBOLE = "mml needs RecBole 1.2.1, which is not installed: pip install --no-deps recbole==1.2.1"


def usage() -> str:
    """What `mml --help` prints."""
    lines = [f"  {name:<10} {text}" for name, (_, text) in _COMMANDS.items()]
    commands = "\n".join(lines)
    return (
        f"usage: mml COMMAND ...\n\n{commands}\n\n"
        "`mml COMMAND --help` says more; `mml --version` is the version. First steps:\n"
        "  mml demo\n  mml recommend ml-100k --items 50,181\n"
    )


def _without_help(given: list[str]) -> list[str]:
    """`help train` as `train --help`."""
    return [*given[1:2], "--help"] if given[:1] == ["help"] else given


def _lacks(package: str) -> str:
    """What is said where mml's packages were not installed with it."""
    if package == "recbole":
        return _RECBOLE
    if package == "fcntl":
        return "mml locks files by fcntl, which Windows does not have: run it in WSL, or on Linux"
    return (
        f"mml needs the package {package}, which {sys.executable} does not have: in a clone make install, then "
        ". .venv/bin/activate; without make pip install FOLDER_OF_THE_CLONE"
    )


def _in_utf8() -> None:
    """Begin anew in Python's UTF-8 mode where the locale knows ASCII alone, which cannot write names and titles.

    Python does so by itself, but where it is told not to.
    """
    if sys.getfilesystemencoding() == "ascii" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.orig_argv[0], "-X", "utf8", *sys.orig_argv[1:]])


def _own() -> list[str]:
    """The process's arguments."""
    _in_utf8()
    return sys.argv[1:]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns its exit code, 2 for a mistake in the input, 130 after Ctrl-C, 143 after SIGTERM."""
    given = _without_help(_own() if arguments is None else list(arguments))
    if not given or given[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0 if given else 2
    if given[0] == "--version":
        print(importlib.import_module("mml").__version__)
        return 0
    if given[0] not in _COMMANDS:
        hint = did_you_mean(given[0], _COMMANDS)
        print(f"error: there is no command '{given[0]}'.{hint} There are: {', '.join(_COMMANDS)}", file=sys.stderr)
        return 2
    if arguments is None:
        sys.argv[0] = f"mml {given[0]}"  # by which argparse calls the command in its help
    with stoppable():
        try:
            command: Callable[[Sequence[str]], int] = importlib.import_module(_COMMANDS[given[0]][0]).main
            return command(given[1:])
        except ModuleNotFoundError as error:
            if not error.name or "." in error.name or error.name == "mml":
                raise
            print(f"error: {_lacks(error.name)}", file=sys.stderr)
            return 2
        except KeyboardInterrupt as stop:
            return report_stop(stop, _STOPPED)
        except (MemoryError, RuntimeError, ImportError) as error:
            if not is_out_of_memory(error):
                raise
        return report_out_of_memory()
