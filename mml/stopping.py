"""Stopping: SIGTERM ends a command as Ctrl-C does, in order, with a line on how to go on and its own exit code."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from mml.memory import is_out_of_memory, report_out_of_memory

GO_ON = "Stopped. What is finished is kept: start the same command again to go on."


class Terminated(KeyboardInterrupt):
    """SIGTERM has come. Whatever ends in order after Ctrl-C does so after it, too."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Within this context SIGTERM raises Terminated; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # others are never interrupted
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def stop_code(stop: KeyboardInterrupt) -> int:
    """The exit code: 143 after SIGTERM, 130 after Ctrl-C."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)


def in_order(command: Callable[[], int], text: str = GO_ON) -> int:
    """Run a command that says on stderr how to go on if it is stopped; returns its exit code, or that of stopping.

    Where memory runs out it is 4, a fault of the machine.
    """
    with stoppable():
        try:
            return command()
        except KeyboardInterrupt as stop:
            return report_stop(stop, text)
        except (MemoryError, RuntimeError, ImportError) as error:
            if not is_out_of_memory(error):
                raise
        return report_out_of_memory()  # out of the handler, so that what the traceback holds is let go of


def report_stop(stop: KeyboardInterrupt, text: str = GO_ON) -> int:
    """Print on stderr how to go on; returns the exit code."""
    print(f"\n{text}", file=sys.stderr, flush=True)
    return stop_code(stop)
