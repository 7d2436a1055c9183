"""A trained run that can be asked: lists of items for any histories, neighbours of items, and their vectors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from torch import Tensor

from mml.config.config import Config
from mml.data.items import Items
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.histories import Given, Histories
from mml.model.fusion.standardised import StandardisedScores, WeightedSum, weighted_mean
from mml.ranked_lists import BestItems, best_items, popular_items
from mml.run.folder import RunFolder
from mml.run.run import Run
from mml.trainer.fusion import case_context

logger = logging.getLogger(__name__)

_BLOCK = 256  # users scored at a time


class Recommender:
    """Scores items for users by their histories, whether the log knows these users or not.

    Args:
        run: a run whose learners, generator and fusion are trained.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.vocabulary = Items.of(run.dataset)

    @property
    def items(self) -> pd.DataFrame:
        """One row per item, by item_id: title if known, is_new (nobody had touched it at T), n_interactions."""
        return self.vocabulary.table()

    @property
    def image_folder(self) -> Path | None:
        """The folder of the items' pictures, if a learner encodes one."""
        for learner in self._run.config["learners"].values():
            folder = (learner.get("source") or {}).get("folder")
            if folder is not None:
                places = (Path(folder).expanduser(), Path(self._run.dataset.dataset_path) / folder)
                return next((place for place in places if place.is_dir()), None)
        return None

    @torch.no_grad()
    def recommend(
        self,
        histories: Given,
        top: int = 10,
        items: Iterable[object] | None = None,
        exclude: Iterable[object] | None = None,
        new_items_share: float | None = None,
        explain: bool = False,
    ) -> pd.DataFrame:
        """The best items for each user.

        Args:
            histories: user id -> item ids, the oldest first; or a table, or the name of a file of one.
            top: how many items, at least 1.
            items: only these are candidates; all if None.
            exclude: these are none.
            new_items_share: at least this share of each list is new items, where there are enough; 0 to 1.
            explain: add what each learner contributed to an item's score, a column each.

        Returns:
            user_id, rank (from 1), item_id, title if known, score, by (`mml`, or `popularity` for users without any
            known item), and the learners' columns if asked for. Unknown items are skipped and counted in the log.

        Raises:
            InputError: for histories that cannot be read, or a wrong number.
        """
        if top < 1 or not 0 <= (new_items_share or 0) <= 1:
            raise InputError(
                f"top is {top} and new_items_share {new_items_share}; give 1 or more, and a share of 0 to 1."
            )
        found = Histories.read(histories, self.vocabulary)
        if found.n_unknown:
            logger.warning("%d items of the histories are unknown and were skipped.", found.n_unknown)
        allowed = self._allowed(items, exclude)
        has_some = np.array([bool(own) for own in found.items], dtype=bool)
        parts = list(self._of_histories(found, np.flatnonzero(has_some), top, allowed, new_items_share, explain))
        if not has_some.all():
            parts.append(self._of_popularity(found, np.flatnonzero(~has_some), top, allowed))
        if not parts:
            return pd.DataFrame(columns=["user_id", "rank", "item_id", "score", "by"])
        frame = pd.concat(parts, ignore_index=True).sort_values(["_user", "rank"], kind="stable")
        return frame.drop(columns="_user").reset_index(drop=True)

    def popular(self, top: int = 10) -> pd.DataFrame:
        """The items that most old users took: rank, item_id, title if known, score (how often)."""
        return self._ranked(*popular_items(self.vocabulary.counts, top, self._allowed(None, None)))

    def similar(self, item: object, top: int = 10) -> pd.DataFrame:
        """The items whose vectors are nearest by cosine: rank, item_id, title if known, score.

        Raises:
            InputError: if the item is unknown.
        """
        known = self.vocabulary.known([item])
        if not known:
            raise InputError(f"there is no item '{item}'.")
        unit = torch.nn.functional.normalize(self._vectors(), dim=1)
        scores = (unit @ unit[known[0]])[None]
        scores[0, [0, known[0]]] = -torch.inf
        best = best_items(scores, top, self.vocabulary.n_warm_items, None)
        return self._ranked(best.items, best.scores)

    def item_vectors(self) -> tuple[list[str], np.ndarray]:
        """Item ids, and the ID learner's vectors of them: float32 [n, d]; a new item's is generated."""
        vectors = self._vectors()[1:].cpu().numpy()
        return list(self.vocabulary.tokens[1:]), np.asarray(vectors, dtype=np.float32)

    def add_items(self, table: pd.DataFrame) -> None:
        """Refuse items that came after the training.

        Raises:
            InputError: always: a run knows the items of its data, those that nobody has touched yet among them.
        """
        raise InputError(
            f"this model knows the items of its data only: add the {len(table)} new ones to the .item file and train "
            "again."
        )

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        return self._run.learners["id"].item_table()

    def _ranked(self, numbers: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
        rank = np.arange(1, len(numbers) + 1)
        return pd.DataFrame({"rank": rank, **self.vocabulary.named(numbers), "score": scores.astype(np.float64)})

    def _allowed(self, items: Iterable[object] | None, exclude: Iterable[object] | None) -> Tensor:
        """bool [n_items], the candidates."""
        allowed = torch.ones(len(self.vocabulary), dtype=torch.bool)
        if items is not None:
            allowed[:] = False
            allowed[self.vocabulary.known(items)] = True
        if exclude is not None:
            allowed[self.vocabulary.known(exclude)] = False
        allowed[0] = False
        return allowed

    def _of_popularity(self, found: Histories, rows: np.ndarray, top: int, allowed: Tensor) -> pd.DataFrame:
        numbers, counts = popular_items(self.vocabulary.counts, top, allowed)
        n = len(rows)
        return self._frame(found, np.repeat(rows, len(numbers)), np.tile(numbers, n), np.tile(counts, n), "popularity")

    def _of_histories(
        self,
        found: Histories,
        rows: np.ndarray,
        top: int,
        allowed: Tensor,
        new_items_share: float | None,
        explain: bool,
    ) -> Iterator[pd.DataFrame]:
        for begin in range(0, len(rows), _BLOCK):
            own = rows[begin : begin + _BLOCK]
            tasks = found.tasks(own, self._run.dataset.max_item_list_len)
            standardised = self._run.scores(tasks, len(self.vocabulary))
            weights, tau = self._weights(standardised, tasks)
            everything = slice(0, len(self.vocabulary))
            z = standardised.of_cases(slice(0, len(own)))(everything)  # [M, c, n_items]
            scores = tau * weighted_mean(z, weights, standardised.known(everything))
            scores = scores.masked_fill(~allowed.to(scores.device), -torch.inf)
            if not self._run.config["repeatable"]:
                for place, row in enumerate(own):
                    scores[place, found.items[row]] = -torch.inf
            best = best_items(scores, top, self.vocabulary.n_warm_items, new_items_share)
            frame = self._frame(found, own[best.cases], best.items, best.scores, "mml")
            yield frame.assign(**_contributions(standardised, z, weights, best)) if explain else frame

    def _weights(self, scores: StandardisedScores, tasks: TaskSet) -> tuple[Tensor, Tensor]:
        """Each case's weights of the learners [c, M] and its tau [c, 1], by the run's fusion."""
        run, method = self._run, self._run.config["fusion_method"]
        if method == "adaptive":
            run.fusion.eval()
            context = case_context(tasks, run.dataset).to(scores.device)
            weights, tau = run.fusion(scores.states(slice(0, len(tasks))), context)
            return weights, tau
        equal = dict.fromkeys(scores.names, 1.0 / len(scores.names))
        fixed = WeightedSum(scores, equal if method == "mean" else run.fixed_weights).weights
        return fixed.expand(len(tasks), -1), torch.ones(len(tasks), 1, device=scores.device)

    def _frame(
        self, found: Histories, rows: np.ndarray, numbers: np.ndarray, scores: np.ndarray, by: str
    ) -> pd.DataFrame:
        frame = pd.DataFrame({"_user": rows, "user_id": [found.users[row] for row in rows]})
        frame["rank"] = frame.groupby("_user", sort=False).cumcount() + 1
        return frame.assign(**self.vocabulary.named(numbers), score=scores.astype(np.float64), by=by)


def _contributions(scores: StandardisedScores, z: Tensor, weights: Tensor, best: BestItems) -> dict[str, np.ndarray]:
    """Learner -> its share of the weight times its standardised score, of each listed item."""
    items = torch.from_numpy(best.items).to(z.device)
    cases = torch.from_numpy(best.cases).to(z.device)
    own = weights[cases].T  # [M, n]
    shares = own / (own * scores.known(items)).sum(0).clamp(min=1e-6)
    parts = shares * z[:, cases, items]
    return {name: parts[row].cpu().numpy() for row, name in enumerate(scores.names)}


def load(path: str | Path) -> Recommender:
    """The recommender of a finished run.

    Args:
        path: the run's folder, such as output/ml-100k/latest. The dataset must be where the run found it.

    Raises:
        InputError: if it is no finished run, or the data have changed since.
    """
    folder = Path(path).expanduser()
    written = folder / "config.yaml"
    if not written.is_file():
        raise InputError(f"{path} is no run's folder; name one such as output/ml-100k/latest.")
    folder = folder.resolve()
    name = yaml.safe_load(written.read_text(encoding="utf-8"))["dataset"]
    config = Config(name, [written], {"show_progress": False, "output_dir": str(folder.parent.parent)})
    place = RunFolder(config)
    place.path, place.checkpoints = folder, folder / "checkpoints"
    run = Run(config, place, only_saved=True)
    run.train()
    return Recommender(run)
