"""The data set's folder: RecBole's atomic files, raw texts and pictures, feature files, a README and the marker."""

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mml.errors import InputError
from mml.files.folder import new_folder
from mml.files.kinds import read_plain
from mml.files.safe import JSON
from mml.synthetic.arrays import Ints
from mml.synthetic.content import CHUNK, ItemTexts, has_picture, item_pictures, item_texts
from mml.synthetic.generator import SyntheticData
from mml.synthetic.readme import readme
from mml.synthetic.spec import SyntheticSpec

GENERATOR = "mml.synthetic"
_FORMER_NAME = "mml.data.synthetic"
VERSION = 1
"""Raised when the same spec gives other data than before."""
MARKER_FILE = "synthetic.json"


def write(data: SyntheticData, folder: str | Path, *, with_time: bool = True, features: bool = True) -> Path:
    """Write `data` to `folder`, whose name is the data set's name, and return the folder.

    Without `features` there are no texts, pictures or feature files. The folder appears whole or not at all; an older
    one is replaced if it is synthetic too, else InputError is raised.
    """
    folder = Path(folder)
    if folder.name != data.spec.name:
        raise InputError(f"{folder}: the folder of data set {data.spec.name!r} must be called {data.spec.name}")
    target = folder.resolve()
    refuse_foreign(target)
    with new_folder(target, keep=lambda path: False) as fresh:
        _write_log(fresh / f"{data.spec.name}.inter", data, with_time)
        _write_truth(fresh / "ground_truth.npz", data)
        if data.spec.visits is not None:
            (fresh / f"{data.spec.name}.yaml").write_text(settings(data.spec, with_time, features), encoding="utf-8")
        if features:
            _write_content(fresh, data)
        facts = describe(data, with_time, features)
        (fresh / "README.md").write_text(readme(data.spec, facts), encoding="utf-8")
        (fresh / MARKER_FILE).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return target


def is_synthetic(folder: str | Path) -> bool:
    """Tell whether `folder` was made by this generator."""
    return _marker(Path(folder)) is not None


def spec_of(folder: str | Path) -> SyntheticSpec:
    """What a folder was made of.

    Raises:
        InputError: if this generator did not make it.
    """
    try:
        return SyntheticSpec.from_facts(_marker(Path(folder)))
    except (KeyError, TypeError):
        raise InputError(
            f"{Path(folder) / MARKER_FILE} is missing or no marker of this generator's: only data that "
            "`python -m mml.synthetic` made have a known truth"
        ) from None


def _marker(folder: Path) -> dict[str, JSON] | None:
    """The facts of `describe`, or None if `folder` has no valid marker."""
    try:
        marker = json.loads(read_plain(folder / MARKER_FILE))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(marker, dict) and marker.get("generator") in (GENERATOR, _FORMER_NAME)
    return marker if ours else None


def refuse_foreign(target: Path) -> None:
    """Raise InputError if `target` holds anything that this generator did not make."""
    if not target.exists() or is_synthetic(target):
        return
    if not target.is_dir():
        raise InputError(f"{target} is a file; move it away or choose another --output")
    if any(target.iterdir()):
        raise InputError(
            f"{target} exists and is not synthetic (it has no valid {MARKER_FILE}), so it is left alone; "
            "move it away, or choose another name or --output"
        )


def describe(data: SyntheticData, with_time: bool, features: bool) -> dict[str, object]:
    """Return the facts of the marker file: generator, spec and counts."""
    spec = data.spec
    late_item = data.items.launch > spec.split_time
    new_user = data.users.arrival > spec.split_time
    return {
        "synthetic": True,
        "generator": GENERATOR,
        "version": VERSION,
        **asdict(spec),
        "interactions": len(data.item),
        "new_users": int(new_user.sum()),
        "late_items": int(late_item.sum()),
        "new_users_share_on_late_items": round(float(late_item[data.item[new_user[data.user]]].mean()), 4),
        "with_time": with_time,
        "features": features,
    }


