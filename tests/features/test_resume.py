"""The side file of an interrupted run."""

from pathlib import Path

import numpy as np
import pytest

from mml.errors import InputError
from mml.features.encoders import Encoded
from mml.features.resume import PartFile, content_key, picture_state


def batch(start: int) -> Encoded:
    return np.arange(start, start + 6, dtype=np.float32).reshape(3, 2), np.array([True, False, True])


def filled(path: Path) -> PartFile:
    part = PartFile(path, "key")
    assert part.load() == []
    part.add(batch(0))
    part.add(batch(6))
    part.close()
    return part


def starts(part: PartFile) -> list[float]:
    found = [float(vectors[0, 0]) for vectors, _ in part.load()]
    part.close()
    return found


def test_one_run_at_a_time(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "p", "key")
    part.load()
    part.add(batch(0))
    with pytest.raises(InputError, match="another run is writing it"):
        PartFile(tmp_path / "p", "key").load()
    part.close()
    assert starts(PartFile(tmp_path / "p", "key")) == [0]


def test_batches_come_back_in_order(tmp_path: Path) -> None:
    filled(tmp_path / "p")
    part = PartFile(tmp_path / "p", "key")
    assert starts(part) == [0, 6]
    part.add(batch(12))
    assert starts(PartFile(tmp_path / "p", "key")) == [0, 6, 12]
    part.remove()
    assert not (tmp_path / "p").exists()
    part.remove()


def test_another_key_starts_over(tmp_path: Path) -> None:
    filled(tmp_path / "p")
    assert starts(PartFile(tmp_path / "p", "other")) == []
    assert starts(PartFile(tmp_path / "p", "key")) == []


def test_a_file_cut_anywhere_gives_the_whole_batches(tmp_path: Path) -> None:
    filled(tmp_path / "p")
    content = (tmp_path / "p").read_bytes()
    found = []
    for length in range(0, len(content), 7):
        (tmp_path / "p").write_bytes(content[:length])
        part = PartFile(tmp_path / "p", "key")
        found.append(len(part.load()))
        part.add(batch(99))
        assert starts(part) == [*[0.0, 6.0][: found[-1]], 99.0]
    assert found == sorted(found)
    assert set(found) == {0, 1}


def test_a_file_of_something_else_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("hello")
    assert starts(PartFile(tmp_path / "p", "key")) == []


def test_a_folder_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another place"):
        PartFile(tmp_path / "file" / "p", "key").load()


def test_keys_tell_parts_apart() -> None:
    assert content_key(["ab", "c"]) != content_key(["a", "bc"])
    assert content_key(["a", "b"]) != content_key(["b", "a"])
    assert content_key(["a"]) == content_key(["a"])


def test_a_changed_picture_has_another_state(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    states = [picture_state(path)]
    for content in (b"1", b"22"):
        path.write_bytes(content)
        states.append(picture_state(path))
    assert len(set(states)) == 3
