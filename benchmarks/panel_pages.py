"""What the panel writes: a page for each world, an overview, and every number as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mml.comparison.tables import p_text
from mml.evaluation.significance import PairedDifference, holm, paired_difference, per_case_ndcg
from mml.files.sheets import csv_text

GROUPS = {"all": "all", "warm_target": "warm", "cold_target": "new"}
SHOTS = "shots_"
"""What the groups of cases after so many interactions begin with."""
PROTOCOLS = {"frozen": "mml", "online": "mml_online"}
"""Protocol -> mml's own line of it."""
KINDS = ("mml", "part", "preset", "baseline", "counter", "oracle")
PEERS = ("baseline", "counter")
"""What others have: mml's parts and who knows the world are not."""

_LEGEND = """How it is judged: [protocol](../protocol.md). What a name means: [glossary](../method.md#glossary).
`mml is above by`: in percent of the line, over all cases; p: over users, after Holm's correction over the lines of its
kind. A `part` is a learner of mml alone, or another way of fusing them. What has no random
part, the preset and the sum of five models are run once. `CPU s`: of the whole run, the choice of settings included."""


@dataclass(frozen=True)
class Row:
    """NDCG@10 of a method on a world with one seed.

    Args:
        world, method, seed: of what.
        kind: one of `KINDS`; a part is a learner of mml, or another way of fusing
            them, a preset other settings of mml.
        values: by group (`all`, `warm`, `new`, and `after`).
        cpu_seconds: of the whole run, None where it is a line of another method's run.
        gains: float64 [N], each case's, in the order of the cases; None where they are not known one by one.
        users: [N], whose cases they are.
    """

    world: str
    method: str
    seed: int
    kind: str
    values: Mapping[str, float]
    cpu_seconds: float | None = None
    gains: np.ndarray | None = field(default=None, repr=False)
    users: np.ndarray | None = field(default=None, repr=False)

    @property
    def protocol(self) -> str:
        """`frozen` or `online`."""
        return "online" if self.method.endswith("_online") else "frozen"


@dataclass(frozen=True)
class Line:
    """A method's line in a world's table: its seeds together.

    Args:
        rows: one per seed.
        paired: mml's line minus this one over the cases of all new users; None for mml's and where cases are not known.
        p: of `paired`, after Holm's correction over the lines of the same kind.
    """

    rows: Sequence[Row]
    paired: PairedDifference | None
    p: float | None

    @property
    def method(self) -> str:
        """Its name."""
        return self.rows[0].method

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return self.rows[0].kind

    def mean(self, group: str) -> float:
        """Over the seeds; nan where no target is of that group."""
        return float(np.mean([row.values.get(group, np.nan) for row in self.rows]))

    def cell(self, group: str) -> str:
        """Mean ± standard deviation over the seeds."""
        values = [row.values[group] for row in self.rows if group in row.values]
        if not values:
            return "–"
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        return f"{np.mean(values):.4f}{spread}"

    @property
    def cpu_seconds(self) -> float | None:
        """Mean over the seeds."""
        known = [row.cpu_seconds for row in self.rows if row.cpu_seconds is not None]
        return float(np.mean(known)) if known else None


def after(group: str) -> str:
    """What the cases after so many interactions are called here: `after 3` for `shots_3`."""
    return f"after {group.removeprefix(SHOTS)}"


def _afters(rows: Sequence[Row]) -> list[str]:
    """All of them that any row has, the fewest interactions first."""
    found = {group for row in rows for group in row.values if group.startswith("after ")}
    return sorted(found, key=lambda group: int(group.split()[1]))


