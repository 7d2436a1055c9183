"""How commands end: exit codes, a line on how to go on, and a last line of run.log that says why."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from mml.errors import InputError, MachineError
from mml.logs import own_log, say_end
from mml.stopping import Terminated, report_stop, stop_code, stoppable
from tests.conftest import SMALL
from tests.fuzz.outcome import in_time
from tests.fuzz.test_disk import in_a_child
from tests.run.killed import killed


def ended(folder: Path, error: BaseException | None = None, foreseen: tuple[type[BaseException], ...] = ()) -> str:
    """What a run's log holds after it ended by an exception."""
    raised = nullcontext() if error is None else pytest.raises(type(error))
    with raised, own_log(foreseen) as log:
        log(folder)
        logging.getLogger("mml.test").warning("It goes on.")
        if error is not None:
            raise error
    return (folder / "run.log").read_text()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (None, "INFO mml.logs: End of the run: finished."),
        (InputError("config: key 'a': odd."), "ERROR mml.logs: End of the run: config: key 'a': odd."),
        (MachineError("x: disk full"), "ERROR mml.logs: End of the run: x: disk full"),
        (KeyboardInterrupt(), "ERROR mml.logs: End of the run: stopped by Ctrl-C."),
        (Terminated(), "ERROR mml.logs: End of the run: stopped by SIGTERM."),
        (SystemExit("the search has ended"), "ERROR mml.logs: End of the run: SystemExit: the search has ended"),
        (ValueError("two\nlines"), "ERROR mml.logs: End of the run: ValueError: two lines"),
        (MemoryError(), "ERROR mml.logs: End of the run: MemoryError"),
    ],
)
def test_the_last_line_says_why(error: BaseException | None, line: str, tmp_path: Path) -> None:
    text = ended(tmp_path, error)
    assert text.splitlines()[-1].endswith(line)
    assert ("Traceback" in text) == (type(error) in (ValueError, MemoryError))
    assert "killed" not in ended(tmp_path)  # the next run has nothing to complain of
    assert str(tmp_path) not in str(logging.getLogger().handlers)


def test_what_is_foreseen_has_no_traceback(tmp_path: Path) -> None:
    text = ended(tmp_path, LookupError("pruned"), (LookupError,))
    assert "Traceback" not in text
    assert text.endswith("INFO mml.logs: End of the run: LookupError: pruned\n")


def test_a_kill_is_said_by_the_next_run(tmp_path: Path) -> None:
    ended(tmp_path)
    path = tmp_path / "run.log"
    path.write_text(path.read_text() + "2026-01-01 00:00:00,000 INFO mml.run.frame: Stage id.pretrain ...\n")
    before = len(path.read_text())
    added = ended(tmp_path)[before:]
    assert "WARNING mml.logs: The run before ended without a word: killed, or the machine stopped." in added
    assert added.endswith("End of the run: finished.\n")


def test_a_run_that_goes_on_is_not_called_killed(tmp_path: Path) -> None:
    with own_log() as log:
        log(tmp_path)
        logging.getLogger("mml.test").warning("Stage id.pretrain ...")
        assert in_a_child(lambda: ended(tmp_path)) == 0
    assert "killed" not in (tmp_path / "run.log").read_text()
    assert (tmp_path / "run.log").read_text().count("End of the run: finished.") == 2


def test_a_log_is_a_plain_file(tmp_path: Path) -> None:
    """Nothing is appended through a link, and no pipe is waited for, whether somebody reads it or not."""
    path, handlers = tmp_path / "run.log", list(logging.getLogger().handlers)
    (tmp_path / "elsewhere").write_text("")
    path.symlink_to("elsewhere")
    with (
        in_time(),
        pytest.raises(InputError, match=r"run\.log: is a link, a pipe, a device or a folder, not a plain file"),
    ):
        ended(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with (
        in_time(),
        pytest.raises(InputError, match=r"run\.log: is a link, a pipe, a device or a folder, not a plain file"),
    ):
        ended(tmp_path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with (
        in_time(),
        pytest.raises(InputError, match=r"run\.log: is a link, a pipe, a device or a folder, not a plain file"),
    ):
        ended(tmp_path)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert (tmp_path / "elsewhere").read_text() == ""
    assert logging.getLogger().handlers == handlers


def test_an_end_that_comes_at_once(tmp_path: Path) -> None:
    with own_log() as log:
        log(tmp_path)
        say_end("process 0 was stopped.")
        assert (tmp_path / "run.log").read_text().endswith("End of the run: process 0 was stopped.\n")


def test_sigterm_ends_as_ctrl_c_does(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught, stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop_code(caught.value) == 143
    assert stop_code(KeyboardInterrupt()) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert report_stop(caught.value) == 143
    assert capsys.readouterr().err.endswith("start the same command again to go on.\n")


Argv = Callable[[Path, Path], list[str]]


def _words(*first: str, **more: object) -> Argv:
    def build(data: Path, output: Path) -> list[str]:
        settings = {**SMALL, "repeatable": True, "use_gpu": False, "data_path": data, "output_dir": output, **more}
        return [*first, *(f"--{key}={value}" for key, value in settings.items())]

    return build


_FEW = ["--seeds=1", "--trials=1", "--methods", "no_fusion", "--no-estimate", "--wiring_epochs=0"]
COMMANDS: dict[str, Argv] = {
    "train": _words("train", "tiny"),
    "baseline": _words("baseline", "IDSASRec", "--dataset", "tiny"),
    "compare": _words("compare", "tiny", *_FEW),
    "tune": _words(*["tune", "tiny", "--trials", "2"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_gets_sigterm(command: str, tiny_data: Path, tmp_path: Path) -> None:
    done = killed(signal.SIGTERM, "2", COMMANDS[command](tiny_data, tmp_path))
    assert done.returncode == 143, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Stopped")
    assert last.endswith("tart the same command again to go on.")
    assert "Traceback" not in done.stderr
    logs = [path for path in tmp_path.rglob("run.log") if not path.parent.is_symlink()]
    assert len(logs) == 1
    assert logs[0].read_text().endswith("ERROR mml.logs: End of the run: stopped by SIGTERM.\n")


@pytest.mark.slow
def test_a_train_that_ends_otherwise(tiny_data: Path, tmp_path: Path) -> None:
    argv = COMMANDS["train"](tiny_data, tmp_path)
    assert killed(signal.SIGKILL, "2", argv).returncode == -signal.SIGKILL
    done = killed(signal.SIGINT, "2", argv)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)
    log = next(tmp_path.rglob("run.log")).read_text()
    assert "The run before ended without a word" in log
    assert log.endswith("End of the run: stopped by Ctrl-C.\n")
