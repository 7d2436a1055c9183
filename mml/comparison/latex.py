"""The table of a comparison for a paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mml.comparison.results import Results, Test
from mml.comparison.tables import groups, ordered, p_text, spread

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

    The best mean of a column is bold, with all that show the same digits.
    """
    columns = [group for group in _GROUPS if group in groups(results)]
    best = {group: max(_means(results, group)) for group in columns}
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
    family = None
    for name in ordered(results):
        if results.families[name] != family:
            lines.append(r"\midrule")
            family = results.families[name]
        cells = [_cell(results.values(name, group, results.main), best[group]) for group in columns]
        shown = [f"${p[name]}$" if name in p else ""] if tests else []
        lines.append(" & ".join([escaped(name), *cells, *shown]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _means(results: Results, group: str) -> list[float]:
    values = [results.values(name, group, results.main) for name in results.outcomes]
    return [round(float(np.mean(one)), 4) for one in values if one]


def _cell(values: Sequence[float], best: float) -> str:
    text = spread(values)
    if not values:
        return text
    mean, _, deviation = text.partition(" ± ")
    is_best = 0 < best == round(float(np.mean(values)), 4)  # where nobody finds anything, nobody is
    shown = rf"\textbf{{{mean}}}" if is_best else mean
    return rf"{shown} $\pm$ {deviation}" if deviation else shown


def _caption(results: Results, dataset: str, tested: bool) -> str:
    counts = next(iter(results.outcomes.values()))[0].groups["all"]
    n = len(results.seeds)
    over = f"mean $\\pm$ standard deviation over {n} seeds" if n > 1 else f"seed {results.seeds[0]}"
    text = (
        f"{escaped(results.main.upper())} on {escaped(dataset)}: {int(counts['n_users'])} new users, "
        f"{int(counts['n_cases'])} cases, full ranking; {over}. The best of each column is bold."
    )
    if tested:
        text += (
            " $p$: mml against the method, two-sided permutation test over users, Holm's correction within baselines "
            "and within ablations."
        )
    return text


def _label(dataset: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in dataset)
