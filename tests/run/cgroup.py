"""Processes in a memory cgroup of their own (version 1 or 2), where the machine lets us make one."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class Group:
    """A cgroup.

    Args:
        folder: of the group.
        limits: its files of limits, without and with what is swapped out.
        peak: its file of the most that it held.
    """

    def __init__(self, folder: Path, limits: tuple[str, str], peak: str) -> None:
        self._folder, self._limits, self._peak = folder, limits, peak

    def run(self, line: Sequence[str], limit: int | None, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command that may hold so many bytes."""
        for name in self._limits if limit is not None else ():
            with suppress(FileNotFoundError, PermissionError):  # nothing is swapped, or it is not counted
                (self._folder / name).write_text("0" if name == "memory.swap.max" else str(limit))
        inside = 'echo $$ > "$0" && exec "$@"'
        return subprocess.run(
            ["sh", "-c", inside, str(self._folder / "cgroup.procs"), *line],
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @property
    def peak(self) -> int:
        """The most bytes that its processes held."""
        return int((self._folder / self._peak).read_text())


def _kinds() -> Iterator[tuple[Path, tuple[str, str], str]]:
    """Where a child group may be made, its limits and its peak."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, names, own = line.split(":", 2)
        if "memory" in names.split(","):
            for above in (ROOT / "memory" / own.strip("/"), ROOT / "memory"):
                yield above, ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), "memory.max_usage_in_bytes"
        elif number == "0":
            yield ROOT / own.strip("/"), ("memory.max", "memory.swap.max"), "memory.peak"
            yield ROOT, ("memory.max", "memory.swap.max"), "memory.peak"


@contextmanager
def memory_group() -> Iterator[Group | None]:
    """A new group; None where none can be made. It is gone afterwards."""
    found: tuple[Path, tuple[str, str], str] | None = None
    for above, limits, peak in _kinds() if Path("/proc/self/cgroup").is_file() else ():
        folder = above / f"mml-{secrets.token_hex(4)}"
        with suppress(OSError):
            folder.mkdir()
            if (folder / limits[0]).is_file() and os.access(folder / limits[0], os.W_OK):
                found = folder, limits, peak
                break
            folder.rmdir()
    try:
        yield None if found is None else Group(*found)
    finally:
        if found is not None:
            found[0].rmdir()
