"""How a shop's tables are laid out, as its import read them, so that later ones are read by the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mml.errors import InputError
from mml.settings import inside
from mml.tables.columns import ITEM, TIME, USER, called, guess_id

NAMES = (
    *("user", "item", "time", "item_id", "title", "launch", "launch_format"),
    *("time_format", "timezone", "separator", "encoding"),
)
"""Inside the key `imported`; each is a text. `columns` and `decimals` are mappings of texts."""
MARKS = (".", ",")


@dataclass(frozen=True)
class TableLayout:
    """How the tables of one shop are read.

    Args:
        users: what a log's column of users may be called, the likeliest first.
        items: its column of items.
        times: its column of times.
        item_ids: the column of ids in a table of items.
        columns: other columns of a table of items -> their names in the dataset.
        launches: what a table of items may call the column of when they came.
        title: the dataset's column that an item is shown by; a later table may call it `title`.
        decimals: the dataset's columns of amounts that were not written plainly -> what their decimals follow.
        launch_format: strptime's form of these times, where the imported ones needed one.
        time_format: strptime's form of times; they are recognised where it is None or does not fit.
        timezone: of times that name none.
        separator: between a CSV's columns; it is found from the header where it is None or does not hold it.
        encoding: of a CSV.
        counted: the log's times are the numbers of an order, not dates.
    """

    users: Sequence[str] = ("user_id",)
    items: Sequence[str] = ("item_id",)
    times: Sequence[str] = ("timestamp",)
    item_ids: Sequence[str] = ("item_id",)
    launches: Sequence[str] = ("launch",)
    columns: Mapping[str, str] = field(default_factory=dict)
    title: str | None = None
    decimals: Mapping[str, str] = field(default_factory=dict)
    launch_format: str | None = None
    time_format: str | None = None
    timezone: str = "UTC"
    separator: str | None = None
    encoding: str = "utf-8"
    counted: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> TableLayout:
        """By a run's settings: the key `imported`, and the names of a log that was made by hand."""
        own = inside(settings.get("imported"))
        fields = [settings.get(name) for name in ("USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")]
        user, item, time = (own.get(name) for name in ("user", "item", "time"))
        given = {name: str(own[name]) for name in NAMES[4:] if own.get(name) is not None}
        return cls(
            users=_distinct(user, fields[0], "user_id"),
            items=_distinct(item, fields[1], "item_id"),
            times=_distinct(time, fields[2], "timestamp"),
            item_ids=_distinct(own.get("item_id"), fields[1], "item_id", item),
            launches=_distinct(own.get("launch"), settings.get("LAUNCH_FIELD"), "launch"),
            columns={name: str(other) for name, other in inside(own.get("columns")).items()},
            title=given.get("title"),
            decimals={name: str(mark) for name, mark in inside(own.get("decimals")).items()},
            launch_format=given.get("launch_format"),
            time_format=given.get("time_format"),
            timezone=given.get("timezone", cls.timezone),
            separator=given.get("separator"),
            encoding=given.get("encoding", cls.encoding),
        )

    def user_in(self, columns: Sequence[str], where: str) -> str:
        """The column of users.

        Raises:
            InputError: if there is none; says what to call it.
        """
        return _found(columns, self.users, USER, "users", where)

    def item_in(self, columns: Sequence[str], where: str) -> str:
        """The column of items of a log; raises as `user_in`."""
        return _found(columns, self.items, ITEM, "items", where)

    def time_in(self, columns: Sequence[str], where: str) -> str | None:
        """The column of times, None if there is none.

        Raises:
            InputError: if there are several, and none has the name that is known.
        """
        known = called(columns, self.times)
        found = [column for column in columns if called([column], TIME)] if known is None else [known]
        if len(found) > 1:
            raise InputError(f"{where}: {' and '.join(found)} could be the time; call the right one {self.times[0]}.")
        return found[0] if found else None

    def item_id_in(self, columns: Sequence[str], where: str) -> str:
        """The column of ids of a table of items; raises as `user_in`."""
        if called(columns, self.item_ids) is None and "id" in columns:
            return "id"
        return _found(columns, self.item_ids, ITEM, "item ids", where)

    @property
    def other_names(self) -> dict[str, str]:
        """Column of a table of items -> its name in the dataset, of those that have another."""
        return dict(self.columns) if self.title is None else {"title": self.title, **self.columns}

    def named(self, columns: Sequence[str]) -> dict[str, str]:
        """Column of a table of items -> its name in the dataset, of those that have another and lack that one."""
        found = {old: new for old, new in self.other_names.items() if old in columns and new not in columns}
        if len(set(found.values())) < len(found):  # the title by both of its names
            del found["title"]
        return found


def wrong_in(imported: Mapping[object, object]) -> Iterator[str]:
    """What cannot be in the key `imported`, in words."""
    for name, value in imported.items():
        if name == "columns":
            if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in (*value, *value.values())):
                yield "'imported.columns' must be a mapping of columns' names to their names in the dataset"
        elif name == "decimals":
            if not isinstance(value, Mapping) or not all(one in MARKS for one in value.values()):
                yield "'imported.decimals' must be a mapping of columns' names to '.' or ','"
        elif name not in NAMES:
            yield f"unknown key 'imported.{name}'; there are columns, decimals, {', '.join(NAMES)}"
        elif not isinstance(value, str):
            yield f"'imported.{name}' has the value {value!r}; it must be text"


def _found(columns: Sequence[str], names: Sequence[str], stems: Sequence[str], what: str, where: str) -> str:
    known = called(columns, names)
    if known is not None:
        return known
    try:
        return guess_id(columns, stems, "", where)
    except InputError:
        mend = " or ".join(names[:2])
        raise InputError(f"{where}: it has no column of {what}, only {', '.join(columns)}; call it {mend}.") from None


def _distinct(*names: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(name) for name in names if name))
