"""One call of `mml compare`: what it says first, the audit, the runs, the tables."""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from mml.comparison.audit import audit, audit_lines
from mml.comparison.chosen import Chosen
from mml.comparison.compare import run_methods, write_all
from mml.comparison.estimate import (
    USUAL_EPOCHS,
    Cost,
    first_of_runs,
    keep_costs,
    known_costs,
    link_features,
    measure,
    total_cost,
)
from mml.comparison.execute import Executor
from mml.comparison.methods import Method, read_plan
from mml.comparison.wiring import known_wiring, wiring_lines
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from mml.files.safe import check_folder, make_folder
from mml.precision import set_up_torch
from mml.run.printing import aligned
from mml.tuning.screen import bars
from mml.tuning.search import JOURNAL

logger = logging.getLogger(__name__)


class Comparison:
    """A call of the command.

    Args:
        options: of the command (see mml.comparison.__main__).
        files: config files.
        settings: `--key=value` arguments.

    Raises:
        InputError: for a mistake in any of them.
    """

    def __init__(self, options: argparse.Namespace, files: Sequence[str], settings: Sequence[str]) -> None:
        self._options, self._plan = options, read_plan(options.plan)
        self._methods = self._plan.chosen(options.methods, options.profile)
        self._executor = Executor(options.dataset, files, [*bars(settings), *settings])
        config, self._scratch = self._executor.config, ExitStack()
        logging.getLogger().setLevel(config.run.state)
        self._output = config.results
        self._folder = self._output / "compare"
        check_folder(self._folder, ("*", "tune/*", "tune/*/*"), besides=f"{JOURNAL}.lock")
        self._seeds = list(range(options.first_seed, options.first_seed + options.seeds))
        self._features = self._output / "features"
        if options.dry_run:  # which leaves nothing, not even features
            self._executor = self._executor.in_folder(self._throw_away(), None)
        self._dataset = MMLDataset(self._executor.config)

    def _throw_away(self) -> Path:
        """A folder for output that ends with the process; features that were encoded before are in it."""
        folder = Path(self._scratch.enter_context(tempfile.TemporaryDirectory()))
        own = folder / self._options.dataset / "features"
        link_features(self._features, own)
        self._features = own
        return folder

    def run(self, log_to: Callable[[Path], None]) -> None:
        """Say what is going to be done; then do it, unless this is a dry run.

        Args:
            log_to: starts a log in a file.
        """
        with self._scratch:
            print(self.plan_text(), flush=True)
        if self._options.dry_run:
            print("This was a dry run: nothing was written.")
            return
        make_folder(self._folder)
        log_to(self._folder / "compare.log")
        print(f"\n{self._compared()}\nWritten to {self._folder}")

    def _compared(self) -> str:
        """Do it all; returns the tables."""
        options = self._options
        lines = self._audited()
        chosen = Chosen(self._executor, self._plan, self._seeds[0], options.trials, self._folder)
        results = run_methods(self._executor, chosen, self._methods, self._seeds)
        if not results.outcomes:
            raise InputError(f"none of the methods can run on {options.dataset}: {results.skipped}")
        return write_all(results, lines, options.dataset, self._folder)

    def _audited(self) -> list[str]:
        """What the audit of the split and the check of the evaluation found, printed."""
        config, epochs = self._executor.config, self._options.wiring_epochs
        lines = audit_lines(audit(config, self._dataset))
        print("\n".join(lines), flush=True)
        if epochs > 0 and config.log.TIME_FIELD in self._dataset.inter_feat:
            set_up_torch(config)
            checked = wiring_lines(known_wiring(config, self._dataset, epochs, self._folder))
            print("\n".join(checked), flush=True)
            lines += checked
        return lines

    # -- what is going to be done ------------------------------------------------------------------------------------

    def plan_text(self) -> str:
        """Methods, seeds, trials, runs, about how long, and where it lands."""
        able = [method for method in self._methods if self._executor.lacks(method) is None]
        runs = first_of_runs(able)
        options, n_seeds = self._options, len(self._seeds)
        tuned = [method.name for method in runs if method.tune is not None] if options.trials > 1 else []
        n_runs = len(runs) * n_seeds
        seeds = f"{n_seeds} seed{'s' if n_seeds > 1 else ''} ({', '.join(map(str, self._seeds))})"
        lines = [
            f"{options.dataset}: {len(able)} methods x {seeds}, {n_runs} runs; {self._results_in()}",
            *self._costs_text(able, runs, tuned),
            *(f"Left out: {m.name}, {why}." for m in self._methods if (why := self._executor.lacks(m)) is not None),
        ]
        return "\n".join(lines)

    def _results_in(self) -> str:
        there = " (what is finished there is not done again)" if self._folder.is_dir() else ""
        return f"results go to {self._folder}{there}"

    def _costs_text(self, able: Sequence[Method], runs: Sequence[Method], tuned: Sequence[str]) -> list[str]:
        """A line per run: the methods that are read off it, its trials, about how long it takes."""
        options, n_seeds = self._options, len(self._seeds)
        costs = None if options.no_estimate else self._costs(runs)
        rows = [["methods of a run", "trials", "runs", *(["CPU minutes, about"] if costs is not None else [])]]
        for run in runs:
            lines = [method.name for method in able if method.unit == run.unit]
            trials = options.trials if run.name in tuned else 0
            row = [", ".join(lines), str(trials or "-"), str(n_seeds)]
            if costs is not None:
                cost = costs.get(run.name)
                row.append("?" if cost is None else _minutes(cost, n_seeds + trials))
            rows.append(row)
        text = [aligned(rows)]
        if costs is not None:
            total = total_cost(costs, runs, n_seeds, options.trials)
            about = f"{'more than' if total.at_least else 'about'} {_duration(total.seconds)}"
            text.append(f"In all {about} of one core, if trainings stop after about {USUAL_EPOCHS} epochs.")
        return text

    def _costs(self, runs: Sequence[Method]) -> dict[str, Cost]:
        """Measured now, or before by the same command; a dry run keeps nothing."""
        path, wanted = self._folder / "estimate.json", [self._dataset.fingerprint(with_new_users=False)]
        wanted += [run.unit for run in runs]
        costs = known_costs(path, wanted)
        if costs is None:
            logger.info("Measuring what %d runs cost, for a few minutes at most ...", len(runs))
            costs = measure(self._executor, runs, self._seeds[0], self._dataset, self._features)
            if not self._options.dry_run:
                make_folder(self._folder)
                keep_costs(path, wanted, costs)
        return costs


def _minutes(cost: Cost, n_runs: int) -> str:
    return f"{'> ' if cost.at_least else ''}{cost.seconds * n_runs / 60:.1f}"


def _duration(seconds: float) -> str:
    """`a minute`, `40 minutes` or `2.5 hours`."""
    if seconds < 90:
        return "a minute"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
