"""Real faults of the disk: whatever a write runs into, the old state is there, one line says why, nothing is left."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.errors import InputError, MachineError
from mml.features.encoders import EncoderState
from mml.features.files import FeatureTable, read_features, write_features
from mml.features.state import read_state, write_state
from mml.files import bundle
from mml.files.alone import alone_in
from mml.files.folder import new_folder
from mml.files.safe import point, replacing, write_text
from mml.files.temporary import clean_up, temporary_file, temporary_folder

Writer = Callable[[Path, int], None]
"""Writes what number it is given below a folder."""


def _table(number: int) -> FeatureTable:
    return FeatureTable(np.array(["a", "b"]), np.full((2, 700), number, dtype=np.float32))


def _features(name: str) -> Writer:
    return lambda folder, number: write_features(folder / name, _table(number))


def _states(folder: Path, number: int) -> None:
    write_state(folder / "state", EncoderState({"x": np.full(900, number)}, {"number": number}))


def _bundle(folder: Path, number: int) -> None:
    bundle.write_state(folder, "stage", {"x": torch.full((900,), float(number)), "number": number})


def _torch(folder: Path, number: int) -> None:
    with replacing(folder / "best.pth") as path, path.open("wb") as file:
        torch.save({"x": torch.full((900,), float(number))}, file)


def _folder(folder: Path, number: int) -> None:
    with new_folder(folder / "made") as fresh:
        (fresh / "one.txt").write_text(str(number) * 3000)
        (fresh / "two.txt").write_text(str(number) * 3000)


WRITERS: dict[str, Writer] = {
    "f.pth": _features("f.pth"),
    "f.npz": _features("f.npz"),
    "f.txt": _features("f.txt"),
    "encoder": _states,
    "stage": _bundle,
    "torch": _torch,
    "folder": _folder,
    "text": lambda folder, number: write_text(folder / "result.json", str(number) * 5000),
}


def snapshot(folder: Path) -> dict[str, bytes]:
    """Name -> content of all files below, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes; the system says EFBIG, as Python ignores the signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused(call: Callable[[], object], kind: type[InputError] = InputError) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(InputError) as caught:
        call()
    assert type(caught.value) is kind, caught.value
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_is_cut_short_anywhere_changes_nothing(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path, 1)
    before = snapshot(tmp_path)
    largest = max(map(len, before.values()))
    for size in np.unique(np.linspace(0, largest - 1, 24).astype(int)).tolist():
        with file_size_limit(size):
            message = refused(lambda: WRITERS[name](tmp_path, 2), MachineError)
        assert str(tmp_path) in message
        assert "cannot be written" in message
        assert "ulimit -f" in message
        assert snapshot(tmp_path) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk(name: str, small_disk: Path) -> None:
    WRITERS[name](small_disk, 1)
    before = snapshot(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (16 << 10))
    with (small_disk / "more").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 512)
    message = refused(lambda: WRITERS[name](small_disk, 2), MachineError)
    assert "make room on the disk" in message
    for ballast in ("ballast", "more"):
        (small_disk / ballast).unlink()
    assert snapshot(small_disk) == before


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_that_may_not_be_written(name: str, tmp_path: Path) -> None:
    """As another user, since the rights of files do not bind root."""
    folder = tmp_path / "mine"
    folder.mkdir()
    WRITERS[name](folder, 1)
    before = snapshot(folder)
    folder.chmod(0o555)
    for above in (tmp_path, *tmp_path.parents):
        if above.stat().st_uid == os.geteuid() and not above.stat().st_mode & 0o005:
            above.chmod(above.stat().st_mode | 0o055)
    code = in_a_child(lambda: as_nobody(lambda: refused(lambda: WRITERS[name](folder, 2))))
    folder.chmod(0o755)
    assert code == 0
    assert snapshot(folder) == before


def as_nobody(call: Callable[[], object]) -> None:
    """Call without root's rights."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
    call()


def in_a_child(call: Callable[[], object]) -> int:
    """Run in a forked process; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException:  # whatever it is, this process must end here
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# --- killed ---------------------------------------------------------------------------------------------------------

CALLS = ("open", "replace", "rename", "fsync", "unlink", "mkdir", "rmdir", "link")
"""What changes the disk; a process may be killed before each and after each."""


def killed_at(number: int, after: bool, call: Callable[[], object]) -> int:
    """Run in a child that is killed at the `number`-th call of CALLS; its exit code, 0 if it had fewer."""

    def with_traps() -> None:
        left = [number]

        def trapped(original: Callable[..., object]) -> Callable[..., object]:
            def one(*args: object, **kwargs: object) -> object:
                left[0] -= 1
                if left[0] == 0 and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                own = left[0] == 0
                try:
                    return original(*args, **kwargs)
                finally:
                    if own:
                        os.kill(os.getpid(), signal.SIGKILL)

            return one

        for name in CALLS:
            setattr(os, name, trapped(getattr(os, name)))
        call()

    return in_a_child(with_traps)


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["f.npz", "folder", "text"])
def test_killed_anywhere_the_old_one_or_the_new_one_is_there(name: str, after: bool, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / "new", 2)
    fresh = snapshot(tmp_path / "new")
    kills = 0
    for number in range(1, 99):
        place = tmp_path / f"at{number}"
        WRITERS[name](place, 1)
        before = snapshot(place)
        code = killed_at(number, after, lambda place=place: WRITERS[name](place, 2))  # type: ignore[misc]
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        clean_up(place)
        assert snapshot(place) in (before, fresh)
        WRITERS[name](place, 2)
        assert snapshot(place) == fresh
    assert kills >= 5


