"""The trained whole: learners, generator and fusion over a catalogue, which can be asked for lists of items."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mml.data.items import zeros_lost
from mml.data.tasks import evaluation_tasks
from mml.errors import InputError
from mml.evaluation.cases import WholeHistories
from mml.evaluation.measured import TOP, measured
from mml.evaluation.ranking import rank_targets
from mml.evaluation.scorer import Scorer
from mml.features.new_items import SHOWN, called_table, encode_new_items, read_new_items
from mml.files.given import given_folder
from mml.histories import Given, Histories, among, row_keys, user_ids
from mml.method_names import FLOOR, FULL, ONLINE
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.slot import MAIN, State
from mml.ranked_lists import ListedItems, best_items, popular_items
from mml.recommender import saved
from mml.recommender.counting import with_events
from mml.recommender.lists import BLOCK, allowed_items, of_histories, of_popularity
from mml.recommender.parts import TrainedParts
from mml.recommender.updates import Updated, digest, learned_before, updated
from mml.tables.launches import launches_in
from mml.tables.layout import TableLayout
from mml.tables.times import COUNTER

logger = logging.getLogger(__name__)

_ORDER = (FULL, FULL + ONLINE, FLOOR)  # of the rows of what the run measured


class Recommender(TrainedParts):
    """Recommends items to users by their histories, known users or not."""

    def __repr__(self) -> str:
        n, n_new = len(self.vocabulary) - 1, len(self.vocabulary) - 1 - self.vocabulary.n_warm_items
        return f"<Recommender of {n:,} items, {n_new:,} of them new; learners {', '.join(self.learners)}>"

    @property
    def items(self) -> pd.DataFrame:
        """One row per item, by item_id: title if known, is_new (nobody had touched it at T), n_interactions."""
        return self.vocabulary.table()

    @cached_property
    def layout(self) -> TableLayout:
        """What is known of the shop's tables."""
        ends = [one.events.times[-1] for one in self.counting if len(one.events)]
        return replace(TableLayout.of(self.values), counted=bool(ends) and ends[0] < COUNTER)

    @property
    def image_folder(self) -> Path | None:
        """The folder of the items' pictures, if a learner encodes one and it is still there."""
        folder = self.vocabulary.image_folder
        return Path(folder) if folder is not None and Path(folder).is_dir() else None

    @torch.no_grad()
    def recommend(
        self,
        histories: Given | None = None,
        top: int = 10,
        items: Iterable[object] | None = None,
        exclude: Iterable[object] | None = None,
        new_items_share: float | None = None,
        explain: bool = False,
        users: Iterable[object] | None = None,
    ) -> pd.DataFrame:
        """The best items for each user.

        Args:
            histories: user id -> item ids, the oldest first; or a table, or the name of a file of one, with the
                columns' names that the imported log has, or user_id, item_id and perhaps timestamp: by the latest
                one of a user it is known how long ago the log ended, and so how many items may be new.
            top: how many items, at least 1.
            items: only these are candidates; all if None.
            exclude: these are none.
            new_items_share: at least this share of each list is new items, where there are enough; 0 to 1.
            explain: add what each learner contributed to an item's score, a column each.
            users: instead of histories, the ids of users whom the model's log has, that up to T, of updates and of
                `with_events`.

        Returns:
            user_id, rank (from 1), item_id, title if known, score, by (`mml`, or `popularity` for users without any
            known item), and the learners' columns if asked for. Unknown items are skipped and counted in the log, and
            so are users whom the log has not.

        Raises:
            InputError: for histories that cannot be read, a wrong number, or histories and users at once.
        """
        _check_top(top)
        _check_share(new_items_share)
        found = self._histories(histories, users)
        if found.n_unknown:
            logger.warning("histories: %s", self.vocabulary.describe_unknown(found.unknown))
        allowed = allowed_items(self, items, exclude)
        has_some = np.array([bool(own) for own in found.items], dtype=bool)
        lists = list(of_histories(self, found, np.flatnonzero(has_some), top, allowed, new_items_share, explain))
        if not has_some.all():
            lists.append(of_popularity(self, np.flatnonzero(~has_some), top, allowed, new_items_share))
        if not lists:
            return pd.DataFrame(columns=["user_id", "rank", "item_id", "score", "by"])
        whole = ListedItems.joined(lists)
        if not isinstance(histories, Mapping):  # whoever writes a mapping has its users at hand
            _say_without_list(len(found.users) - len(np.unique(whole.users)), len(found.users))
        columns = {"user_id": np.array(found.users, dtype=object)[whole.users], "rank": whole.ranks}
        columns |= self.vocabulary.named(whole.items)
        columns |= {"score": whole.scores.astype(np.float64), "by": whole.by, **whole.contributions}
        return pd.DataFrame(columns, copy=False)

    def _histories(self, given: Given | None, users: Iterable[object] | None) -> Histories:
        if (given is None) == (users is None):
            raise InputError("give histories, or the ids of users whom the model's log has.")
        if given is not None:
            return Histories.read(given, self.vocabulary, self.layout).once()
        names = user_ids(users)
        found = Histories(names, self._taken_by(names), [])
        missed = [name for name, own in zip(names, found.items, strict=True) if not own]
        if missed:
            logger.warning("%s; it has those up to T, and later ones after an update.", _describe_missed(missed, names))
        return found

    def history(self, user: object) -> list[str]:
        """What a user of the model's log has taken, that up to T, of updates and of `with_events`, the oldest first;
        empty for others.

        Raises:
            InputError: for what is no id.
        """
        return [str(self.vocabulary.tokens[number]) for number in self._taken_by(user_ids([user]))[0]]

    def _taken_by(self, users: Sequence[str]) -> list[list[int]]:
        """What users have taken, numbers of items, the oldest first: learned, and then counted."""
        pairs = zip(self.had_by(users), self.counted_of(users), strict=True)
        return [[*learned.tolist(), *counted.tolist()] for learned, counted in pairs]

    def histories(self, since: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, list[str]]:
        """What users have taken, the oldest first: what the model's log has of them, and what they did since.

        Args:
            since: user id -> items and when they took them, in order of time; what an update has learned of these is
                in the log, and is not there twice.
        """
        found = {}
        for (user, rows), own in zip(since.items(), self.had_by(list(since)), strict=True):
            learned = self._are_learned(user, rows)
            newer = [item for (item, _), known in zip(rows, learned, strict=True) if not known]
            found[user] = [*(self.vocabulary.tokens[number] for number in own), *newer]
        return found

    def _are_learned(self, user: str, rows: Sequence[tuple[str, float]]) -> np.ndarray:
        """bool [n], whether an update has learned these."""
        numbers = [self.vocabulary.numbers.get(item, 0) for item, _ in rows]
        return among(row_keys([user] * len(rows), numbers, [time for _, time in rows]), self.learned_rows)

    def popular(self, top: int = 10) -> pd.DataFrame:
        """The items that most old users took: rank, item_id, title if known, score (how often)."""
        _check_top(top)
        return self._ranked(*popular_items(self.vocabulary.counts, top, allowed_items(self, None, None)))

    def similar(self, item: object, top: int = 10) -> pd.DataFrame:
        """The items whose vectors are nearest by cosine: rank, item_id, title if known, score.

        Raises:
            InputError: if the item is unknown.
        """
        _check_top(top)
        known = self.vocabulary.known([item])
        if not known:
            raise InputError(f"there is no item '{item}'.{zeros_lost([str(item)], self.vocabulary.numbers)}")
        unit = torch.nn.functional.normalize(self._vectors(), dim=1)
        allowed = allowed_items(self, None, None)
        allowed[known[0]] = False
        scores = (unit @ unit[known[0]])[None].masked_fill(~allowed.to(unit.device), -torch.inf)
        best = best_items(scores, top, self.vocabulary.n_warm_items, None)
        return self._ranked(best.items, best.scores)

    def item_vectors(self) -> tuple[list[str], np.ndarray]:
        """Item ids, and the ID learner's vectors of them: float32 [n, d]; a new item's is generated."""
        vectors = self._vectors()[1:].cpu().numpy()
        return list(self.vocabulary.tokens[1:]), np.asarray(vectors, dtype=np.float32)

    def add_items(
        self, table: pd.DataFrame | str | Path, images: str | Path | Mapping[str, str | Path] | None = None
    ) -> int:
        """Take in items that came after the training: encoded as the others were, they can be recommended at once.

        Args:
            table: one row per item, a frame or a file: its id, what the modalities are encoded from (texts,
                columns), a title if the others have some, and when it came if that is known of the others, by the
                names that the imported table has or those of the dataset. Items that do not say so came at the
                log's end. Known items are passed over, with a line in the log.
            images: folder of pictures named by item id.

        Returns:
            How many items were new.

        Raises:
            InputError: a column is missing, there is nothing to encode, or the model has no content to make vectors of.
        """
        _check_images(images)
        frame, where = read_new_items(table, self.layout), called_table(table)
        fitted = {name: one.fitted for name, one in self.catalogue.features.items() if one.fitted is not None}
        if not fitted:
            raise InputError("this model has no texts, pictures or other features, so it cannot score new items.")
        known = frame.index.isin(list(self.vocabulary.numbers))
        if known.any():
            logger.warning("%s: %s", where, _describe_known(list(frame.index[known])))
        frame = frame[~known]
        if not len(frame):
            return 0
        encoded = encode_new_items(fitted, frame, images, layout=self.layout, where=where)
        state = self.state()
        state["items"] = self.vocabulary.with_new(frame).state()
        launched = None
        if self.catalogue.launched is not None and self.counting:
            latest = float(self.counting[0].events.times.max(initial=0.0))
            launched = launches_in(frame, self.layout, latest, where)
        state["catalogue"] = self.catalogue.with_new(encoded, len(frame), launched).state()
        self.__dict__.update(Recommender.from_state(state).__dict__)
        return len(frame)

    def update(self, log: Given | Histories) -> Updated:
        """Learn from what users did since the training, in seconds: no weight is trained by gradients.

        Users who are known go on. Events are counted, learners without an encoder are fitted again, the others are
        corrected for the items' shares among the newer interactions. The newest tenth of the users judge: if
        yesterday's model predicts them clearly better (a t-test over eight or more, p < 0.05), that one is kept.

        Args:
            log: of users, the oldest first; as for `recommend`, or read already. Unknown items are skipped; see
                `add_items`.

        Returns:
            kept (`new` or `old`), ndcg_before and ndcg_after (NDCG@10 for the newest users), n_judges (how many
            these are), n_interactions, n_unknown, and n_again (learned before, and passed over; told by user, item
            and time).

        Raises:
            InputError: for a log that cannot be read or from which nothing can be learned, or a model that was saved
                without its log.
        """
        self._refuse_ahead("updated")
        whole, report = updated(self, self._read(log))
        self.__dict__.update(whole.__dict__)
        return report

    def with_events(self, log: Given | Histories) -> Recommender:
        """The same model where what users have just done counts at once, as `online` is measured.

        What is popular now, who is like-minded and what follows what goes by these events too, and users who are
        known go on; nothing is fitted to them, so it takes milliseconds. This model stays as it was. The new one
        answers, and can be given more events; it is neither saved nor updated.

        Args:
            log: of users, the oldest first; as for `update`. What was learned or counted before is passed over, told
                by user, item and time; so is what is no later than T, by its time. Unknown items are skipped.

        Raises:
            InputError: for a log that cannot be read, or a model without a learner that counts events.
        """
        found = self._read(log)
        if found.n_unknown:
            logger.warning("events: %s", self.vocabulary.describe_unknown(found.unknown))
        return with_events(self, found)

    def has_learned(self, log: Given | Histories) -> bool:
        """Whether updates have learned all of this log: what a command does twice, once more after a kill, counts once.

        Raises:
            InputError: for a log that cannot be read.
        """
        found = self._read(log)
        again = learned_before(self, found)
        return digest(found) in self.learned_logs or bool(len(again) and again.all())

    def _read(self, log: Given | Histories) -> Histories:
        return log if isinstance(log, Histories) else Histories.read(log, self.vocabulary, self.layout)

    @torch.no_grad()
    def evaluate(self, log: Given | None = None, shots: Sequence[int] = (1, 3, 5, 9), top: int = 10) -> pd.DataFrame:
        """How well it predicts what users took next, beside the popularity of its own log.

        Args:
            log: of users that it was not trained on; as for `recommend`. None: what the run that trained it has
                measured on its new users, at 10, `mml_online` included.
            shots: after so many interactions of each user the next one is predicted.
            top: length of the list.

        Returns:
            A row for `mml` and one for `popularity`: hit@top, mrr@top, ndcg@top, n_users, n_cases.

        Raises:
            InputError: for a log that cannot be read, or one with no case; without a log, if nothing was measured; for
                a wrong number.
        """
        _check_top(top)
        _check_shots(shots)
        if log is None:
            return self._measured(top)
        found = Histories.read(log, self.vocabulary, self.layout).once()
        tasks, _ = evaluation_tasks(found.sequences(), self.rules.max_length, shots)
        if not self.rules.repeatable:
            if len(tasks) and tasks.target_in_history.all():
                raise InputError(
                    "all that users of the log took next they had had before, and this model lists no such items, so "
                    "nothing can be measured."
                )
            tasks = tasks.take(~tasks.target_in_history)
        if not len(tasks):
            raise InputError(
                f"no user of the log has more than {min(shots)} known interactions, so nothing can be measured."
            )
        tasks = self.now(tasks, self.numbers_of(found.users)[tasks.users])
        excluded = None if self.rules.repeatable else WholeHistories(tasks)
        rows = {}
        scorers: dict[str, Scorer] = {
            FULL: self.fused(tasks, self.outputs(tasks)),
            FLOOR: self.by_popularity(len(tasks)),
        }
        for name, scorer in scorers.items():
            ranks = rank_targets(scorer, tasks.target, excluded, seed=0, block=BLOCK).ranks
            rows[name] = measured(ranks, tasks, top)
        return _as_table(rows)

    def _measured(self, top: int) -> pd.DataFrame:
        if not self.measured or top != TOP:
            raise InputError(f"without a log there is only what the training run measured, at {TOP}; give a log.")
        return _as_table({name: self.measured[name] for name in _ORDER if name in self.measured})

    def _vectors(self) -> Tensor:
        main = self.learners[MAIN]
        assert isinstance(main, AdaptedLearner)
        return main.vectors()

    def _ranked(self, numbers: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
        rank = np.arange(1, len(numbers) + 1)
        return pd.DataFrame({"rank": rank, **self.vocabulary.named(numbers), "score": scores.astype(np.float64)})

    def save(self, folder: str | Path) -> Path:
        """Write all of it into a folder that is complete in itself, safetensors and JSON; an older one is replaced."""
        self._refuse_ahead("saved")
        return saved.save(self, folder)

    def _refuse_ahead(self, what: str) -> None:
        if self.is_ahead:
            raise InputError(
                f"this model counts events that it has not learned, and is not {what}: update the one that "
                "with_events() was called of, with these events, and save that."
            )

    @classmethod
    def load(cls, path: str | Path) -> Recommender:
        """The recommender of a run's folder, or of a folder that `save` wrote.

        Raises:
            InputError: if there is none, or it is damaged, or of another version's format or code.
        """
        return saved.load(cls, path)

    def state(self) -> State:
        """All of it: nested mappings of tensors, numbers, strings and lists."""
        return saved.state_of(self)

    @classmethod
    def from_state(cls, state: State) -> Recommender:
        """The recommender that `state` is of, on the CPU."""
        return saved.from_state(cls, state)


def _as_table(rows: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """A row per method."""
    return pd.DataFrame(rows).T.astype({"n_users": int, "n_cases": int})


def _say_without_list(n: int, n_users: int) -> None:
    if n:
        said = "histories: %s of %s users have no list, as items, exclude and what they have had leave nothing."
        logger.warning(said, f"{n:,}", f"{n_users:,}")


def _describe_missed(missed: Sequence[str], users: Sequence[str]) -> str:
    if len(users) == 1:
        return f"user '{missed[0]}' is not in the model's log, and gets what newcomers take first"
    is_one = len(missed) == 1
    return (
        f"{len(missed):,} of {len(users):,} users {'is' if is_one else 'are'} not in the model's log, such as "
        f"'{missed[0]}', and {'gets' if is_one else 'get'} what newcomers take first"
    )


def _describe_known(ids: Sequence[str]) -> str:
    what = (
        "1 item is known already and left as it is"
        if len(ids) == 1
        else f"{len(ids):,} items are known already and left as they are"
    )
    return f"{what}: {', '.join(map(repr, ids[:SHOWN]))}{' and more' * (len(ids) > SHOWN)}."


def _check_images(images: object) -> None:
    for folder in images.values() if isinstance(images, Mapping) else [images]:
        if folder is not None:
            given_folder(folder, "images is a folder of pictures named by item id, or modality -> folder")


def _check_top(top: object) -> None:
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
        raise InputError(f"top is {top!r}; it is how many items a list has, a whole number from 1 on.")


def _check_share(share: object) -> None:
    if share is None:
        return
    is_number = isinstance(share, (int, float, np.integer, np.floating)) and not isinstance(share, bool)
    if not is_number or not 0 <= float(cast("float", share)) <= 1:
        raise InputError(f"new_items_share is {share!r}; give a share of 0 to 1.")


def _check_shots(shots: object) -> None:
    whole = isinstance(shots, (Sequence, np.ndarray)) and all(
        isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k > 0 for k in shots
    )
    if not whole or not len(cast("Sequence[int]", shots)):
        raise InputError(f"shots is {shots!r}; give a list of whole numbers from 1 on, such as [1, 3, 5, 9].")
