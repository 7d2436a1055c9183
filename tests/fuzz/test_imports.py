"""Tables of strangers through `mml import`: what it writes is a dataset that loads, or is refused for its split."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mml.errors import InputError
from mml.files.atomic import read_atomic
from mml.importing import Imported, import_log
from tests.data.small_log import small_rows
from tests.fuzz.mutations import CELLS, TEXT, Damage, damaged, damages
from tests.fuzz.outcome import a_folder, attempt, names, tries

ITEMS = b"id,title,category,price\n" + b"".join(
    f'i{item:03},"Shoe, no. {item}",kind{item % 4},{item * 1.5}\n'.encode() for item in range(24)
)


def log_csv(form: int) -> bytes:
    """The small log as somebody's table: seconds, dates, dates with zones, no time."""
    rows = [["customer_id", "product_id", "ordered_at"]]
    for user, item, time in small_rows():
        second = int(time) % 86400
        clock = f"2023-0{1 + second % 9}-1{second % 10} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        rows.append([user, item, [time, f"{time}000", clock, clock.replace(" ", "T") + "+02:00", ""][form]])
    return "\n".join(",".join(row[: 2 if form == 4 else 3]) for row in [*rows, []]).encode()


def imported(folder: Path, log: bytes, items: bytes | None = None, **options: object) -> Imported | InputError:
    """What comes of a log and a table of items."""
    (folder / "log.csv").write_bytes(log)
    if items is not None:
        (folder / "items.csv").write_bytes(items)
        options = {"items": folder / "items.csv", "tokens": ["category"], "numbers": ["price"], **options}
    before = names(folder)
    found = attempt(folder, lambda: import_log(folder / "log.csv", name="shop", data_path=folder / "data", **options))  # type: ignore[arg-type]
    if isinstance(found, Imported):
        check(found)
        assert sorted({name.split("/")[0] for name in names(folder)} - {name.split("/")[0] for name in before}) == [
            "data"
        ]
    return found  # type: ignore[no-any-return]


def check(made: Imported) -> None:
    """The written files are read strictly, and hold every row but those that are said to be left out."""
    log = read_atomic(made.folder / "shop.inter")
    for column in log:
        assert log[column].notna().all(), column
    if (made.folder / "shop.item").is_file():
        items = read_atomic(made.folder / "shop.item")
        assert items["item_id"].is_unique
    for sentence in made.said:
        assert sentence.isprintable()


@tries(0.077)
@given(damages(TEXT), st.integers(0, 4))
def test_logs(how: list[Damage], form: int) -> None:
    with a_folder() as folder:
        imported(folder, damaged(log_csv(form), how))


@tries(0.051)
@given(damages(TEXT))
def test_tables_of_items(how: list[Damage]) -> None:
    with a_folder() as folder:
        imported(folder, log_csv(0), damaged(ITEMS, how))


_words = st.sampled_from(CELLS) | st.text(max_size=6)


@tries(0.032)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "user": _words,
            "item": _words,
            "time": _words,
            "time_format": _words | st.sampled_from(["%s", "%", "%Q", "%Y", "%d/%m/%Y", "%z", "%Y%Y"]),
            "timezone": _words | st.sampled_from(["Europe/Berlin", "../UTC", "/etc/passwd", "posixrules", "right/UTC"]),
            "separator": _words,
            "encoding": _words
            | st.sampled_from(["utf-16", "cp1252", "rot13", "base64", "idna", "undefined", "punycode"]),
            "images": _words,
            "text": st.lists(_words, max_size=2),
            "item_id": _words,
        },
    ),
    st.booleans(),
)
def test_options(options: dict[str, object], with_items: bool) -> None:
    with a_folder() as folder:
        imported(folder, log_csv(2), ITEMS if with_items else None, **options)


@tries(0.013)
@given(_words)
def test_names_of_datasets(name: str) -> None:
    with a_folder() as folder:
        (folder / "log.csv").write_bytes(log_csv(0))
        found = attempt(folder, lambda: import_log(folder / "log.csv", name=name, data_path=folder / "data"))
        assert isinstance(found, InputError) or found.folder.parent == folder / "data"
