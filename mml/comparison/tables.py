"""The tables of a comparison: Markdown and CSV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mml.comparison.results import COUNTS, Results, Test
from mml.files.sheets import csv_text
from mml.method_names import FULL, PROTOCOLS

_ORDER = (FULL, "ablation", "baseline")


def ordered(results: Results) -> list[str]:
    """Methods by protocol: mml's line, then by family, the best first."""

    def place(method: str) -> tuple[int, bool, int, float]:
        protocol, family = results.protocol(method), results.families[method]
        is_other = method != results.reference(protocol)
        return PROTOCOLS.index(protocol), is_other, _ORDER.index(family), -results.mean(method)

    return sorted(results.outcomes, key=place)


def groups(results: Results) -> list[str]:
    """The groups that any method has."""
    names: dict[str, None] = {}
    for outcomes in results.outcomes.values():
        names |= dict.fromkeys(outcomes[0].groups)
    return list(names)


def spread(values: Sequence[float]) -> str:
    """`mean ± std`; the sample deviation, and none of a single seed."""
    if not values:
        return "-"
    mean = f"{np.mean(values):.4f}"
    return f"{mean} ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else mean


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def markdown(results: Results, tests: Sequence[Test], audit: Sequence[str], dataset: str) -> str:
    """results.md: all metrics, groups, tests, CPU seconds, the lines of the audit."""
    counts = next(iter(results.outcomes.values()))[0].groups
    wanted = [name for name in results.metrics if name.endswith("@10")] or results.metrics
    names = ordered(results)
    parts = [
        f"# {dataset}",
        f"{int(counts['all']['n_users'])} new users, {int(counts['all']['n_cases'])} cases; seeds "
        f"{', '.join(map(str, results.seeds))}; mean ± standard deviation over them. CPU s: of a method's own "
        "stages up to the evaluation, mean over seeds; lines of the same run share theirs.",
        "## All new users",
        _rows(
            ["method", "kind", "protocol", *wanted, "CPU s"],
            [
                [
                    m,
                    results.families[m],
                    results.protocol(m),
                    *(spread(results.values(m, "all", w)) for w in wanted),
                    f"{_seconds(results, m):.0f}",
                ]
                for m in names
            ],
        ),
        f"## {results.main} by group",
        _rows(
            [
                "method",
                "protocol",
                *(f"{g} ({int(counts[g]['n_cases'])})" if g in counts else g for g in groups(results)),
            ],
            [
                [m, results.protocol(m), *(spread(results.values(m, g, results.main)) for g in groups(results))]
                for m in names
            ],
        ),
    ]
    untested = [f"Without a test, as {of} was not run: {', '.join(own)}." for of, own in results.untested().items()]
    tested = [_TESTS, _rows(_TEST_HEAD, [_test_row(test) for test in tests])] if tests else []
    if tested or untested:
        parts += ["## Tests of mml, ndcg@10", *tested, *untested]
    if results.skipped:
        parts += ["## Left out", "\n".join(f"- {name}: {why}" for name, why in results.skipped.items())]
    parts += ["## Audit", "\n".join(f"- {line}" for line in audit)]
    return "\n\n".join(parts) + "\n"


_TESTS = (
    "Difference of mml to each frozen method, and of mml_online to each that knows later events; mean over seeds and "
    "cases, with a 95 percent interval (bootstrap of users), and p of a two-sided permutation test that swaps the two "
    "methods user by user; Holm's correction within the baselines and within the ablations of a protocol."
)
_TEST_HEAD = ("of", "against", "kind", "protocol", "difference", "95 %", "p", "p, Holm")


def _test_row(test: Test) -> list[str]:
    paired = test.paired
    interval = f"{paired.low:+.4f} to {paired.high:+.4f}"
    found = [f"{paired.difference:+.4f}", interval, p_text(paired.p), p_text(test.p_holm)]
    return [test.first, test.second, test.family, test.protocol, *found]


def p_text(p: float) -> str:
    """A p value of three digits; a permutation test cannot tell smaller ones apart."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _seconds(results: Results, method: str) -> float:
    return float(np.mean([outcome.cpu_seconds for outcome in results.outcomes[method]]))


def as_csv(results: Results) -> str:
    """results.csv: one row per method, seed and group."""
    metrics = results.metrics
    rows: list[list[object]] = [
        ["method", "kind", "protocol", "seed", "group", *COUNTS, *metrics, "cpu_seconds", "run"]
    ]
    for name in ordered(results):
        for seed, outcome in zip(results.seeds, results.outcomes[name], strict=True):
            of_run = [round(outcome.cpu_seconds, 1), outcome.path.name]
            for group, values in outcome.groups.items():
                cells = [values[key] for key in (*COUNTS, *metrics)]
                rows.append([name, results.families[name], results.protocol(name), seed, group, *cells, *of_run])
    return csv_text(rows)


def tests_csv(tests: Sequence[Test]) -> str:
    """tests.csv: one row per test."""
    rows: list[list[object]] = [
        ["first", "second", "family", "protocol", "difference", "low", "high", "p", "p_holm", "n_users"],
    ]
    for test in tests:
        paired = test.paired
        row = [paired.difference, paired.low, paired.high, paired.p, test.p_holm, paired.n_users]
        rows.append([test.first, test.second, test.family, test.protocol, *row])
    return csv_text(rows)
