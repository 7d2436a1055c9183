"""The whole way on real texts and posters, which are not part of the repository."""

from pathlib import Path

import numpy as np
import pytest

from mml.features.files import read_features
from prepare_multimodal_information_file.cli import main


@pytest.fixture
def movies(repo_root: Path) -> Path:
    """A folder with `item_text.csv` and `images/`."""
    folder = repo_root.parent / "shared" / "data" / "ml-100k"
    if not (folder / "item_text.csv").is_file():
        pytest.skip("no real texts and posters in ../shared/data/ml-100k")
    return folder


def genre_likeness(movies: Path, path: Path) -> tuple[float, float]:
    """Mean overlap of genres between an item and its nearest one by features, and between any two items."""
    from mml.features.raw import read_columns

    table = read_features(path)
    tokens, frame = read_columns(movies / "item_text.csv", "item_id", ["genres"])
    genres = dict(zip(tokens, frame["genres"], strict=True))
    sets = [set(genres[token].split(", ")) for token in table.tokens.tolist()]
    unit = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    random = np.random.default_rng(0).permutation(len(sets))

    def overlap(others: np.ndarray) -> float:
        return float(np.mean([len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in enumerate(others)]))

    return overlap(cosines.argmax(axis=1)), overlap(random)


@pytest.mark.slow
def test_posters_and_abstracts_say_something_of_the_genre(movies: Path, tmp_path: Path) -> None:
    table = ["--input", str(movies / "item_text.csv"), "--text-cols", "title,abstract"]
    assert main(["text", *table, "--output", str(tmp_path / "txt.pth")]) == 0
    near, random = genre_likeness(movies, tmp_path / "txt.pth")
    assert near > random + 0.1
    assert main(["image", "--input", str(movies / "images"), "--output", str(tmp_path / "img.pth")]) == 0
    near, random = genre_likeness(movies, tmp_path / "img.pth")
    assert near > random + 0.02
    assert len(read_features(tmp_path / "img.pth")) == 1437
