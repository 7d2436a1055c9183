"""What people see while something goes on: bars at a terminal, plain lines in a pipe."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mml import progress
from mml.progress import bar, each

SCRIPT = """
import logging, sys, time
from mml.logs import setup_logging
from mml.progress import bar, each
setup_logging("INFO")
log = logging.getLogger("mml.x")
log.info("Stage [id].pretrain ...")
with bar("id.pretrain", 3, "epochs") as shown:
    for epoch in range(3):
        for _ in each(range(2), f"epoch {epoch + 1}", 2, "batches"):
            time.sleep(0.15)
        shown.note("loss 1.5")
        shown.update()
        log.info("epoch %d is over", epoch)
        print("said by print", epoch)
log.info("a long line " + "x" * 100)
print("done")
"""


def in_pipe(code: str) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env())
    return done.stdout, done.stderr


def env(**over: str) -> dict[str, str]:
    return {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "PYTHONIOENCODING": "utf-8", **over}


def at_terminal(code: str, stdout: int | None = None, **over: str) -> str:
    """All that a program wrote to a terminal that its stderr, and its stdout unless another is given, is."""
    mine, theirs = pty.openpty()
    written: list[bytes] = []

    def read() -> None:
        while True:
            try:
                found = os.read(mine, 4096)
            except OSError:  # the other end is closed
                return
            if not found:
                return
            written.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    out = theirs if stdout is None else stdout
    done = subprocess.run([sys.executable, "-c", code], stdout=out, stderr=theirs, check=False, env=env(**over))
    os.close(theirs)
    reader.join()
    os.close(mine)
    text = b"".join(written).decode()
    assert done.returncode == 0, text
    return text


def screen(written: str) -> list[str]:
    """The lines that are left on the screen, by the few controls that are used: up, erase, home."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|.|\n", written.replace("\r\n", "\n\r"), re.DOTALL):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            if part.endswith("A"):
                row = max(0, row - int(part[2:-1] or 1))
            elif part.endswith("K"):
                lines[row] = ""
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + part + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


SAID = [
    "Stage [id].pretrain ...",
    *(line for epoch in range(3) for line in (f"epoch {epoch} is over", f"said by print {epoch}")),
    "a long line " + "x" * 100,
    "done",
]


@pytest.mark.slow
def test_in_a_pipe_there_are_lines_and_nothing_else() -> None:
    out, err = in_pipe(SCRIPT)
    assert "\r" not in out + err
    assert "\x1b" not in out + err
    assert err.splitlines() == [line for line in SAID if "print" not in line and line != "done"]
    assert out.splitlines() == [line for line in SAID if "print" in line or line == "done"]


@pytest.mark.slow
def test_at_a_terminal_bars_come_and_go() -> None:
    written = at_terminal(SCRIPT)
    for part in ("id.pretrain", "epoch 2", "1/3 epochs", "1/2 batches", "loss 1.5", "0:0"):
        assert part in written
    left = [line for line in screen(written) if line]
    assert left == SAID
    assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")  # the cursor is there again


@pytest.mark.slow
def test_what_goes_to_a_file_stays_clean_while_bars_are_drawn(tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("w") as file:
        written = at_terminal(SCRIPT, stdout=file.fileno())
    assert (tmp_path / "out.txt").read_text().splitlines() == [
        "said by print 0",
        "said by print 1",
        "said by print 2",
        "done",
    ]
    assert "said by print" not in written


@pytest.mark.slow
def test_a_terminal_that_cannot_draw_is_left_alone() -> None:
    written = at_terminal(SCRIPT, TERM="dumb")
    assert "\x1b" not in written
    assert written.replace("\r\n", "\n").splitlines() == SAID


@pytest.mark.slow
def test_a_failure_leaves_the_screen_in_order() -> None:
    code = """
from mml.progress import bar
try:
    with bar("one", 3, "things"), bar("two", 3, "things"):
        raise KeyboardInterrupt
except KeyboardInterrupt:
    print("stopped")
"""
    written = at_terminal(code)
    assert [line for line in screen(written) if line] == ["stopped"]
    assert written.rfind("\x1b[?25h") > written.rfind("\x1b[?25l")


def test_without_a_terminal_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "at_terminal", lambda: False)
    monkeypatch.setattr(progress, "_started", lambda: pytest.fail("bars are drawn"))
    with bar("one", 2, "things") as shown:
        shown.note("x")
        shown.update()
    assert list(each(iter("ab"), "one", 2, "things")) == ["a", "b"]


def test_who_wants_no_bar_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "at_terminal", lambda: True)
    monkeypatch.setattr(progress, "_started", lambda: pytest.fail("bars are drawn"))

    def abandoned() -> Iterator[int]:
        yield from each(range(3), "one", 3, "things", wanted=False)

    assert next(abandoned()) == 0


LINES = """
from mml.styled import GOOD, Line, print_lines
print_lines([Line("[bold] method"), Line("mml *  0.3", GOOD), Line("x" * 100)])
"""


@pytest.mark.slow
def test_lines_are_the_same_text_everywhere() -> None:
    text = ["[bold] method", "mml *  0.3", "x" * 100]
    assert in_pipe(LINES)[0].splitlines() == text
    written = at_terminal(LINES)
    assert "\x1b[1;32mmml *  0.3\x1b[0m" in written
    assert screen(re.sub(r"\x1b\[[0-9;]*m", "", written))[:3] == text
    assert "\x1b[1;32m" not in at_terminal(LINES, NO_COLOR="1")
    assert "\x1b" not in at_terminal(LINES, TERM="dumb")
