"""What requests and answers look like."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypedDict

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.config import JsonDict

from mml.serve.limits import MOST_CANDIDATES, MOST_HISTORY, MOST_LETTERS, MOST_ROWS, MOST_TOP, MOST_USERS
from mml.tables.dates import as_date, far_ahead
from mml.tables.ids import is_no_id

_NULL = "\0"
_BREAKS = frozenset("\t\r\n\x1f" + _NULL)
"""What no table's cell of ids holds: it parts columns, rows or a list, or ends the cell."""
_OF_ID: JsonDict = {"pattern": r"\S"}  # for the specification; refusals have words of their own
_OF_KEPT_ID: JsonDict = {"pattern": r"^[^\t\r\n\u001f\u0000]*[^\s\u001f\u0000][^\t\r\n\u001f\u0000]*$"}
_OF_KEPT_TEXT: JsonDict = {"pattern": r"^[^\u0000]*$"}


def _whole(value: object) -> object:
    """To JSON, 3.0 is a whole number as well."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Text = Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]
_IdText = Annotated[_Text, Field(json_schema_extra=_OF_ID)]
_KeptIdText = Annotated[_Text, Field(json_schema_extra=_OF_KEPT_ID)]
_KeptText = Annotated[str, Field(json_schema_extra=_OF_KEPT_TEXT)]
_Whole = Annotated[int, BeforeValidator(_whole)]
# beyond these bounds JSON's readers round
_Number = Annotated[int, Field(ge=1 - 2**53, le=2**53 - 1), BeforeValidator(_whole)]


def _plain(value: str | int) -> str:
    """As tables' ids are read: without spaces around."""
    text = str(value).strip()
    if not text:
        raise ValueError("an id is empty")
    return text


def _of_something(value: str) -> str:
    """An id that is kept; what stands for nothing, or would break a table, is left out of tables, too."""
    if is_no_id(value):
        raise ValueError(f"'{value}' stands for nothing and is no id")
    if not _BREAKS.isdisjoint(value):
        raise ValueError("an id that is kept has no tab, line's end or other control character of tables in it")
    return value


if TYPE_CHECKING:
    Id = str
    KeptId = str
else:  # what comes is one of two, what the code gets is always text
    Id = Annotated[_IdText | _Number, AfterValidator(_plain)]
    """An id; a whole number is taken as its digits."""
    KeptId = Annotated[_KeptIdText | _Number, AfterValidator(_plain), AfterValidator(_of_something)]