def gains_of(predictions: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Method -> NDCG@10 of each case and whose case it is, of a run's predictions.csv."""
    return {
        str(method): (per_case_ndcg(part["rank"].to_numpy()), part["user_id"].to_numpy())
        for method, part in predictions.groupby("method", sort=False)
    }


def lines_of(rows: Sequence[Row], protocol: str) -> list[Line]:
    """A world's lines in a protocol, the best first, each beside mml's."""
    own = [row for row in rows if row.protocol == protocol]
    by_method = {
        method: [row for row in own if row.method == method] for method in dict.fromkeys(r.method for r in own)
    }
    mml = by_method.get(PROTOCOLS[protocol], [])
    paired = {name: _paired(mml, part) for name, part in by_method.items() if part[0].kind != "mml"}
    corrected: dict[str, float] = {}
    for kind in KINDS:
        family = {name: one.p for name, one in paired.items() if one is not None and by_method[name][0].kind == kind}
        corrected |= holm(family)
    lines = [Line(part, paired.get(name), corrected.get(name)) for name, part in by_method.items()]
    return sorted(lines, key=lambda line: -line.mean("all"))


def _paired(mml: Sequence[Row], other: Sequence[Row]) -> PairedDifference | None:
    """mml minus another over the same cases, each averaged over its seeds."""
    first = [row.gains for row in mml if row.gains is not None]
    second = [row.gains for row in other if row.gains is not None]
    if not first or not second or mml[0].users is None or len(first[0]) != len(second[0]):
        return None
    return paired_difference(np.mean(first, axis=0), np.mean(second, axis=0), mml[0].users)


def _above(line: Line) -> str:
    """How much mml is above the line, in percent of the line."""
    if line.paired is None:
        return "" if line.kind == "mml" else "–"
    mean = line.mean("all")
    return f"{100 * line.paired.difference / mean:+.1f} %" if mean > 0 else "–"


def tables(rows: Sequence[Row]) -> str:
    """A world's two Markdown tables."""
    parts = []
    for protocol in PROTOCOLS:
        lines = lines_of(rows, protocol)
        if not lines:
            continue
        parts += [f"| {protocol} | kind | all | warm | new | mml is above by | p | seeds | CPU s |", "| --- " * 9 + "|"]
        for line in lines:
            mark = "**" if line.kind == "mml" else ""
            seconds = line.cpu_seconds
            cells = [
                f"{mark}{line.method}{mark}",
                line.kind,
                *(line.cell(group) for group in GROUPS.values()),
                _above(line),
                "" if line.p is None else p_text(line.p),
                str(len(line.rows)),
                "" if seconds is None else f"{seconds:.0f}",
            ]
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def by_shots(rows: Sequence[Row]) -> str:
    """NDCG@10 after so many interactions, a line for each method; nothing where no row says it."""
    groups = _afters(rows)
    lines = [line for protocol in PROTOCOLS for line in lines_of(rows, protocol)]
    known = [line for line in lines if not np.isnan([line.mean(group) for group in groups]).any()]
    if not groups or not known:
        return ""
    parts = [
        f"| interactions | {' | '.join(group.split()[1] for group in groups)} |",
        "| --- " * (len(groups) + 1) + "|",
    ]
    for line in known:
        mark = "**" if line.kind == "mml" else ""
        cells = [f"{mark}{line.method}{mark}", *(f"{line.mean(group):.4f}" for group in groups)]
        parts.append(f"| {' | '.join(cells)} |")
    return "\n".join(["After so many interactions of the user:", "", *parts, ""])


def page(world: str, about: str, command: str, made: str, rows: Sequence[Row]) -> str:
    """A world's page.

    Args:
        world: its name.
        about: a sentence on its size and times.
        command: what makes the page.
        made: commit and machine.
        rows: the world's.
    """
    return "\n".join(
        [
            f"# {world}",
            "",
            about,
            "",
            f"    {command}",
            "",
            f"NDCG@10, mean ± standard deviation over seeds; {made}. {_LEGEND}",
            "",
            tables(rows),
            by_shots(rows),
        ]
    )


def overview(rows: Sequence[Row]) -> str:
    """One table over the worlds: mml beside the strongest other method, in each protocol."""
    heads = [
        "world",
        "protocol",
        "mml",
        "strongest other",
        "its NDCG@10",
        "mml is above by",
        "p",
        "mml, new",
        "best other, new",
    ]
    out = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for world in dict.fromkeys(row.world for row in rows):
        own = [row for row in rows if row.world == world]
        for protocol in PROTOCOLS:
            lines = lines_of(own, protocol)
            mml = next((line for line in lines if line.kind == "mml"), None)
            peers = [line for line in lines if line.kind in PEERS]
            if mml is None or not peers:
                continue
            new = max((line for line in peers), key=lambda line: np.nan_to_num(line.mean("new")))
            best = peers[0]
            p = "–" if best.p is None else p_text(best.p)
            newest = "–" if np.isnan(new.mean("new")) else f"{new.method} {new.cell('new')}"
            cells = [
                world,
                protocol,
                mml.cell("all"),
                best.method,
                best.cell("all"),
                _above(best),
                p,
                mml.cell("new"),
                newest,
            ]
            out.append(f"| {' | '.join(cells)} |")
    return "\n".join(out) + "\n"


def as_csv(rows: Sequence[Row]) -> str:
    """Every number."""
    groups = [*GROUPS.values(), *_afters(rows)]
    lines: list[list[object]] = [["world", "method", "kind", "seed", *groups, "cpu_seconds"]]
    for row in rows:
        values = [f"{row.values[group]:.6f}" if group in row.values else "" for group in groups]
        seconds = "" if row.cpu_seconds is None else f"{row.cpu_seconds:.1f}"
        lines.append([row.world, row.method, row.kind, row.seed, *values, seconds])
    return csv_text(lines)
