"""The table of a run for a paper."""

from __future__ import annotations

from collections.abc import Sequence

from mml.comparison.latex import escaped


def label_of(name: str) -> str:
    """A name that a `\\label` can have."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter == "-") else "-" for letter in name)


def latex_table(
    head: Sequence[str], blocks: Sequence[Sequence[tuple[str, Sequence[float]]]], caption: str, label: str
) -> str:
    """A table environment of booktabs, a rule between its blocks, the best value of each block's columns in bold.

    Args:
        head: the columns' names, the first one of the names'.
        blocks: of rows that may be compared with one another: a name, and a value per further column, nan where
            there is none. A row that is alone is no best.
        caption: below it; text.
        label: without `tab:`.
    """
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escaped(caption)}}}",
        rf"  \label{{tab:{label_of(label)}}}",
        rf"  \begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"    \toprule",
        "    " + " & ".join(map(escaped, head)) + r" \\",
    ]
    for rows in blocks:
        columns = list(zip(*(values for _, values in rows), strict=True))
        best = [max((one for one in own if one == one), default=None) if len(rows) > 1 else None for own in columns]
        lines.append(r"    \midrule")
        for name, row in rows:
            cells = [_cell(value, top) for value, top in zip(row, best, strict=True)]
            lines.append("    " + " & ".join([escaped(name), *cells]) + r" \\")
    return "\n".join([*lines, r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]) + "\n"


def _cell(value: float, best: float | None) -> str:
    if value != value:
        return "--"
    written = f"{value:.4f}"
    is_best = best is not None and written == f"{best:.4f}" != "0.0000"  # where nobody finds anything, nobody is
    return rf"\textbf{{{written}}}" if is_best else written