# --- temporary names ------------------------------------------------------------------------------------------------


def test_nobody_cleans_what_another_is_writing(tmp_path: Path) -> None:
    with temporary_file(tmp_path / "a") as file, temporary_folder(tmp_path / "b") as folder:
        assert clean_up(tmp_path) == []
        assert in_a_child(lambda: os._exit(len(clean_up(tmp_path)))) == 0
        assert file.is_file()
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Each adds one to a number in a file; who is killed keeps nobody waiting."""

    def add(times: int) -> None:
        for _ in range(times):
            with alone_in(tmp_path, "counts"):
                path = tmp_path / "number"
                path.write_text(str(int(path.read_text()) + 1))

    def killed_inside() -> None:
        with alone_in(tmp_path, "counts"):
            os.kill(os.getpid(), signal.SIGKILL)

    (tmp_path / "number").write_text("0")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            add(50)
            os._exit(0)
        children.append(child)
    assert in_a_child(killed_inside) == -signal.SIGKILL
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert (tmp_path / "number").read_text() == "200"


def test_who_waits_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    reading, writing = os.pipe()
    said: set[str] = set()
    for stages in (said, said, set[str]()):  # two stages of a run, and another run
        child = os.fork()
        if child == 0:
            with alone_in(tmp_path, "counts"):
                os.write(writing, b"x")
                time.sleep(0.5)
                os._exit(0)
        os.read(reading, 1)
        with alone_in(tmp_path, "works on this run", stages):
            line = f"{tmp_path}: another process works on this run; waiting for it."
            assert caplog.messages == ([line] if stages is said else [line, line])
        os.waitpid(child, 0)
    with alone_in(tmp_path / "nothing", "counts"):
        pass


def test_leftovers_are_told_from_users_files(tmp_path: Path) -> None:
    kept = [".a.tmp", "a.0123456789ab.tmp", ".a.0123456789AB.tmp", ".a.0123456789ab.tmp.txt"]
    for name in (*kept, ".a.0123456789ab.tmp"):
        (tmp_path / name).write_text("")
    write_text(tmp_path / "b", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "b"])


def test_a_folder_that_was_moved_aside_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".shop.0123456789ab.old").mkdir()
    (tmp_path / ".shop.0123456789ab.old" / "shop.inter").write_text("old")
    clean_up(tmp_path)
    assert (tmp_path / "shop" / "shop.inter").read_text() == "old"


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    children = []
    for number in range(8):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(25):
                    write_text(tmp_path / "a", str(number) * 2000)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * 8
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert len(set((tmp_path / "a").read_text())) == 1


def test_a_link_is_put_over_links_alone(tmp_path: Path) -> None:
    point(tmp_path / "latest", "one")
    point(tmp_path / "latest", "two")
    assert os.readlink(tmp_path / "latest") == "two"
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    message = refused(lambda: point(tmp_path / "latest", "three"))
    assert message == f"{tmp_path / 'latest'}: is a folder, not a link; move it away"
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]
    (tmp_path / "latest").rmdir()
    (tmp_path / "latest").write_text("mine")
    message = refused(lambda: point(tmp_path / "latest", "three"))
    assert message == f"{tmp_path / 'latest'}: is a plain file, not a link; move it away"


def test_what_a_folder_keeps_stays_as_it_is(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a") as fresh:
        (fresh / "old").mkdir()
        (fresh / "old" / "text").write_text("kept")
        (fresh / "link").symlink_to("old/text")
        (fresh / "gone").symlink_to("/nowhere")
        os.mkfifo(fresh / "pipe")
    with new_folder(tmp_path / "a") as fresh:
        (fresh / "new").write_text("")
    assert (tmp_path / "a" / "link").read_text() == "kept"
    assert os.readlink(tmp_path / "a" / "gone") == "/nowhere"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["gone", "link", "new", "old", "pipe"]


def test_states_that_a_killed_write_left_are_told(tmp_path: Path) -> None:
    _states(tmp_path, 1)
    (tmp_path / "state.safetensors").write_bytes((tmp_path / "state.safetensors").read_bytes()[:-1])
    with pytest.raises(InputError, match="its checksum is not that"):
        read_state(tmp_path / "state")
    _features("f.npz")(tmp_path, 3)
    assert read_features(tmp_path / "f.npz").vectors[0, 0] == 3
