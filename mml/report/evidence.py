"""What a finished run left in its folder, as far as the report needs it."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mml.config.sources import Loader, read_yaml
from mml.errors import InputError
from mml.evaluation.significance import per_case_ndcg
from mml.files.sheets import read_sheet, restored
from mml.method_names import FLOOR, FULL, ONLINE
from mml.recommender import Recommender
from mml.report.estimates import Estimate, hits, share
from mml.report.log import RunLog, read_log
from mml.report.names import is_variant, knows_later_events
from mml.run.schema import Result, read_result

logger = logging.getLogger(__name__)

_KEYS = ["user_id", "target_item", "target_is_cold", "shots"]
_KINDS: dict[Hashable, str] = {
    "user_id": "str",
    "target_item": "str",
    "target_is_cold": "int64",
    "shots": "int64",
    "method": "category",
    "rank": "int64",
}
_MOST_BASELINES = 6


@dataclass(frozen=True)
class Cases:
    """The cases of a meta-test and where their targets came out.

    Args:
        frame: [N], the columns user_id, target_item, target_is_cold, shots.
        ranks: method -> int64 [N].
    """

    frame: pd.DataFrame
    ranks: Mapping[str, np.ndarray]

    @property
    def users(self) -> np.ndarray:
        """Whose case each is, str [N]."""
        return self.frame["user_id"].to_numpy()

    @property
    def shots(self) -> np.ndarray:
        """int64 [N]."""
        return self.frame["shots"].to_numpy()

    @property
    def is_cold(self) -> np.ndarray:
        """bool [N]: the target is a new item."""
        return self.frame["target_is_cold"].to_numpy() == 1

    def recall(self, method: str, among: np.ndarray | None = None) -> Estimate:
        """Share of the cases, all or those `among` bool [N], whose target is in the top ten."""
        kept = slice(None) if among is None else among
        return share(hits(self.ranks[method][kept]), self.users[kept])

    def ndcg(self, method: str, among: np.ndarray | None = None) -> Estimate:
        """NDCG@10 of the cases, all or those `among` bool [N]."""
        kept = slice(None) if among is None else among
        return share(per_case_ndcg(self.ranks[method][kept]), self.users[kept])


class Evidence:
    """A run's folder. What is missing is None, and `missing` says why.

    Args:
        folder: the run's.

    Raises:
        InputError: if it holds no finished run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.missing: dict[str, str] = {}
        self.result = _read_result(folder)
        self.config = read_yaml(folder / "config.yaml", Loader)
        self.cases = _read_cases(folder / "predictions.csv")

    @property
    def dataset(self) -> str:
        """Its name."""
        return str(self.result["dataset"])

    @cached_property
    def methods(self) -> list[str]:
        """The whole method, frozen and online, then its learners, the best first, then the floor."""
        whole = (FULL, FULL + ONLINE)
        own = [name for name in self.cases.ranks if name not in (*whole, FLOOR) and not is_variant(name)]
        own.sort(key=lambda name: -self.cases.ndcg(name).value)
        return [name for name in (*whole, *own, FLOOR) if name in self.cases.ranks]

    @cached_property
    def online_learners(self) -> list[str]:
        """The learners whose evidence is every event before the next item."""
        return [name for name in self.cases.ranks if name.endswith(ONLINE) and name != FULL + ONLINE]

    @cached_property
    def baselines(self) -> dict[str, np.ndarray]:
        """Baselines that ranked the same cases, the best frozen and the best other ones: name -> ranks int64 [N].

        Of several runs of one it is the newest.
        """
        found: dict[str, np.ndarray] = {}
        paths = self.folder.parent.glob("*/predictions.csv")
        for path in sorted(paths, key=lambda one: (one.stat().st_mtime_ns, one)):
            if path.parent.is_symlink() or path.parent == self.folder:
                continue
            try:
                other = _read_cases(path)
            except InputError:
                continue
            if FULL not in other.ranks and other.frame.equals(self.cases.frame):
                found |= other.ranks
        cases = Cases(self.cases.frame, found)
        best = sorted(found, key=lambda name: -cases.ndcg(name).value)
        frozen = [name for name in best if not knows_later_events(name)]
        others = [name for name in best if knows_later_events(name)]
        return {name: found[name] for name in (*frozen[:_MOST_BASELINES], *others[:_MOST_BASELINES])}

    @cached_property
    def model(self) -> Recommender | None:
        """The trained recommender."""
        try:
            return Recommender.load(self.folder)
        except InputError as error:
            self.missing["model"] = str(error)
            return None

    @property
    def model_is_as_trained(self) -> bool:
        """Whether it has neither learned nor been given items since the run."""
        model = self.model
        n_items = self.result["data"]["items"]
        return model is not None and not model.learned_logs and len(model.vocabulary) == n_items + 1

    @cached_property
    def log(self) -> RunLog | None:
        """The log."""
        try:
            return read_log(self.folder, self.dataset)
        except InputError as error:
            self.missing["log"] = f"the log is not as the run found it ({error})"
            return None

    @cached_property
    def histories(self) -> dict[str, list[str]]:
        """New user -> items in order, of those whose targets are in their place; empty without a log."""
        if self.log is None:
            return {}
        found = self.log.histories(set(self.cases.users))
        frame = self.cases.frame
        wrong = {
            user
            for user, target, shots in zip(frame["user_id"], frame["target_item"], frame["shots"], strict=True)
            if found.get(user, [])[shots : shots + 1] != [target]
        }
        if wrong:
            logger.debug("%d users' interactions are not those of the log today.", len(wrong))
            who = "1 user's" if len(wrong) == 1 else f"{len(wrong):,} users'"
            self.missing["log"] = f"the log has changed: {who} interactions are not those of the run"
        return {user: items for user, items in found.items() if user not in wrong}

    @cached_property
    def lists(self) -> pd.DataFrame | None:
        """recommendations.csv: user_id, shots, rank, item_id of each case's list."""
        path = self.folder / "recommendations.csv"
        if not path.is_file():
            self.missing["lists"] = "this run left no recommendations.csv"
            return None
        try:
            return restored(read_sheet(path, {"user_id": "str", "shots": "int64", "rank": "int64", "item_id": "str"}))
        except InputError as error:
            self.missing["lists"] = str(error)
            return None

    @cached_property
    def items(self) -> pd.DataFrame | None:
        """One row per item, by item_id: title if known, is_new, n_interactions."""
        return None if self.model is None else self.model.items


def _read_result(folder: Path) -> Result:
    path = folder / "result.json"
    if not path.is_file():
        raise InputError(f"{folder} holds no finished run: there is no result.json; run mml train first.")
    result = read_result(path)
    if result is None or "all" not in result["metrics"].get(FULL, {}):
        raise InputError(f"{path} is damaged, or of a baseline; the same run writes it again.")
    return result


def _read_cases(path: Path) -> Cases:
    if not path.is_file():
        raise InputError(f"{path} does not exist; the same run writes it again.")
    try:
        rows = read_sheet(path, _KINDS)
        groups = {str(name): own for name, own in rows.groupby("method", sort=False, observed=True)}
        frame = restored(next(iter(groups.values()))[_KEYS].reset_index(drop=True))
        ranks = {name: own["rank"].to_numpy(dtype=np.int64) for name, own in groups.items()}
    except StopIteration:
        raise InputError(f"{path} is damaged; the same run writes it again.") from None
    if any(len(own) != len(frame) for own in ranks.values()):
        raise InputError(f"{path} is damaged: its methods have different cases; the same run writes it again.")
    return Cases(frame, ranks)