Share = Annotated[float, Field(ge=0, le=1)]
History = Annotated[
    list[Id], Field(max_length=MOST_HISTORY, description="item ids, oldest first", examples=[["50", "181"]])
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Wishes(_Request):
    """How a list is wanted."""

    top: _Whole = Field(10, ge=1, le=MOST_TOP, description="length of the list")
    items: Annotated[list[Id], Field(max_length=MOST_CANDIDATES)] | None = Field(
        None, description="recommend these only; null for all"
    )
    exclude: list[Id] = Field([], max_length=MOST_HISTORY, description="never recommend these")
    new_items_share: Share | None = Field(None, description="share of new items in the list; null: the model decides")
    explain: bool = Field(True, description="with what each learner contributed")


class RecommendRequest(Wishes):
    """One person."""

    history: History = []
    user_id: Id | None = Field(
        None, description="put what is known of this user, by the model's log and by posted events, before the history"
    )


class BatchRequest(Wishes):
    """Several persons, wanted alike."""

    histories: dict[_Text, History] = Field({}, max_length=MOST_USERS, description="user id -> item ids, oldest first")
    user_ids: list[Id] = Field(
        [], max_length=MOST_USERS, description="users after what is known of them, as by `user_id` in /recommend"
    )

    @model_validator(mode="after")
    def _is_of_persons(self) -> Self:
        n = len(self.histories) + len(self.user_ids)
        twice = sorted(one for one, times in Counter([*self.histories, *self.user_ids]).items() if times > 1)
        if not n:
            raise ValueError("nobody is asked for: give histories, user_ids or both")
        if n > MOST_USERS:
            raise ValueError(f"{n} persons are asked for; {MOST_USERS} are the most")
        if twice:
            raise ValueError(f"'{twice[0]}' is asked for twice: each person has one list")
        return self


class ItemAnswer(BaseModel):
    """An item of the catalogue."""

    item_id: str
    title: str | None = Field(description="null if it has none")
    is_new: bool = Field(description="nobody had touched it when the model was trained")
    n_interactions: int
    image: str | None = Field(description="where its picture is, relative to the server's root; null if it has none")


class RankedItem(ItemAnswer):
    """An item in a list."""

    rank: int = Field(description="from 1")
    score: float | None


class RecommendedItem(RankedItem):
    """An item for a person."""

    contributions: dict[str, float | None] = Field(
        description="learner -> what it added to the score; empty for popular items and without `explain`"
    )


class Recommendation(BaseModel):
    """One person's list."""

    items: list[RecommendedItem]
    basis: Literal["history", "popularity"] = Field(
        description="popularity: no item of the history is known, so these are the popular ones"
    )
    unknown_items: list[str] = Field(description="ids of the request that are not in the catalogue; passed over")


class BatchRecommendation(BaseModel):
    """Each person's list."""

    users: dict[str, Recommendation]


class RankedList(BaseModel):
    """A list that is nobody's in particular."""

    items: list[RankedItem]


class ItemList(BaseModel):
    """What was found."""

    items: list[ItemAnswer]


_Cell = _KeptText | int | float | bool


class NewItem(BaseModel):
    """An item with the columns that the dataset's item table has."""

    model_config = ConfigDict(
        extra="allow", strict=True, allow_inf_nan=False, json_schema_extra={"propertyNames": _OF_KEPT_TEXT}
    )
    __pydantic_extra__: dict[str, _Cell | list[_Cell] | None]  # a list of tokens, or of a vector's numbers

    item_id: KeptId
    title: Annotated[_KeptText, Field(max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _can_be_read_again(self) -> Self:
        """What is kept is read as a table later, which one null character would make unreadable."""
        cells = [(name, *(cell if isinstance(cell, list) else [cell])) for name, cell in self.row().items()]
        texts = [text for texts_of in cells for text in texts_of if isinstance(text, str)]
        if any(_NULL in text for text in texts):
            raise ValueError("it holds a null character, which no table can")
        if any("\ud800" <= letter <= "\udfff" for text in texts for letter in text):
            raise ValueError("it holds half of a surrogate pair, which no table can")
        return self

    def row(self) -> dict[str, object]:
        """The columns that were given; a null is an empty cell."""
        return self.model_dump(exclude_unset=True)


class NewItems(_Request):
    """Items that the catalogue lacks."""

    items: list[NewItem] = Field(min_length=1, max_length=MOST_ROWS)


class ItemsAdded(BaseModel):
    """What became of them."""

    added: int = Field(description="recommendable from now on")
    already_known: list[str] = Field(description="ids that the catalogue, or an earlier row, has; left as they were")


class EventRow(TypedDict):
    """An event as the journal keeps it."""

    user_id: str
    item_id: str
    timestamp: float


class Event(_Request):
    """What a user did."""

    user_id: KeptId
    item_id: KeptId
    timestamp: float | None = Field(None, ge=0, le=1e11, description="seconds since 1970; null for now")

    def row(self, now: float) -> EventRow:
        """The event as it is kept."""
        time = now if self.timestamp is None else self.timestamp
        # to microseconds, by which events are known again: more digits are not read from a file as they were written
        return {"user_id": self.user_id, "item_id": self.item_id, "timestamp": round(time, 6)}


def kept_event(line: object) -> EventRow:
    """The event that a line of the journal holds.

    Raises:
        ValueError: it holds none, or no time.
    """
    event = Event.model_validate(line)
    if event.timestamp is None:
        raise ValueError("no time")
    return event.row(event.timestamp)


class PostedEvent(Event):
    """What a user did, by a clock that is not far ahead: what is counted now would count as older than it."""

    @field_validator("timestamp")
    @classmethod
    def _is_not_to_come(cls, timestamp: float | None) -> float | None:
        if timestamp is not None and timestamp > far_ahead():
            raise ValueError(f"it is {as_date(timestamp)}, more than a year from now; give seconds since 1970")
        return timestamp


class Events(_Request):
    """What users did."""

    events: list[PostedEvent] = Field(min_length=1, max_length=MOST_ROWS)


class EventsKept(BaseModel):
    """What became of them."""

    kept: int
    unknown_items: list[str] = Field(description="ids that are not in the catalogue yet; kept all the same")


class State(BaseModel):
    """Whether requests are answered, and by what."""

    status: Literal["ready", "stopping"]
    name: str
    model: str = Field(description="name of the model's folder")
    items: int
    new_items: int
    reloads: int = Field(description="new models taken since the start")


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Failure(BaseModel):
    """Why a request was refused."""

    error: str
