"""Feature files: one vector per item, keyed by item token, in every form that `item_feat_emb` accepts.

Forms: `.pth` / `.pt` holding {token: vector}, {'item_id': [...], 'embs': tensor} or an aligned [n_items, dim]
tensor; `.npz` holding item_id and emb; `.npy` holding an aligned array; and, for any other extension, RecBole's atomic
text `item_id:token<TAB>txt_emb:float_seq`. Nothing that is read here can run code: no pickles.
"""

import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.encoders.base import Array
from mml.files.faults import cannot_write
from mml.files.safe import check_target, replacing

TORCH_SUFFIXES = (".pth", ".pt")
VECTOR_KEYS = ("embs", "emb")
FREE_BYTES = 1 << 30
"""An archive may unpack to this much, whatever its own size."""
LARGEST_RATIO = 20
"""A larger one to so many times its own size."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Vectors of some items.

    Attributes:
        tokens: item tokens, distinct, str [n].
        vectors: finite float32 [n, dim].
    """

    tokens: NDArray[np.str_]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or self.tokens.shape != self.vectors.shape[:1]:
            raise ValueError(f"tokens {self.tokens.shape} do not fit vectors {self.vectors.shape}")

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.tokens)


def read_features(path: str | Path, item_tokens: Sequence[str] | None = None) -> FeatureTable:
    """Read and check a feature file of any accepted form.

    Args:
        path: the file; its extension names the form.
        item_tokens: the catalogue in the order of the rows (no padding item); used by an aligned tensor only.

    Raises:
        InputError: the file is missing, unreadable, empty, needs pickle or unpacks to far more than its size; or it
            holds vectors of unequal length, numbers that are not finite, a token twice, or not one row for each of
            item_tokens.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path or make it with prepare_multimodal_information_file")
    if path.suffix in TORCH_SUFFIXES:
        tokens, vectors = _read_torch(path, item_tokens)
    elif path.suffix == ".npz":
        tokens, vectors = _read_npz(path)
    elif path.suffix == ".npy":
        tokens, vectors = _read_npy(path, item_tokens)
    else:
        tokens, vectors = _read_text(path)
    _check(path, tokens, vectors)
    return FeatureTable(np.asarray(tokens, dtype=np.str_), np.ascontiguousarray(vectors))


def write_features(path: str | Path, table: FeatureTable, field: str = "txt_emb") -> None:
    """Write table in the form that the extension of path names; readers never see half a file.

    Args:
        path: `.pth` / `.pt` ({'item_id', 'embs'}), `.npz` (item_id, emb) or anything else (atomic text).
        table: what to write; refused when a reader would refuse it.
        field: name of the vector column in the text form.
    """
    path = Path(path)
    refuse_to_write(path)
    tokens = table.tokens.tolist()
    _check(path, tokens, table.vectors)
    with replacing(path) as temporary:
        if path.suffix in TORCH_SUFFIXES:
            with temporary.open("wb") as file:  # a handle: of a path, the archive would hold the temporary name
                torch.save({"item_id": tokens, "embs": torch.tensor(table.vectors)}, file)
        elif path.suffix == ".npz":
            with temporary.open("wb") as file:  # a handle, since np.savez appends .npz to a name
                np.savez(file, item_id=table.tokens, emb=table.vectors)
        else:
            _write_text(path, temporary, tokens, table.vectors, field)


def refuse_to_write(path: Path) -> None:
    """Refuse a name that no file can have, one of something else than a file, or one whose form cannot hold item ids.

    Raises:
        InputError: it is empty or a folder's, a pipe's or the like, or ends in `.npy`.
    """
    if path.name in ("", "..") or path.is_dir():
        raise InputError(f"--output '{path}' is a folder; name a file, such as {path / 'txt_emb.pth'}")
    if path.suffix == ".npy":
        raise InputError(f"{path}: an .npy file has no room for item ids; write .npz, .pth or text instead")
    try:
        check_target(path)
    except OSError as error:
        raise cannot_write(path, error) from error


def join_features(table: FeatureTable, item_tokens: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Lay the vectors out in the order of a catalogue.

    Returns:
        vectors float32 [n_items, dim], zero where the item has no row, and present bool [n_items].

    Raises:
        InputError: if no item has a row.
    """
    row_of = {token: row for row, token in enumerate(table.tokens.tolist())}
    rows = np.fromiter((row_of.get(token, -1) for token in item_tokens), dtype=np.int64, count=len(item_tokens))
    present = rows >= 0
    if not present.any():
        raise InputError(
            f"none of the dataset's {len(item_tokens)} items has a feature row: the dataset has items like "
            f"{_some(item_tokens)}, the feature file {_some(row_of)}; make the feature file with the dataset's item ids"
        )
    vectors = np.zeros((len(item_tokens), table.dim), dtype=np.float32)
    vectors[present] = table.vectors[rows[present]]
    return vectors, present


