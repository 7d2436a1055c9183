"""Command line: `mml serve shop --port 8000`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from mml.command_line import CommandParser
from mml.errors import InputError
from mml.extras import install_line
from mml.files.faults import in_one_line
from mml.files.runs import MODEL, named_folder
from mml.logs import setup_logging
from mml.serve.limits import Limits
from mml.serve.model import Load, Recommender

_LOGGER = logging.getLogger(__name__)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@in_one_line
def main(arguments: Sequence[str] | None = None, load: Load | None = None) -> int:
    """Serve a model until a signal ends it.

    Args:
        arguments: of the command line; None for the process's own.
        load: reads a model from its folder; None for `mml.load`.

    Returns:
        The exit code: 0 after SIGTERM, 130 after Ctrl-C, 2 for a user's mistake.
    """
    options = _parser().parse_args(arguments)
    setup_logging("INFO")
    return _serve(options, load or _load)


def _load(path: Path) -> Recommender:
    # by name: the command line must answer --help without the seconds that torch takes to import
    model: Recommender = importlib.import_module("mml").load(path)
    return model


def _serve(options: argparse.Namespace, load: Load) -> int:
    token = _token(options.token)
    path = named_folder(options.model, options.output_dir).absolute()
    try:
        from mml.serve.server import Server, address, open_socket
        from mml.serve.service import Service
    except ImportError as error:
        raise InputError(f"serving needs further packages ({error.name} is missing): {install_line('serve')}") from None
    with open_socket(options.host, options.port) as opened:
        journal = options.journal or _journal_of(path)
        limits = Limits(window=options.window / 1000, batch=options.batch, queue=options.queue)
        service = Service(Path(options.model).name, path, load, journal, limits, options.watch)
        about = f"{options.model}: {len(service.current.catalogue)} items, model {service.current.source}"
        server = Server(service, token, lambda: _say(about, address(opened), options.host, token))
        server.run(sockets=[opened])
    return _end(options.model, server.stopped_by, bool(server.started))


def _journal_of(path: Path) -> Path:
    """Where what is posted is kept: beside the runs of a dataset; of a saved model by its name, as its neighbours may
    be of other shops."""
    of_runs = path.parent / "served"
    return of_runs if (path / MODEL).is_dir() else of_runs / path.name


def _say(about: str, url: str, host: str, token: str | None) -> None:
    print(about)
    print(f"{url}  the page to try it; {url}/docs lists the requests. Ctrl-C stops.", flush=True)
    if token is None and host not in _LOOPBACK:
        _LOGGER.warning("anybody who reaches %s may use it: set MML_TOKEN to ask for a token", host)


def _end(name: str, stopped_by: int | None, started: bool) -> int:
    if not started:
        return 1
    print(f"Stopped. `mml serve {name}` starts it again.")
    return 130 if stopped_by == signal.SIGINT else 0


def _token(given: str | None) -> str | None:
    token = given if given is not None else os.environ.get("MML_TOKEN")
    if given is not None and not given.strip():
        raise InputError("--token is empty: give a token, or leave it out")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise InputError("the token may have letters, digits and signs of ASCII only, without spaces")
    return token or None


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="mml serve",
        description="Answer requests for recommendations over HTTP, with a page to try them on.",
        epilog="Example: mml serve shop --port 8000, then open http://127.0.0.1:8000",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", metavar="NAME", help="a dataset whose latest run is served, or a folder with a model")
    runs = "where the runs are (default: output)"
    add("--output_dir", "--output", type=Path, default=Path("output"), metavar="DIR", help=runs)
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    add("--port", type=_whole(0, 65535), default=8000, help="port (default: 8000; 0 takes any free one)")
    add("--token", help="bearer token that requests must have; better set MML_TOKEN, which `ps` does not show")
    add(
        "--journal",
        type=Path,
        metavar="DIR",
        help="folder for posted events and items (default: served, beside the run)",
    )
    add(
        "--watch",
        type=number,
        default=5.0,
        metavar="S",
        help="look for a new latest run every S seconds; 0: never (default: 5)",
    )
    add(
        "--window",
        type=number,
        default=2.0,
        metavar="MS",
        help="milliseconds to gather requests into one call (default: 2)",
    )
    add("--batch", type=_whole(1, 4096), default=64, metavar="N", help="most users in one call (default: 64)")
    add(
        "--queue",
        type=_whole(1, 100_000),
        default=512,
        metavar="N",
        help="most users that wait; beyond: 429 (default: 512)",
    )
    return parser


def number(text: str) -> float:
    """An argument type: a number from 0 on."""
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def _whole(low: int, high: int) -> type[int]:
    """An argument type: a whole number within bounds."""

    def whole(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text} is not within {low} and {high}")
        return number

    whole.__name__ = "whole number"
    return whole  # type: ignore[return-value]