def settings(spec: SyntheticSpec, with_time: bool, features: bool) -> str:
    """The configuration file of a shop's data set."""
    lines = [f"# mml train {spec.name}", "repeatable: True"]
    if with_time:
        lines.append(f"data_split_time: {spec.split_time}")
    if features:
        modalities = [f"  {name}: {{item_feat_emb: {name}_emb.pth}}" for name in ("txt", "img")]
        lines += ["learners:", "  id: {}", *modalities]
    return "\n".join(lines) + "\n"


def _write_log(path: Path, data: SyntheticData, with_time: bool) -> None:
    user, item = np.array(data.user_token)[data.user], np.array(data.item_token)[data.item]
    columns = [user.tolist(), item.tolist()]
    header = ["user_id:token", "item_id:token"]
    if with_time:
        columns.append(data.time.astype(str).tolist())
        header.append("timestamp:float")
    _write_rows(path, header, columns)


def _write_rows(path: Path, header: list[str], columns: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("\t".join(header) + "\n")
        file.writelines("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def _write_truth(path: Path, data: SyntheticData) -> None:
    np.savez_compressed(
        path,
        item_id=np.array(data.item_token),
        text_half=data.items.text_half,
        picture_half=data.items.picture_half,
        launch_time=data.items.launch,
        user_id=np.array(data.user_token),
        text_weight=data.users.text_weight,
        arrival_time=data.users.arrival,
    )


def _write_content(fresh: Path, data: SyntheticData) -> None:
    texts = item_texts(data)
    header = ["item_id:token", "title:token_seq", "category:token"]
    columns = [data.item_token, texts.title, [category or "unknown" for category in texts.category]]
    if data.spec.visits is not None:
        header.append("launch:float")
        columns.append(data.items.launch.astype(str).tolist())
    _write_rows(fresh / f"{data.spec.name}.item", header, columns)
    _write_texts(fresh / "item_text.csv", data.item_token, texts)
    pictured = np.flatnonzero(has_picture(data))
    _write_pictures(fresh / "images", data, pictured)
    _write_features(fresh, data, texts, pictured)


def _write_texts(path: Path, tokens: list[str], texts: ItemTexts) -> None:
    rows = zip(tokens, texts.title, texts.category, texts.description, strict=True)
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["item_id", "title", "category", "description"])
    table.writerows(row for row in rows if any(row[1:]))
    path.write_text(text.getvalue(), encoding="utf-8")


def _write_pictures(folder: Path, data: SyntheticData, items: Ints) -> None:
    folder.mkdir()
    for begin in range(0, len(items), CHUNK):
        part = items[begin : begin + CHUNK]
        for item, pixels in zip(part.tolist(), item_pictures(data, part), strict=True):
            Image.fromarray(pixels).save(folder / f"{data.item_token[item]}.png", compress_level=1)


def _write_features(fresh: Path, data: SyntheticData, texts: ItemTexts, pictured: Ints) -> None:
    """Encode what was written; the encoders are fitted on the whole catalogue.

    Fitted on the early items only, TF-IDF + SVD would lose the late ones' rare words and so make them alike; two thirds
    of the nearest neighbours of any history would then be late items.
    """
    from mml.features.media import MEDIA

    joined = [" ".join(parts) for parts in zip(texts.title, texts.category, texts.description, strict=True)]
    vectors, present = MEDIA["text"].encoder("tfidf").encode(joined)
    _save_features(fresh / "txt_emb.pth", np.array(data.item_token), vectors, present)
    if len(pictured):
        tokens = np.array(data.item_token)[pictured]
        paths = [fresh / "images" / f"{token}.png" for token in tokens.tolist()]
        vectors, present = MEDIA["image"].encoder("descriptor").encode(paths)
        _save_features(fresh / "img_emb.pth", tokens, vectors, present)


def _save_features(
    path: Path, tokens: NDArray[np.str_], vectors: NDArray[np.float32], present: NDArray[np.bool_]
) -> None:
    from mml.features.files import FeatureTable, write_features

    write_features(path, FeatureTable(tokens[present], vectors[present]))