def _some(tokens: Iterable[str]) -> str:
    return ", ".join(repr(token) for token, _ in zip(tokens, range(3), strict=False))


# --- .pth -----------------------------------------------------------------------------------------------------------


def _read_torch(path: Path, item_tokens: Sequence[str] | None) -> tuple[list[str], NDArray[np.float32]]:
    content = _load_torch(path)
    if isinstance(content, torch.Tensor):
        return _aligned(path, content, item_tokens)
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: holds a {type(content).__name__}; save {{token: vector}}, {{'item_id': [...], 'embs': tensor}} "
            "or one [n_items, dim] tensor"
        )
    key = next((key for key in VECTOR_KEYS if key in content), None)
    if "item_id" in content and key is not None:
        tokens = _tokens(path, content["item_id"])
        vectors = content[key]
    elif "item_id" in content:
        raise InputError(f"{path}: has the key 'item_id' but not 'embs'; save the vectors under 'embs'")
    else:
        tokens = _tokens(path, list(content))
        vectors = list(content.values())
    return tokens, _matrix(path, tokens, vectors)


def _load_torch(path: Path) -> object:
    _refuse_bomb(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise _unreadable(path, error) from error
        culprit = re.search(r"GLOBAL (\S+)", str(error))
        raise InputError(
            f"{path}: holds pickled Python objects{f' ({culprit[1]})' if culprit else ''}, which are not read because "
            "they can run code; save tensors, lists and str only (torch.as_tensor(array) for numpy arrays)"
        ) from error
    except Exception as error:  # torch raises a different type for each kind of damage
        raise _unreadable(path, error) from error


def _aligned(
    path: Path,
    tensor: torch.Tensor | Array,
    item_tokens: Sequence[str] | None,
    noun: str = "a tensor",
    instead: str = "save {'item_id': [...], 'embs': tensor}",
) -> tuple[list[str], NDArray[np.float32]]:
    """The rows of a tensor or array as those of the catalogue's items."""
    if item_tokens is None:
        raise InputError(
            f"{path}: holds {noun} without item ids, and no catalogue to align it with is known here; {instead}"
        )
    if tensor.ndim != 2 or tensor.shape[0] != len(item_tokens):
        raise InputError(
            f"{path}: holds {noun} of shape {list(tensor.shape)}, but the dataset has {len(item_tokens)} items (the "
            f"padding item and those that filters leave out have no row); make it [n_items, dim] or {instead}"
        )
    tokens = list(item_tokens)
    return tokens, _matrix(path, tokens, tensor)


# --- .npz -----------------------------------------------------------------------------------------------------------


def _read_npz(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    _refuse_bomb(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name in ("item_id", *VECTOR_KEYS)}
            names = archive.files
    except Exception as error:  # numpy, zipfile and zlib raise a different type for each kind of damage
        if "allow_pickle" in str(error) and zipfile.is_zipfile(path):
            raise InputError(
                f"{path}: holds arrays of Python objects, which are not read because they can run code; save item_id "
                "as np.asarray(ids, dtype=str) and emb as a float32 array"
            ) from error
        raise _unreadable(path, error) from error
    key = next((key for key in reversed(VECTOR_KEYS) if key in arrays), None)
    if "item_id" not in arrays or key is None:
        raise InputError(f"{path}: holds {', '.join(names) or 'no arrays'}; save the arrays item_id and emb")
    tokens = _tokens(path, arrays["item_id"])
    return tokens, _matrix(path, tokens, arrays[key])


# --- .npy -----------------------------------------------------------------------------------------------------------


def _read_npy(path: Path, item_tokens: Sequence[str] | None) -> tuple[list[str], NDArray[np.float32]]:
    try:
        # mapped, so that a header that promises more than there is cannot make room for it
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # as above
        if "Python objects" in str(error):
            raise InputError(
                f"{path}: holds Python objects, which are not read because they can run code; save a float32 array"
            ) from error
        raise _unreadable(path, error) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: is an archive of arrays; name it .npz and save the arrays item_id and emb")
    return _aligned(path, array, item_tokens, "an array", "save an .npz of the arrays item_id and emb")


# --- atomic text ----------------------------------------------------------------------------------------------------


def _read_text(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    tokens: list[str] = []
    rows: list[NDArray[np.float32]] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            _check_header(path, file.readline().rstrip("\n"))
            for number, line in enumerate(file, start=2):
                if line.strip():
                    token, row = _parse_line(path, number, line.rstrip("\n"))
                    if rows and len(row) != len(rows[0]):
                        raise InputError(
                            f"{path}, line {number}: item {token!r} has {len(row)} numbers, the items above have "
                            f"{len(rows[0])}; give every item the same number"
                        )
                    tokens.append(token)
                    rows.append(row)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    return tokens, np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)


def _check_header(path: Path, header: str) -> None:
    if not header:
        raise InputError(f"{path}: is empty; the first line is item_id:token<TAB>txt_emb:float_seq")
    columns = header.split("\t")
    if len(columns) != 2 or not columns[0].endswith(":token") or not columns[1].endswith(":float_seq"):
        raise InputError(
            f"{path}, line 1: the header is {header[:80]!r}; write item_id:token<TAB>txt_emb:float_seq "
            "(other forms need the extension .pth or .npz)"
        )


def _parse_line(path: Path, number: int, line: str) -> tuple[str, NDArray[np.float32]]:
    token, tab, numbers = line.partition("\t")
    if not tab or not token or not numbers.strip():
        raise InputError(
            f"{path}, line {number}: expected an item id, a tab and the vector's numbers, found {line[:60]!r}; leave "
            "out the line of an item that has no vector"
        )
    try:
        with np.errstate(over="ignore"):
            return token, np.array(numbers.split(), dtype=np.float64).astype(np.float32)
    except ValueError as error:
        bad = next((word for word in numbers.split() if not _is_float(word)), numbers)
        raise InputError(
            f"{path}, line {number}: {bad[:40]!r} is not a number; separate the vector's numbers by single spaces"
        ) from error


def _is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _write_text(path: Path, temporary: Path, tokens: list[str], vectors: NDArray[np.float32], field: str) -> None:
    bad = next((token for token in tokens if re.search(r"[\t\r\n]", token)), None)
    if bad is not None:
        raise InputError(f"{path}: item {bad!r} holds a tab or a line break; write a .pth or .npz file instead")
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"item_id:token\t{field}:float_seq\n")
        for token, vector in zip(tokens, vectors, strict=True):
            # Nine significant digits are enough to give every float32 back exactly.
            file.write(f"{token}\t{' '.join(f'{x:.9g}' for x in vector.tolist())}\n")


# --- checks that all forms share ------------------------------------------------------------------------------------


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to far more than its own size, which no features do."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):  # its reader will say what is wrong
        return
    _refuse_size(path, unpacked)


def _refuse_size(path: Path, unpacked: int) -> None:
    if unpacked > max(FREE_BYTES, LARGEST_RATIO * path.stat().st_size):
        raise InputError(
            f"{path}: would unpack to {unpacked / 2**30:.1f} GiB, more than {LARGEST_RATIO} times its size, and is not "
            "read; save the features uncompressed (np.savez), or as float32 without expanded tensors"
        )


def _unreadable(path: Path, error: BaseException) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    return InputError(f"{path}: cannot be read as a {path.suffix or 'text'} file ({reason}); make it again")


def _tokens(path: Path, ids: object) -> list[str]:
    """Item ids of any kind, list, tensor or array, as str."""
    values = ids.tolist() if isinstance(ids, torch.Tensor | np.ndarray) else ids
    if not isinstance(values, list | tuple):
        raise InputError(f"{path}: item_id is a {type(values).__name__}; save a list of item ids")
    bad = next((value for value in values if not isinstance(value, str | int)), None)
    if bad is not None:
        raise InputError(f"{path}: item id {bad!r} is a {type(bad).__name__}; save item ids as str or int")
    return [str(value) for value in values]


def _matrix(path: Path, tokens: list[str], vectors: object) -> NDArray[np.float32]:
    """One tensor or array [n, dim], or a list of n vectors or numbers, as float32 [n, dim]."""
    if not isinstance(vectors, list | tuple | torch.Tensor | np.ndarray) or not getattr(vectors, "ndim", 1):
        raise InputError(f"{path}: the vectors are one {type(vectors).__name__}; save an array [n_items, dim]")
    if len(vectors) != len(tokens):
        raise InputError(f"{path}: holds {len(tokens)} item ids but {len(vectors)} vectors; save one vector per item")
    try:
        if isinstance(vectors, torch.Tensor | np.ndarray):
            _refuse_size(path, 4 * int(np.prod(vectors.shape, dtype=object)))
            matrix = _as_float32(vectors)
            matrix = matrix[:, None] if matrix.ndim == 1 else matrix
        else:
            matrix = _stack(
                path, tokens, [torch.as_tensor(row).detach().to(torch.float32).reshape(-1) for row in vectors]
            )
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: a vector is not made of numbers ({error}); save float tensors") from error
    if matrix.ndim != 2:
        raise InputError(f"{path}: vectors have the shape {list(matrix.shape)}; make it [n_items, dim]")
    return matrix


def _as_float32(vectors: torch.Tensor | Array) -> NDArray[np.float32]:
    if isinstance(vectors, torch.Tensor):
        return vectors.detach().to(torch.float32).numpy()
    if vectors.dtype.kind not in "biuf":
        raise TypeError(f"the array is of {vectors.dtype}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
        return np.array(vectors, dtype=np.float32)


def _stack(path: Path, tokens: list[str], rows: list[torch.Tensor]) -> NDArray[np.float32]:
    if not rows:
        return np.zeros((0, 0), dtype=np.float32)
    for token, row in zip(tokens, rows, strict=True):
        if len(row) != len(rows[0]):
            raise InputError(
                f"{path}: item {token!r} has {len(row)} numbers, item {tokens[0]!r} has {len(rows[0])}; give every "
                "item the same number"
            )
    return torch.stack(rows).numpy()


def _check(path: Path, tokens: list[str], vectors: NDArray[np.float32]) -> None:
    if not vectors.size:
        raise InputError(f"{path}: holds no vectors; it needs at least one item with at least one number")
    if "" in tokens:
        raise InputError(f"{path}: row {tokens.index('') + 1} has an empty item id; name the item or drop the row")
    ending = next((token for token in tokens if token.endswith("\0")), None)
    if ending is not None:  # an array of texts would drop it
        raise InputError(f"{path}: item {ending!r} ends in a null character; write its id without")
    if len(set(tokens)) < len(tokens):
        counts = Counter(tokens)
        token = next(token for token in tokens if counts[token] > 1)
        extra = len(tokens) - len(counts)
        raise InputError(f"{path}: item {token!r} has {counts[token]} rows ({extra} rows too many); keep one per item")
    bad = ~np.isfinite(vectors).all(axis=1)
    if bad.any():
        raise InputError(
            f"{path}: item {tokens[int(bad.argmax())]!r} has NaN or infinite numbers ({int(bad.sum())} of "
            f"{len(tokens)} items have); drop those rows, a missing row is legal"
        )
