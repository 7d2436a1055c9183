"""What the system said no to, as one line that names the path and the mend."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys

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
    fault = disk_fault(error) or error
    number = fault.errno if isinstance(fault, OSError) else None
    if isinstance(fault, OSError) and number is not None and number not in _MENDS:
        return InputError(f"{path}: cannot be written ({_reason(fault)}); choose another place")
    mend = _MENDS.get(number, _CUT_SHORT) if number is not None else _CUT_SHORT
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


def told(error: OSError) -> InputError:
    """The one line of an OSError that nothing nearer has told."""
    path = error.filename if error.filename is not None else "a file"
    if error.errno in _MENDS:
        return MachineError(f"{path}: {_reason(error)}; {_MENDS[error.errno]} and give the same command again.")
    return InputError(f"{path}: {_reason(error)}; check the path and its rights.")


def reported(error: InputError | OSError) -> int:
    """Print an error as one line to stderr; returns the exit code: 2 or 4, or 141 where a pipe's reader has gone."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's last flush would complain
        return 128 + signal.SIGPIPE
    found = told(error) if isinstance(error, OSError) else error
    print(f"error: {found}", file=sys.stderr, flush=True)
    return found.exit_code


def disk_fault(error: BaseException) -> BaseException | None:
    """The refusal of the disk that an exception is, holds, or stands for; None if it is about something else.

    torch's writer raises a RuntimeError without a cause, safetensors' an error of its own with the system's number.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError):
            return seen
        hidden = _HIDDEN.search(str(seen))
        if hidden is not None:
            return OSError(int(hidden[1]), os.strerror(int(hidden[1])))
        if isinstance(seen, RuntimeError) and "inline_container" in str(seen):
            return OSError("it was cut short")
        seen = seen.__cause__ or seen.__context__
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:120] or type(error).__name__
