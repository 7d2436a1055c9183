"""The table of a comparison for a paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mml.comparison.results import Results, Test
from mml.comparison.tables import groups, ordered, p_text, spread
from mml.method_names import best_of_each_protocol

_GROUPS = {"all": "all", "warm_target": "warm targets", "cold_target": "cold targets"}
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def escaped(text: str) -> str:
    """The text with what LaTeX would take for commands written as letters."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def table(results: Results, tests: Sequence[Test], dataset: str) -> str:
    """results.tex: a `table` of the main metric over all, warm and cold targets, with Holm-corrected p; by booktabs.

    A protocol's best mean of a column is bold, with all that show the same digits. Protocols are under titles of their
    own where there are several.
    """
    columns = [group for group in _GROUPS if group in groups(results)]
    best = {group: _best(results, group) for group in columns}
    p = {test.second: p_text(test.p_holm) for test in tests}
    head = ["Method", *(_GROUPS[group] for group in columns), *(["$p$"] if tests else [])]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_caption(results, dataset, bool(tests))}}}",
        rf"\label{{tab:{_label(dataset)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
    ]
    protocol = family = None
    for name in ordered(results):
        if (results.protocol(name), results.families[name]) != (protocol, family):
            lines.append(r"\midrule")
        if results.protocol(name) != protocol and len(results.protocols) > 1:
            lines.append(rf"\multicolumn{{{len(head)}}}{{l}}{{\emph{{{results.protocol(name).capitalize()}}}}} \\")
        protocol, family = results.protocol(name), results.families[name]
        cells = [_cell(results.values(name, group, results.main), best[group].get(protocol)) for group in columns]
        shown = [f"${p[name]}$" if name in p else ""] if tests else []
        lines.append(" & ".join([escaped(name), *cells, *shown]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _best(results: Results, group: str) -> dict[str, float]:
    """Protocol -> the best mean of its lines, where there are several."""
    values = {name: results.values(name, group, results.main) for name in results.outcomes}
    means = {name: _mean(own) for name, own in values.items() if own}
    names, protocols = list(means), list(map(results.protocol, means))
    lines = [results.outcomes[name][0].method for name in names]
    return {protocols[place]: means[names[place]] for place in best_of_each_protocol(lines, list(means.values()))}


def _mean(values: Sequence[float]) -> float:
    """As the table shows it."""
    return round(float(np.mean(values)), 4)


def _cell(values: Sequence[float], best: float | None) -> str:
    text = spread(values)
    if not values:
        return text
    mean, _, deviation = text.partition(" ± ")
    is_best = best is not None and 0 < best == _mean(values)  # where nobody finds anything, nobody is
    shown = rf"\textbf{{{mean}}}" if is_best else mean
    return rf"{shown} $\pm$ {deviation}" if deviation else shown


def _caption(results: Results, dataset: str, tested: bool) -> str:
    counts = next(iter(results.outcomes.values()))[0].groups["all"]
    n = len(results.seeds)
    over = f"mean $\\pm$ standard deviation over {n} seeds" if n > 1 else f"seed {results.seeds[0]}"
    text = (
        f"{escaped(results.main.upper())} on {escaped(dataset)}: {int(counts['n_users'])} new users, "
        f"{int(counts['n_cases'])} cases, full ranking; {over}. "
    )
    several = len(results.protocols) > 1
    text += f"The best of each column{' and protocol' if several else ''} is bold."
    if tested:
        whole = r"mml, or mml\_online for lines that are not frozen," if several else "mml"
        text += (
            f" $p$: {whole} against the method, two-sided permutation test over users, Holm's correction within "
            f"baselines and within ablations{' of a protocol' if several else ''}."
        )
    return text


def _label(dataset: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in dataset)
