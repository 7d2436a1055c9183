"""Example users: what they did, what each learner said, what mml said, and what they did next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mml.method_names import FLOOR, FULL
from mml.recommender import Recommender
from mml.report.estimates import TOP
from mml.report.evidence import Evidence
from mml.report.html import Markup, isolated, joined, left_out, paragraph, table, tag
from mml.report.pictures import Pictures
from mml.report.section import Section

_TITLE = "Example users"
_FOUND, _MISSED = 3, 3
_LISTED = 5
_LONGEST = 9  # interactions of a history that are shown
_CONTRIBUTED = "A learner's column is what it contributed to the item's score: its weight times its standardised score."
_LEARNED = (
    "The lists are those of the run; what each learner contributed is not known any more, as the model has learned "
    "since (mml update)."
)

Show = Callable[[str], Markup]
"""An item as the page shows it: picture, title, a badge if it is new."""


@dataclass(frozen=True)
class _Example:
    row: int
    user: str
    history: list[str]
    target: str
    listed: pd.DataFrame


def examples(evidence: Evidence) -> Section:
    """Some users whose next item was found and some whose was not, drawn by lot."""
    model, histories = evidence.model, evidence.histories
    if model is None or not histories:
        why = evidence.missing.get("model") or evidence.missing.get("log") or "no history is known"
        return Section("examples", _TITLE, left_out(f"{why}."))
    as_trained = evidence.model_is_as_trained
    if not as_trained and evidence.lists is None:
        why = f"The model has learned since, and {evidence.missing['lists']}."
        return Section("examples", _TITLE, left_out(why))
    chosen = list(_examples(evidence, model))
    show = _shower(model, {item for one in chosen for item in (*one.history, one.target, *one.listed["item_id"])})
    intro = paragraph(
        f"Drawn by lot: up to {_FOUND} users whose next item is in the top ten and up to {_MISSED} whose is not, at "
        f"their largest number of known interactions. {_CONTRIBUTED if as_trained else _LEARNED} A new item is one "
        "that nobody had touched at T."
    )
    cards = [_card(evidence, one, model, show) for one in chosen]
    without = left_out(f"{evidence.missing['log']}.") if "log" in evidence.missing else ""
    return Section("examples", _TITLE, joined(intro, without, *cards))


def _examples(evidence: Evidence, model: Recommender) -> Iterator[_Example]:
    frame, ranks = evidence.cases.frame, evidence.cases.ranks[FULL]
    last = frame.groupby("user_id", sort=False)["shots"].idxmax().to_numpy()
    last = last[np.isin(frame["user_id"].to_numpy()[last], list(evidence.histories))]
    order = np.random.default_rng(0).permutation(np.sort(last))
    found = ranks[order] <= TOP
    rows = [*order[found][:_FOUND], *order[~found][:_MISSED]]
    cases = {int(row): (str(frame["user_id"].iat[row]), int(evidence.cases.shots[row])) for row in rows}
    given = {str(row): evidence.histories[user][:shots] for row, (user, shots) in cases.items()}
    as_trained = evidence.model_is_as_trained
    lists = _asked(evidence, model, cases) if as_trained else None
    for row, (user, shots) in cases.items():
        target = str(frame["target_item"].iat[row])
        listed = _written(evidence, user, shots) if lists is None else lists[lists["user_id"] == str(row)]
        yield _Example(row, user, given[str(row)], target, listed)


def _asked(evidence: Evidence, model: Recommender, cases: Mapping[int, tuple[str, int]]) -> pd.DataFrame:
    """The model's lists of the cases, each asked when the user's latest interaction came, as in the run."""
    log = evidence.log
    assert log is not None
    tables = [log.first(user, shots).assign(user_id=str(row)) for row, (user, shots) in cases.items() if shots]
    without: dict[str, list[str]] = {str(row): [] for row, (_, shots) in cases.items() if not shots}
    found = [model.recommend(pd.concat(tables), top=TOP, explain=True)] if tables else []
    found += [model.recommend(without, top=TOP, explain=True)] if without else []
    return pd.concat(found)


def _written(evidence: Evidence, user: str, shots: int) -> pd.DataFrame:
    """The list that the run left of a case."""
    lists = evidence.lists
    assert lists is not None
    return lists[(lists["user_id"] == user) & (lists["shots"] == shots) & (lists["rank"] <= TOP)]


def _shower(model: Recommender, wanted: set[str]) -> Show:
    items = model.items
    titles = items["title"].astype(str).to_dict() if "title" in items else {}
    new = set(items.index[items["is_new"].astype(bool)])
    pictures = Pictures(model.vocabulary.image_folder, wanted)

    def show(item: str) -> Markup:
        badge = tag("span", "new", class_="badge") if item in new else ""
        name = isolated(titles.get(item) or f"item {item}")
        return tag("span", pictures.of(item), tag("span", name, " ", badge), class_="item")

    return show


def _card(evidence: Evidence, one: _Example, model: Recommender, show: Show) -> Markup:
    rank = int(evidence.cases.ranks[FULL][one.row])
    found = "found" if rank <= TOP else "not found"
    heading = tag("h3", "User ", isolated(one.user), f": next item {found}, at place {rank:,}")
    shown = one.history[-_LONGEST:]
    left = len(one.history) - len(shown)
    before = f"Their {len(one.history)} interactions, the oldest first" + (f" (the last {_LONGEST})" if left else "")
    history = tag("ol", *(tag("li", show(item)) for item in shown), class_="items", start=left + 1)
    return tag(
        "article",
        heading,
        paragraph(before, ":"),
        history,
        _list(one, list(model.learners) if evidence.model_is_as_trained else [], show),
        paragraph("What they did next: ", show(one.target), class_="next"),
        _places(evidence, one, list(model.learners)),
        class_="card",
    )


def _list(one: _Example, learners: Sequence[str], show: Show) -> Markup:
    rows: list[list[object]] = []
    hit = None
    for place, row in enumerate(one.listed.to_dict("records")):
        is_target = row["item_id"] == one.target
        if place >= _LISTED and not is_target:
            continue
        hit = len(rows) if is_target else hit
        mark = tag("strong", " ← what they did next") if is_target else ""
        parts = [f"{row[name]:+.2f}" if name in row and row[name] == row[name] else "-" for name in learners]
        rows.append([row["rank"], joined(show(str(row["item_id"])), mark), *parts])
    contributed = ", and what each learner contributed" if learners else ""
    return table(f"What mml recommended{contributed}", ["place", "item", *learners], rows)


def _places(evidence: Evidence, one: _Example, learners: Sequence[str]) -> Markup:
    ranks = evidence.cases.ranks
    said = [f"{name} {int(ranks[name][one.row]):,}" for name in [*learners, FLOOR] if name in ranks]
    return paragraph("Its place by each alone: ", ", ".join(said), ".", class_="small")
