"""The comparison: tune, run all seeds, test, and write `output/<dataset>/compare/`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mml.comparison.execute import Executor
from mml.comparison.methods import Method, Plan
from mml.comparison.results import Results, Test
from mml.comparison.tuning import Settings, TrialLog, draws, search
from mml.errors import InputError
from mml.evaluation.significance import PairedDifference, holm, paired_difference

logger = logging.getLogger(__name__)


def run_methods(
    executor: Executor, plan: Plan, methods: Sequence[Method], seeds: Sequence[int], trials: int, folder: Path
) -> Results:
    """Tune each method on the first seed and run it on all seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    log, chosen = TrialLog(folder / "trials.csv"), dict[str, Settings]()
    results = Results({}, {}, {}, list(seeds))
    for method in methods:
        why = executor.lacks(method)
        if why is not None:
            logger.info("%s is left out: %s.", method.name, why)
            results.skipped[method.name] = why
            continue
        for wanted in sorted({method.settings_of or method.name, method.name}):
            _tune(executor, plan, plan.methods[wanted], seeds[0], trials, log, chosen)
        settings = chosen.get(method.settings_of or "", {})
        results.families[method.name] = method.family
        try:
            results.outcomes[method.name] = [executor.run(method, settings, seed) for seed in seeds]
        except InputError as error:  # a feature model without attributes, a content method without features
            logger.warning("%s is left out: %s", method.name, error)
            results.skipped[method.name] = str(error)
            del results.families[method.name]
            continue
        logger.info("%s: NDCG@10 %.4f.", method.name, results.mean(method.name))
    (folder / "chosen.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    return results


def _tune(
    executor: Executor,
    plan: Plan,
    method: Method,
    seed: int,
    trials: int,
    log: TrialLog,
    chosen: dict[str, Settings],
) -> None:
    if method.tune is None or method.name in chosen:
        return

    def run(settings: Settings) -> tuple[float, float]:
        outcome = executor.run(method, settings, seed)
        return outcome.valid, outcome.seconds

    try:
        chosen[method.name] = search(method.name, draws(plan.ranges[method.tune], trials), run, log)
    except InputError:
        chosen[method.name] = {}  # what is wrong is said where the method is run


def tests(results: Results) -> list[Test]:
    """mml against every baseline, and against every ablation; Holm's correction within each of the two families."""
    if "mml" not in results.outcomes:
        return []
    values, users = results.case_values("mml")
    found: list[Test] = []
    for family in ("baseline", "ablation"):
        paired: dict[str, PairedDifference] = {}
        for name, own in results.families.items():
            if own != family:
                continue
            theirs, their_users = results.case_values(name)
            if not np.array_equal(users, their_users):
                raise InputError(f"compare: {name} and mml were not evaluated on the same cases.")
            paired[name] = paired_difference(values, theirs, users)
        corrected: Mapping[str, float] = holm({name: difference.p for name, difference in paired.items()})
        found += [Test("mml", name, family, paired[name], corrected[name]) for name in paired]
    return found


def write_all(results: Results, audit: Sequence[str], dataset: str, folder: Path) -> str:
    """Write tables, with the lines of the audit, and plots; returns the Markdown."""
    from mml.comparison import plots, tables

    found = tests(results)
    text = tables.markdown(results, found, audit, dataset)
    (folder / "results.md").write_text(text, encoding="utf-8")
    (folder / "results.tex").write_text(tables.latex(results, found, dataset), encoding="utf-8")
    (folder / "results.csv").write_text(tables.as_csv(results), encoding="utf-8")
    (folder / "tests.csv").write_text(tables.tests_csv(found), encoding="utf-8")
    plots.draw(results, folder)
    return text
