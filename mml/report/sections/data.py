"""The data, in dates and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from mml.data.summary import Summary
from mml.report.charts import Line, LineChart
from mml.report.evidence import Evidence
from mml.report.html import Markup, joined, paragraph, table
from mml.report.log import RunLog, day, is_dates
from mml.report.section import Section
from mml.settings import inside
from mml.tables.dates import as_date

_BINS = 40
_DAY = 86400.0
_REASONS = {
    "old_user_too_short": "old users with fewer than three interactions",
    "valid_user_too_short": "validation users with fewer than two interactions",
    "new_user_too_short": "new users with too few interactions for any case",
    "new_user_repeats_only": "new users who only repeat what they had",
    "target_in_history": "cases whose next item is in the history already",
    "valid_target_in_history": "validation cases whose next item is in the history already",
    "of_old_users_after_T": "interactions of old users after T, which only online are counted",
    "beyond_cold_user_max_inter": "interactions of new and validation users beyond cold_user_max_inter",
}


def data(evidence: Evidence) -> Section:
    """When the log begins and ends, where T is, who is in which group, and what was left out and why."""
    summary = evidence.result["data"]
    parts: list[Markup] = []
    if evidence.result.get("synthetic"):
        parts.append(paragraph("These are synthetic data.", class_="left-out"))
    parts.append(paragraph(_when(evidence)))
    parts.append(table("What is in the data", ["", "number"], list(_counts(summary))))
    left = list(_left_out(summary))
    if left:
        parts.append(table("What was left out, and why", ["", "number"], left))
    else:
        parts.append(paragraph("Nothing was left out."))
    charts = [] if evidence.log is None else over_time(evidence.log, summary.get("split_time"))
    return Section("data", "The data", joined(*parts), charts)


def _when(evidence: Evidence) -> str:
    time, log = evidence.result["data"].get("split_time"), evidence.log
    if log is None:
        return f"When: {evidence.missing['log']}."
    if not log.has_time:
        return "The log has no time column: the order of its rows is taken for time."
    times, write = log.times, _writer(log.times)
    text = f"The log goes from {write(times[0])} to {write(times[-1])}."
    if time is None:
        return f"{text} A file lists the new users."
    return f"{text} T is {write(time)}: whoever came later is a new user."


def _writer(times: np.ndarray) -> Callable[[float], str]:
    """How the log's times [n] are written: by the day, with the time where a day is several points of the chart."""
    if not is_dates(times):
        return "{:g}".format
    return day if times[-1] - times[0] >= _BINS * _DAY else as_date


def _counts(summary: Summary) -> Iterator[list[object]]:
    named = {
        "interactions": "interactions",
        "old_users": "old users",
        "valid_users": "validation users",
        "new_users": "new users",
        "evaluated_users": "new users that are evaluated",
        "evaluated_cases": "cases",
        "items": "items",
        "warm_items": "warm items",
        "cold_items": "new items",
    }
    counts: Mapping[str, object] = summary
    for key, words in named.items():
        if key in counts:
            yield [words, f"{counts[key]:,}"]
    for name, share in summary.get("modality_coverage", {}).items():
        yield [f"items with {name}", f"{100 * share:.1f} %"]


def _left_out(summary: Summary) -> Iterator[list[object]]:
    counts: Mapping[str, object] = summary
    for group in ("skipped_users", "skipped_cases", "dropped_rows"):
        for reason, n in inside(counts.get(group)).items():
            if n:
                yield [_REASONS.get(reason, reason.replace("_", " ")), f"{n:,}"]
    if summary.get("ignored_columns"):
        yield [f"columns that nothing reads: {', '.join(summary['ignored_columns'])}", len(summary["ignored_columns"])]


def over_time(log: RunLog, time: float | None) -> list[LineChart]:
    """The number of interactions over time, with T; nothing if the log has no dates."""
    if not is_dates(log.times) or log.times[0] == log.times[-1]:
        return []
    counts, edges = np.histogram(log.times, _BINS)
    days = (edges[1] - edges[0]) / _DAY
    x = ((edges[:-1] + edges[1:]) / 2).tolist()
    line = Line("interactions", "log", x, counts.tolist(), marks=False)
    write = _writer(log.times)
    ticks = [(float(at), write(at)) for at in np.linspace(x[0], x[-1], 5)[1::2]]
    unit = f"interactions per {days:.2g} days" if days >= 0.1 else f"interactions per {24 * days:.2g} hours"
    mark = None if time is None else (float(time), "T")
    return [LineChart("log", "The log over time", "date (UTC)", unit, [line], ticks, mark=mark, write_x=write)]
