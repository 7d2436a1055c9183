"""The comparison: tune, run all seeds, test, and write `output/<dataset>/compare/`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mml.comparison.chosen import Chosen
from mml.comparison.execute import Executor
from mml.comparison.methods import Method
from mml.comparison.outcome import Outcome
from mml.comparison.results import Results, Test
from mml.errors import InputError, MachineError
from mml.evaluation.significance import PairedDifference, holm, paired_difference
from mml.files.safe import write_text
from mml.progress import each
from mml.tuning.arguments import Settings
from mml.tuning.screen import signs_of_life

logger = logging.getLogger(__name__)


def run_methods(executor: Executor, chosen: Chosen, methods: Sequence[Method], seeds: Sequence[int]) -> Results:
    """Run each method with its chosen settings on all seeds."""
    results = Results({}, {}, {}, list(seeds))
    for place, method in enumerate(each(methods, "methods", len(methods), "methods"), 1):
        why = executor.lacks(method)
        if why is not None:
            logger.info("%s is left out: %s.", method.name, why)
            results.skipped[method.name] = why
            continue
        try:
            settings = chosen.settings(method)
            outcomes = [_run(executor, method, settings, seed) for seed in seeds]
        except MachineError:
            raise
        except InputError as error:  # a feature model without attributes, a content method without features
            logger.warning("%s is left out: %s", method.name, error)
            results.skipped[method.name] = str(error)
            continue
        why = results.other_cases(outcomes)
        if why is not None:
            logger.warning("%s is left out: %s.", method.name, why)
            results.skipped[method.name] = f"{why}."
            continue
        results.families[method.name], results.outcomes[method.name] = method.family, outcomes
        cost = f"{np.mean([outcome.cpu_seconds for outcome in outcomes]):.0f} CPU s a run"
        mean = results.mean(method.name)
        logger.info("[%d of %d] %s: %s %.4f, %s.", place, len(methods), method.name, results.main.upper(), mean, cost)
    return results


def _run(executor: Executor, method: Method, settings: Settings, seed: int) -> Outcome:
    with signs_of_life(f"{method.name}, seed {seed}"):
        return executor.run(method, settings, seed)


def tests(results: Results) -> list[Test]:
    """mml against every baseline and every ablation of its protocol: frozen ones, and those that know later events.

    Holm's correction is within a family of one protocol.
    """
    found: list[Test] = []
    for protocol in results.protocols:
        reference = results.reference(protocol)
        if reference is not None:
            for family in ("baseline", "ablation"):
                found += _tests_of(results, reference, family, protocol)
    return found


def _tests_of(results: Results, reference: str, family: str, protocol: str) -> list[Test]:
    values, users = results.case_values(reference)
    paired: dict[str, PairedDifference] = {}
    for name, own in results.families.items():
        if own == family and name != reference and results.protocol(name) == protocol:
            theirs, _ = results.case_values(name)
            paired[name] = paired_difference(values, theirs, users)
    corrected: Mapping[str, float] = holm({name: difference.p for name, difference in paired.items()})
    return [Test(reference, name, family, protocol, paired[name], corrected[name]) for name in paired]


def write_all(results: Results, audit: Sequence[str], dataset: str, folder: Path) -> str:
    """Write tables, with the lines of the audit, and plots; returns the Markdown."""
    from mml.comparison import latex, plots, tables

    found = tests(results)
    text = tables.markdown(results, found, audit, dataset)
    write_text(folder / "results.md", text)
    write_text(folder / "results.tex", latex.table(results, found, dataset))
    write_text(folder / "results.csv", tables.as_csv(results))
    write_text(folder / "tests.csv", tables.tests_csv(found))
    plots.draw(results, folder)
    return text
