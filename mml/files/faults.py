"""What the system said no to, as one line that names the path and the mend."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

from mml.errors import InputError, MachineError

_MENDS = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room within the quota",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs' files",
    errno.ENOMEM: "free memory",
    errno.EIO: "check the disk",
    errno.ESTALE: "check the network disk",
}
"""Faults of the machine: the same command would do if these were not."""
_CUT_SHORT = "make room on the disk, or raise the limit on the size of files (ulimit -f)"
_HIDDEN = re.compile(r"\(os error (\d+)\)")  # as Rust's libraries write it


def cannot_write(path: object, error: BaseException) -> InputError:
    """A failed write; what stood there before still does, since files are replaced whole.

    Args:
        path: what was to be written.
        error: an OSError, or what a library made of it (see `disk_fault`).
    """
    fault = disk_fault(error) or OSError(str(error))
    if fault.errno is not None and fault.errno not in _MENDS:
        return InputError(f"{path}: cannot be written ({_reason(fault)}); choose another place")
    mend = _CUT_SHORT if fault.errno is None else _MENDS[fault.errno]
    return MachineError(f"{path}: cannot be written ({_reason(fault)}); {mend} and give the same command again")


def cannot_read(path: object, error: OSError, mend: str = "check its rights") -> InputError:
    """A failed read.

    Args:
        path: what was to be read.
        error: as the system raised it.
        mend: what to do where the machine is not at fault.
    """
    if error.errno in _MENDS:
        return MachineError(f"{path}: cannot be read ({_reason(error)}); {_MENDS[error.errno]}")
    return InputError(f"{path}: cannot be read ({_reason(error)}); {mend}")


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Tell what the system says no to while a file is read.

    Raises:
        InputError: naming the path; MachineError if the machine is at fault.
    """
    try:
        yield
    except OSError as error:
        raise cannot_read(path, error) from error


def described(error: OSError) -> InputError:
    """An OSError that nothing nearer has described, in one line."""
    path = error.filename if error.filename is not None else "a file"
    if error.errno in _MENDS:
        return MachineError(f"{path}: {_reason(error)}; {_MENDS[error.errno]} and give the same command again.")
    return InputError(f"{path}: {_reason(error)}; check the path and its rights.")


P = ParamSpec("P")


def in_one_line(main: Callable[P, int]) -> Callable[P, int]:
    """A command whose user's mistakes and machine's faults are told in one line; its exit code is then `reported`'s."""

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            return main(*args, **kwargs)
        except (InputError, OSError) as error:
            return reported(error)

    return run


def reported(error: InputError | OSError) -> int:
    """Print an error as one line to stderr; returns the exit code: 2 or 4, or 141 where a pipe's reader has gone."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush would complain
        return 128 + signal.SIGPIPE
    found = described(error) if isinstance(error, OSError) else error
    print(f"error: {found}", file=sys.stderr, flush=True)
    return found.exit_code


def disk_fault(error: BaseException) -> OSError | None:
    """The refusal of the disk that an exception is, holds, or stands for; None if it is about something else.

    torch's writer raises a RuntimeError without a cause, safetensors' an error of its own with the system's number.
    """
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, OSError):
            return one
    for one in chain:
        hidden = _HIDDEN.search(str(one))
        if hidden is not None:
            return OSError(int(hidden[1]), os.strerror(int(hidden[1])))
        if isinstance(one, RuntimeError) and "inline_container" in str(one):
            return OSError("it was cut short")
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(error: OSError) -> str:
    return error.strerror or " ".join(str(error).split())[:120] or type(error).__name__
