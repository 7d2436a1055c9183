"""The command line, from raw texts and real picture files to checked feature files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from mml.features.encoders import descriptor
from mml.features.files import read_features
from prepare_multimodal_information_file.cli import main

THEMES = [
    ("noodle", "soup", "spicy", "bowl"),
    ("football", "goal", "player", "match"),
    ("piano", "song", "band", "tune"),
]
N_ITEMS = 24


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of items with three themes, which each user keeps to, with texts and pictures; items 3 lacks a text."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    folder = tmp_path / "dataset" / "shop"
    (folder / "images").mkdir(parents=True)
    rows = ["item_id,title,category,description"]
    for item in range(N_ITEMS):
        theme = item % 3
        words = " ".join(random.permutation(THEMES[theme])[:3])
        rows.append(f'i{item},{words},c{theme},"{words}, number {item}"' if item != 3 else f"i{item},,,")
        pixels = random.integers(0, 60, (30, 40, 3), dtype=np.uint8)
        pixels[:, :, theme] += 180
        Image.fromarray(pixels).save(folder / "images" / f"i{item}.png")
    (folder / "item_text.csv").write_text("\n".join(rows) + "\n")
    log = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(60):
        log += [f"u{user}\ti{3 * item + user % 3}\t{time}" for time, item in enumerate(random.permutation(8)[:5])]
    (folder / "shop.inter").write_text("\n".join(log) + "\n")
    return folder


def run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def text(shop: Path, output: str = "txt_emb.pth", *more: str) -> int:
    columns = ("--text-cols", "title,category,description")
    return run("text", "--input", shop / "item_text.csv", *columns, "--output", shop / output, *more)


def test_texts_become_a_feature_file_and_config_lines(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert text(Path("dataset/shop")) == 0
    table = read_features(shop / "txt_emb.pth")
    assert "i3" not in table.tokens
    assert len(table) == N_ITEMS - 1
    out = capsys.readouterr().out
    assert "1 have no text that the encoder can use and get no row:\n  i3\n" in out
    lines = yaml.safe_load(out[out.index("learners:") :])
    assert lines == {"learners": {"txt": {"item_feat_emb": "dataset/shop/txt_emb.pth"}}}


@pytest.mark.parametrize("output", ["f.pth", "f.npz", "shop.txtemb"])
def test_texts_are_written_in_any_form(shop: Path, output: str) -> None:
    assert text(shop, output, "--dim", "5") == 0
    assert read_features(shop / output).dim == 5
    assert not list(shop.glob(".*"))


def test_a_number_beside_which_all_others_vanish_is_refused(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = [f"i{item},{item + 0.5 if item else 1e300}" for item in range(N_ITEMS)]
    (shop / "prices.csv").write_text("\n".join(["item_id,price", *prices]) + "\n")
    options = ("--columns", "price", "--encoder", "numeric", "--output", shop / "price_emb.pth")
    assert run("columns", "--input", shop / "prices.csv", *options) == 2
    said = capsys.readouterr().err
    assert "prices.csv: column 'price': item 'i0' has 1e+300, beside which the other items' numbers are all the" in said
    assert not (shop / "price_emb.pth").exists()


def test_pictures_of_a_folder_with_unreadable_ones(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "images" / "i0.png").write_text("oops")
    assert run("image", "--input", shop / "images", "--output", shop / "img_emb.pth", "--modality", "pic") == 0
    table = read_features(shop / "img_emb.pth")
    assert len(table) == N_ITEMS - 1
    assert "i0" not in table.tokens
    out = capsys.readouterr().out
    assert f"1 cannot be read and get no row:\n  {shop / 'images' / 'i0.png'}\n" in out
    assert "  pic:\n" in out


def test_many_unreadable_pictures_are_listed_in_a_file(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for item in range(15):
        (shop / "images" / f"i{item}.png").write_text("oops")
    assert run("image", "--input", shop / "images", "--output", shop / "img_emb.pth") == 0
    assert "... and 5 more, all listed in" in capsys.readouterr().out
    assert len((shop / "img_emb.pth.skipped.txt").read_text().split()) == 15


def test_pictures_of_a_column_of_paths(shop: Path) -> None:
    (shop / "pics.tsv").write_text("sku\tfile\n1\timages/i1.png\n2\timages/i2.png\n3\t\n4\tnowhere.png\n")
    arguments = ("--input", shop / "pics.tsv", "--id-col", "sku", "--path-col", "file")
    assert run("image", *arguments, "--output", shop / "img_emb.npz") == 0
    assert read_features(shop / "img_emb.npz").tokens.tolist() == ["1", "2"]


def test_encoders_may_learn_from_some_items_only(shop: Path) -> None:
    (shop / "warm.txt").write_text("\n".join(f"i{item}" for item in range(1, N_ITEMS, 3)))
    assert text(shop, "f.npz", "--fit-on", str(shop / "warm.txt")) == 0
    tokens = read_features(shop / "f.npz").tokens.tolist()
    assert "i1" in tokens
    assert read_features(shop / "f.npz").dim <= 8


def test_conversions_there_and_back(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert text(shop, "f.pth") == 0
    for before, after in [("f.pth", "shop.emb"), ("shop.emb", "f.npz"), ("f.npz", "g.pth")]:
        assert run("convert", "--input", shop / before, "--output", shop / after, "--modality", "x") == 0
    first, last = read_features(shop / "f.pth"), read_features(shop / "g.pth")
    np.testing.assert_array_equal(first.vectors, last.vectors)
    assert (shop / "shop.emb").read_text().startswith("item_id:token\tx_emb:float_seq\n")
    assert "  x:\n    item_feat_emb: " in capsys.readouterr().out


def test_an_aligned_tensor_gets_the_ids_of_the_dataset(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    (shop / "shop.item").write_text("item_id:token\nzzz\n" + "".join(f"i{item}\n" for item in range(N_ITEMS)))
    torch.save(torch.arange(N_ITEMS + 1.0)[:, None], shop / "f.pth")
    assert run("convert", "--input", shop / "f.pth", "--output", shop / "g.npz") == 2
    assert "without item ids" in capsys.readouterr().err
    assert run("convert", "--input", shop / "f.pth", "--output", shop / "g.npz", "--dataset", shop) == 0
    table = read_features(shop / "g.npz")
    assert table.tokens.tolist()[:3] == ["zzz", "i0", "i1"]
    assert table.vectors[:, 0].tolist()[:3] == [0, 1, 2]


def check(shop: Path, capsys: pytest.CaptureFixture[str], *more: str | Path) -> str:
    assert run("check", "--input", shop / "txt_emb.pth", "--dataset", shop, *more) == 0
    return capsys.readouterr().out


def test_check_reports_coverage_norms_taste_and_neighbours(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text(shop)
    capsys.readouterr()
    titles = ("--titles", shop / "item_text.csv", "--title-cols", "title,category")
    out = check(shop, capsys, *titles, "--items", "i4,i5", "--neighbours", "2")
    assert f"{N_ITEMS - 1} items, " in out
    assert f"items with an interaction  {N_ITEMS - 1} of {N_ITEMS} (95.8%)" in out
    assert "without a row: i3" in out
    assert "all of them equal" in out
    neighbours = out.split("Nearest neighbours")[1].splitlines()[1:]
    assert [line.rsplit(" | ", 1)[1] for line in neighbours] == ["c1"] * 3 + ["c2"] * 3
    share = float(out.split("  in ")[1].split("%")[0])
    assert share > 65  # users keep to a theme; two of three other items are of another


def test_check_of_features_that_say_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"i{item}\t{' '.join(map(str, np.random.default_rng(item).normal(size=8)))}" for item in range(N_ITEMS)]
    (shop / "txt_emb.pth").unlink(missing_ok=True)
    (shop / "x.emb").write_text("item_id:token\tx_emb:float_seq\n" + "\n".join([*rows, rows[0].replace("i0", "j")]))
    run("convert", "--input", shop / "x.emb", "--output", shop / "txt_emb.pth")
    capsys.readouterr()
    out = check(shop, capsys)
    assert 35 < float(out.split("  in ")[1].split("%")[0]) < 65
    assert "items that share their vector  2 of 25 (8.0%)" in out
    assert "the largest group: i0, j" in out
    assert "rows of items that the dataset does not have, never used: j" in out
    assert "####" in out


def test_check_takes_titles_from_the_item_file(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text(shop)
    rows = [f"i{item}\tName {item}\n" for item in range(N_ITEMS + 1)]
    (shop / "shop.item").write_text("item_id:token\tmovie_title:token_seq\n" + "".join(rows))
    capsys.readouterr()
    out = check(shop, capsys, "--items", "i4")
    assert "  i4  Name 4\n" in out
    assert f"items of the .item file    {N_ITEMS - 1} of {N_ITEMS + 1}" in out


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["text", "--input", "no.csv", "--text-cols", "t", "--output", "o.pth"], "no.csv: no such table"),
        (["text", "--input", "{s}/item_text.csv", "--text-cols", "abstract", "--output", "o"], "no column 'abstract'"),
        (["text", "--input", "{s}/item_text.csv", "--text-cols", ",", "--output", "o"], "--text-cols names no column"),
        (
            ["text", "--input", "{s}/item_text.csv", "--text-cols", "title", "--output", "o", "--pooling", "cls"],
            "encoder 'tfidf' has no option pooling",
        ),
        (
            ["text", "--input", "{s}/item_text.csv", "--text-cols", "title", "--output", "o", "--fit-on", "nope"],
            "nope: is no file; --fit-on",
        ),
        (["image", "--input", "{s}/nowhere", "--output", "o.pth"], "no such folder"),
        (["image", "--input", "{s}/item_text.csv", "--output", "o.pth"], "is a file; give --path-col"),
        (["convert", "--input", "{s}/shop.inter", "--output", "o.pth"], "line 1: the header is"),
        (["check", "--input", "{s}/f.pth", "--dataset", "{s}/images"], "images.inter: no such file"),
        (["check", "--input", "{s}/f.pth", "--dataset", "{s}"], "f.pth: no such file"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    shop: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], match: str
) -> None:
    assert run(*(argument.format(s="dataset/shop") for argument in arguments)) == 2
    err = capsys.readouterr().err
    assert match in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not Path("o.pth").exists()


def test_check_of_foreign_features_says_so(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "x.emb").write_text("item_id:token\tx_emb:float_seq\n1\t1 2\n")
    assert run("check", "--input", shop / "x.emb", "--dataset", shop) == 2
    captured = capsys.readouterr()
    assert "none of the dataset's 24 items has a feature row" in captured.err
    assert not captured.out
    text(shop)
    assert run("check", "--input", shop / "txt_emb.pth", "--dataset", shop, "--items", "i3") == 2
    assert "item 'i3' has no row" in capsys.readouterr().err


def test_an_interrupted_run_goes_on(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mml.features.encoders.base.CHUNK", 5)
    arguments = ("image", "--input", shop / "images", "--output", shop / "img_emb.npz")
    assert run(*arguments) == 0
    whole = read_features(shop / "img_emb.npz")
    (shop / "img_emb.npz").unlink()
    seen: list[int] = []
    real = descriptor.map_pictures

    def counting(paths, make, smallest=0):  # type: ignore[no-untyped-def]
        if len(seen) == 3:
            seen.append(0)
            raise KeyboardInterrupt
        seen.append(len(paths))
        return real(paths, make, smallest)

    monkeypatch.setattr(descriptor, "map_pictures", counting)
    assert run(*arguments) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    assert not (shop / "img_emb.npz").exists()
    assert (shop / ".img_emb.npz.part").exists()
    assert run(*arguments) == 0
    assert seen == [5, 5, 5, 0, 5, 4]
    again = read_features(shop / "img_emb.npz")
    np.testing.assert_array_equal(whole.vectors, again.vectors)
    assert not list(shop.glob(".*"))
