"""A medium is one file: a toy one, registered here alone, goes through a config's source, new items and a command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from mml.data.item_features import Encoding, load_item_features
from mml.errors import InputError
from mml.features.encoders import BatchEncoder, Encoded
from mml.features.files import read_features
from mml.features.media import MEDIA, FolderMedium, FolderSource
from mml.features.sources import ItemFile
from mml.settings import setting
from prepare_multimodal_information_file.cli import main
from tests.features.new_items import encoded

NOTES = "abcdefg"


@dataclass
class NoteShares(BatchEncoder[Path]):
    """How often each note is played."""

    octaves: int = 1
    name: str = "notes"
    unit: ClassVar[str] = "melody"

    def extract(self, items: Sequence[Path]) -> Encoded:
        rows = [[path.read_text().count(note) for note in NOTES[: 7 * self.octaves]] for path in items]
        counts = np.array(rows, dtype=np.float32)
        return counts / np.maximum(counts.sum(1, keepdims=True), 1), np.asarray(counts.any(axis=1))


@dataclass(frozen=True)
class MelodySource(FolderSource):
    octaves: int | None = setting(None, "notes: octaves to count (1)", low=1)


class MelodyMedium(FolderMedium):
    name = "melody"
    settings = MelodySource
    kind = "melodies"
    unit = "melody"
    place_hint = "of melodies"
    suffixes = (".notes",)
    example = "42.notes"
    encoders: ClassVar[Mapping[str, str]] = {"notes": "melodies"}
    default_encoder = "notes"
    modality = "sound"

    def encoder_class(self, name: str) -> type:
        return NoteShares


@pytest.fixture(autouse=True)
def _melody() -> Iterator[None]:
    MEDIA.add(MelodyMedium())
    yield
    MEDIA.remove(MelodyMedium.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "songs" / "old").mkdir(parents=True)
    for item, notes in {"1": "aab", "2": "ccd", "3": "efg", "4": "..."}.items():
        (tmp_path / "songs" / "old" / f"{item}.notes").write_text(notes)
    return tmp_path / "songs"


def load(songs: Path, **source: Any) -> Any:
    encoding = Encoding(ItemFile(songs.parent / "shop.item"), songs.parent / "output" / "shop" / "features")
    return load_item_features({"sound": {"source": source}}, ["[PAD]", *"1234"], 3, list("1234"), encoding)["sound"]


@pytest.mark.parametrize("more", [{"encoder": "notes"}, {"medium": "melody"}, {"medium": "melody", "octaves": 1}])
def test_a_source_of_it(folder: Path, more: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    features = load(folder, folder="songs", **more)
    assert features.present.tolist() == [False, True, True, True, False]
    assert features.vectors.shape == (5, 7)
    assert "4.notes" in caplog.text
    (folder / "9.notes").write_text("aab")
    vectors, _ = encoded({"sound": features.fitted}, pd.DataFrame(index=["9"]), folder)["sound"]
    np.testing.assert_array_equal(vectors[0], features.vectors[1])


def test_a_command_of_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["melody", "--input", str(folder), "--output", str(folder / "f.npz")]
    assert main(arguments) == 0
    assert read_features(folder / "f.npz").tokens.tolist() == ["1", "2", "3"]
    assert "1 cannot be read and get no row" in (out := capsys.readouterr().out)
    assert "  sound:\n    item_feat_emb: " in out
    assert main([*arguments, "--octaves", "0"]) == 2
    assert "octaves is 0; make it a whole number of at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "text|image|columns|melody|convert|check" in (out := capsys.readouterr().out)
    assert "notes            melodies; no download" in out


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ({"folder": "songs", "medium": "melodi"}, "there is no medium called 'melodi'. Did you mean 'melody'"),
        ({"folder": "songs", "medium": "text"}, r"medium 'text' needs columns \(of a table\), not folder"),
        ({}, r"needs either columns \(of a table\) or folder \(of pictures or of melodies\)"),
        ({"folder": "songs", "octave": 1}, "did you mean 'octaves'"),
        (
            {"folder": "songs", "medium": "melody", "dim": 3},
            "encoder 'notes' has no option dim; its options are octaves",
        ),
        ({"folder": "songs", "medium": "melody", "encoder": "tfidf"}, "'tfidf' is not for melodies; .* take notes"),
        ({"folder": "songs", "csv": "x.csv"}, "source.csv' is of no use with a folder of pictures or of melodies"),
        ({"folder": "output", "medium": "melody"}, r"holds no melody \(.notes\); name them by item id, as 42.notes"),
    ],
)
def test_its_mistakes_are_named(folder: Path, source: dict[str, Any], match: str) -> None:
    (folder.parent / "output").mkdir(exist_ok=True)
    with pytest.raises(InputError, match=match):
        load(folder, **source)


def test_columns_have_a_command(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('item_id,price,tags\n1,3,"a,b"\n2,5,a\n3,,\n')
    table = ["columns", "--input", str(tmp_path / "t.csv"), "--output", str(tmp_path / "f.npz")]
    assert main([*table, "--columns", "price", "--encoder", "numeric"]) == 0
    assert read_features(tmp_path / "f.npz").vectors.tolist() == [[-1], [1]]
    assert main([*table, "--columns", "tags", "--separator", ","]) == 0
    assert read_features(tmp_path / "f.npz").vectors.tolist() == [[1, 1], [1, 0]]


def test_npy_is_refused_as_output_before_anything_is_encoded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["melody", "--input", str(folder), "--output", str(folder / "f.npy")]) == 2
    assert "no room for item ids" in capsys.readouterr().err
