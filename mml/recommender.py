"""The trained whole: learners, generator and fusion over a catalogue, which can be asked."""

from __future__ import annotations

import copy
import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.events import EventLog
from mml.data.items import Items
from mml.data.sequences import PackedSequences
from mml.data.tasks import Moments, TaskSet, evaluation_tasks, first_screens, prefix_tasks
from mml.errors import InputError
from mml.evaluation.ranking import rank_targets
from mml.evaluation.scorer import Scorer
from mml.evaluation.significance import per_case_ndcg
from mml.features.new_items import encode_new_items, read_new_items
from mml.files.bundle import finish_write, read_about, read_state, write_state
from mml.files.safe import make_folder, plain
from mml.histories import Given, Histories
from mml.model.fusion import FUSIONS
from mml.model.fusion.context import case_context, context_size
from mml.model.fusion.slot import ExplainedScorer, FusedScorer, FusionShape, TrainedFusion
from mml.model.fusion.standardised import ScoreSettings, StandardisedScores
from mml.model.generator import GENERATORS, Generator
from mml.model.generator.slot import GeneratorParts
from mml.model.learner import entry_of
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.id import IDLearner
from mml.model.learner.outputs import Output, StateOutput
from mml.model.learner.slot import MAIN, EventLearner, Serving, State, TrainedLearner
from mml.protocols import follows
from mml.ranked_lists import BestItems, ListedItems, best_items, popular_items
from mml.settings import Values, read
from mml.tables.told import Told
from mml.updating.learning import learned
from mml.version import __version__

logger = logging.getLogger(__name__)

MODEL = "model"
"""The folder of the trained recommender inside a run's."""

_BLOCK = 256  # users scored at a time
_FORMAT = 1
_NAME = "recommender"  # of its files


@dataclass(frozen=True)
class Rules:
    """How a recommender is asked.

    Args:
        max_length: longest history the encoders see.
        repeatable: whether items of the history may be recommended again.
        fusion: which fusion's ranking counts.
        hidden_size: d of the states.
    """

    max_length: int
    repeatable: bool
    fusion: str
    hidden_size: int


class Updated(TypedDict):
    """What an update gained; see Recommender.update."""

    kept: str
    ndcg_before: float
    ndcg_after: float
    n_interactions: int
    n_unknown: int


class Recommender:
    """Scores items for users by their histories, known users or not.

    Args:
        items: the item vocabulary.
        catalogue: the items as learners see them.
        learners: by name, in the order of the fusion's weights.
        generator: makes the ID embeddings of items that nobody had touched; None if there is none.
        rules: how it is asked.
        values: all settings of the run that trained it.
        device: of its tensors.
        log: what is known of old users, for `update`; None if it is not kept.
        choices: of learners without an encoder, what their fit is made of.
    """

    def __init__(
        self,
        items: Items,
        catalogue: Catalogue,
        learners: Mapping[str, TrainedLearner],
        generator: Generator | None,
        rules: Rules,
        values: Values,
        device: torch.device,
        log: PackedSequences | None = None,
        choices: Mapping[str, State] | None = None,
    ) -> None:
        self.vocabulary, self.catalogue, self.learners = items, catalogue, dict(learners)
        self.generator, self.rules, self.values, self.device = generator, rules, dict(values), device
        self.fusions: dict[str, TrainedFusion] = {}
        self.log = log
        self.choices = dict(choices or {})
        self.learned_logs: tuple[str, ...] = ()
        self.use_generated(generator is not None)

    # -- scores of tasks: what the evaluation asks -------------------------------------------------------------------

    @property
    def shape(self) -> FusionShape:
        """What its fusions are of."""
        n_states = sum(learner.adapts for learner in self.learners.values())
        n_context = context_size(self.catalogue)
        return FusionShape(list(self.learners), n_states, self.rules.hidden_size, n_context, self.device)

    def outputs(self, tasks: TaskSet, n_items: int | None = None) -> dict[str, Output]:
        """What each learner says about the tasks' users and the first `n_items` items, all if None."""
        n = self.catalogue.n_items if n_items is None else n_items
        return {name: learner.output(tasks, n) for name, learner in self.learners.items()}

    def unadapted(self, name: str, tasks: TaskSet) -> Output:
        """What a learner says without adaptation."""
        return self.learners[name].output(tasks, self.catalogue.n_items, adapted=False)

    def fused(self, tasks: TaskSet, outputs: Mapping[str, Output], method: str | None = None) -> FusedScorer:
        """The fused scores of the tasks, by the fusion called `method` or the chosen one."""
        fusion = self.fusions[self.rules.fusion if method is None else method]
        context = case_context(tasks, self.catalogue) if fusion.needs_context else torch.zeros(len(tasks), 0)
        return fusion.scorer(self.standardised(outputs), context)

    def standardised(self, outputs: Mapping[str, Output]) -> StandardisedScores:
        """The learners' scores on one scale."""
        return StandardisedScores(outputs, read(ScoreSettings, self.values))

    @property
    def compared_fusions(self) -> list[str]:
        """Names of the fitted fusions that every run reports beside the chosen one."""
        return [name for name in self.fusions if FUSIONS[name].is_compared]

    def with_learners(self, learners: Mapping[str, TrainedLearner]) -> Recommender:
        """The same with other learners of the same names."""
        other = copy.copy(self)
        other.learners = dict(learners)
        return other

    @property
    def follows_events(self) -> bool:
        """Whether some learner counts events, so that what came since T changes what it says."""
        return any(isinstance(learner, EventLearner) for learner in self.learners.values())

    def over(self, events: EventLog) -> Recommender:
        """The same where the learners that count events have another log, that up to T and what came since."""
        found = self.learners.items()
        return self.with_learners({k: one.over(events) if isinstance(one, EventLearner) else one for k, one in found})

    def use_generated(self, generated: bool) -> None:
        """Whether cold items have generated ID embeddings; without them the ID learner abstains from them."""
        for learner in self.learners.values():
            inner = learner.learner if isinstance(learner, AdaptedLearner) else None
            if isinstance(inner, IDLearner):
                use = generated and self.generator is not None
                inner.set_cold_embeddings(self.generator.cold_embeddings(inner.n_items) if use else None)  # type: ignore[union-attr]

    # -- lists of items: what people ask -----------------------------------------------------------------------------

    @property
    def items(self) -> pd.DataFrame:
        """One row per item, by item_id: title if known, is_new (nobody had touched it at T), n_interactions."""
        return self.vocabulary.table()

    @cached_property
    def told(self) -> Told:
        """What is known of the shop's tables."""
        return Told.of(self.values)

    @property
    def image_folder(self) -> Path | None:
        """The folder of the items' pictures, if a learner encodes one and it is still there."""
        folder = self.vocabulary.image_folder
        return Path(folder) if folder is not None and Path(folder).is_dir() else None

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
            histories: user id -> item ids, the oldest first; or a table, or the name of a file of one, with the
                columns' names that the imported log has, or user_id, item_id and perhaps timestamp: by the latest
                one of a user it is told how long ago the log ended, and so how many items may be new.
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
        if top < 1:
            raise InputError(f"top is {top}; a list has 1 item or more.")
        if not 0 <= (new_items_share or 0) <= 1:
            raise InputError(f"new_items_share is {new_items_share}; give a share of 0 to 1.")
        found = Histories.read(histories, self.vocabulary, self.told)
        if found.n_unknown:
            logger.warning("%d items of the histories are unknown and were skipped.", found.n_unknown)
        allowed = self._allowed(items, exclude)
        has_some = np.array([bool(own) for own in found.items], dtype=bool)
        lists = list(self._of_histories(found, np.flatnonzero(has_some), top, allowed, new_items_share, explain))
        if not has_some.all():
            lists.append(self._of_popularity(np.flatnonzero(~has_some), top, allowed, new_items_share))
        if not lists:
            return pd.DataFrame(columns=["user_id", "rank", "item_id", "score", "by"])
        whole = ListedItems.joined(lists)
        columns = {"user_id": np.array(found.users, dtype=object)[whole.users], "rank": whole.ranks}
        columns |= self.vocabulary.named(whole.items)
        columns |= {"score": whole.scores.astype(np.float64), "by": whole.by, **whole.contributions}
        return pd.DataFrame(columns, copy=False)

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

    def add_items(
        self, table: pd.DataFrame | str | Path, images: str | Path | Mapping[str, str | Path] | None = None
    ) -> int:
        """Take in items that came after the training: encoded as the others were, they can be recommended at once.

        Args:
            table: one row per item, a frame or a file: its id, what the modalities are encoded from (texts,
                columns), and a title if the others have some, by the names that the imported table has or those of
                the dataset. Known items are passed over, with a line in the log.
            images: folder of pictures named by item id.

        Returns:
            How many items were new.

        Raises:
            InputError: a column is missing, there is nothing to encode, or the model has no content to make vectors of.
        """
        frame = read_new_items(table, self.told)
        fitted = {name: one.fitted for name, one in self.catalogue.features.items() if one.fitted is not None}
        if not fitted:
            raise InputError(
                "this model has no texts, pictures or other features, so it can tell nothing of new items."
            )
        known = frame.index.isin(list(self.vocabulary.numbers))
        if known.any():
            logger.info("%d items are known already and are left as they are.", int(known.sum()))
        frame = frame[~known]
        if not len(frame):
            return 0
        encoded = encode_new_items(fitted, frame, images)
        state = self.state()
        state["items"] = self.vocabulary.with_new(frame).state()
        state["catalogue"] = self.catalogue.with_new(encoded, len(frame)).state()
        self.__dict__.update(Recommender.from_state(state).__dict__)
        return len(frame)

    def update(self, log: Given) -> Updated:
        """Learn from what users did since the training, in seconds: no weight is trained by gradients.

        Learners without an encoder are fitted again, all are corrected for the items' shares among the newer
        interactions. The newest tenth of the users judge: if yesterday's model tells them better, that one is kept.

        Args:
            log: of users, the oldest first; as for `recommend`. Unknown items are skipped; see `add_items`.

        Returns:
            kept (`new` or `old`), ndcg_before and ndcg_after (NDCG@10 for the newest users), n_interactions,
            n_unknown.

        Raises:
            InputError: for a log that cannot be read or tells nothing, or a model that was saved without its log.
        """
        if self.log is None:
            raise InputError("this model was saved without its log, so it cannot be updated; train again.")
        found = Histories.read(log, self.vocabulary, self.told)
        newer = found.sequences()
        n_judges = max(1, len(newer) // 10)
        judges, others = newer.part(slice(len(newer) - n_judges, None)), newer.part(slice(0, len(newer) - n_judges))
        tasks = prefix_tasks(judges, self.rules.max_length)
        if not self.rules.repeatable:
            tasks = tasks.take(~(tasks.inputs(slice(None)) == tasks.target[:, None]).any(1))
        if not len(tasks) or not len(others.items):
            raise InputError("the log tells nothing: it needs some users with two known interactions or more.")
        times = found.times
        own = None if times is None else times[: len(others.items)]
        before, after = self._ndcg(tasks), self._with_newer(others, own)._ndcg(tasks)
        kept = "new" if after >= before else "old"
        if kept == "new":
            whole = self._with_newer(newer, times)
            counts = self.vocabulary.counts + np.bincount(newer.items, minlength=len(self.vocabulary))
            whole.vocabulary = replace(self.vocabulary, counts=counts)
            whole.log = PackedSequences.joined([self.log, newer])
            whole.learned_logs = (*self.learned_logs, _digest(found))
            self.__dict__.update(whole.__dict__)
        said = f"NDCG@10 for the {n_judges} newest users: {before:.4f} before, {after:.4f} after"
        logger.info("%s; %s.", said, "updated" if kept == "new" else "the model is kept as it was")
        return Updated(
            kept=kept,
            ndcg_before=before,
            ndcg_after=after,
            n_interactions=len(newer.items),
            n_unknown=found.n_unknown,
        )

    def has_learned(self, log: Given) -> bool:
        """Whether an update has learned just this log: what a command does twice, once more after a kill, counts once.

        Raises:
            InputError: for a log that cannot be read.
        """
        return _digest(Histories.read(log, self.vocabulary, self.told)) in self.learned_logs

    @property
    def _counting(self) -> list[EventLearner]:
        """The learners that count events."""
        return [one for one in self.learners.values() if follows(one, EventLearner)]  # type: ignore[type-abstract]

    def _now(self, tasks: TaskSet) -> TaskSet:
        """The tasks, asked after all events that are known; at T if nothing has come since."""
        counting = self._counting
        if not any(len(one.events) > one.n_past for one in counting):
            return tasks
        n = len(tasks)
        return replace(tasks, moments=Moments(np.full(n, len(counting[0].events)), np.full(n, -1)))

    def _with_newer(self, newer: PackedSequences, times: np.ndarray | None) -> Recommender:
        assert self.log is not None
        return self.with_learners(
            learned(self.learners, self.choices, self.values, self.log, newer, self.catalogue, self.device, times)
        )

    @torch.no_grad()
    def _ndcg(self, tasks: TaskSet) -> float:
        excluded = None if self.rules.repeatable else tasks.inputs(slice(None))
        tasks = self._now(tasks)
        scorer = self.fused(tasks, self.outputs(tasks))
        ranks = rank_targets(scorer, tasks.target, excluded, seed=0, block=_BLOCK).ranks
        return float(per_case_ndcg(ranks).mean())

    @torch.no_grad()
    def evaluate(self, log: Given, shots: Sequence[int] = (1, 3, 5, 9), top: int = 10) -> pd.DataFrame:
        """How well it tells what users took next, beside the popularity of its own log.

        Args:
            log: of users that it was not trained on; as for `recommend`.
            shots: after so many interactions of each user the next one is predicted.
            top: length of the list.

        Returns:
            A row for `mml` and one for `popularity`: hit@top, mrr@top, ndcg@top, n_users, n_cases.

        Raises:
            InputError: for a log that cannot be read, or one with no case.
        """
        found = Histories.read(log, self.vocabulary, self.told)
        tasks, _ = evaluation_tasks(found.sequences(), self.rules.max_length, shots)
        history = tasks.inputs(slice(None))
        if not self.rules.repeatable:
            tasks = tasks.take(~(history == tasks.target[:, None]).any(1))
            history = tasks.inputs(slice(None))
        if not len(tasks):
            raise InputError(
                f"no user of the log has more than {min(shots)} known interactions, so nothing can be told."
            )
        tasks = self._now(tasks)
        excluded = None if self.rules.repeatable else history
        popular = StateOutput(torch.ones(len(tasks), 1), torch.from_numpy(self.vocabulary.counts).float()[:, None])
        rows = {}
        for name, scorer in (("mml", self.fused(tasks, self.outputs(tasks))), ("popularity", popular)):
            ranks = rank_targets(scorer, tasks.target, excluded, seed=0, block=_BLOCK).ranks
            hit = ranks <= top
            rows[name] = {
                f"hit@{top}": hit.mean(),
                f"mrr@{top}": (hit / ranks).mean(),
                f"ndcg@{top}": per_case_ndcg(ranks, top).mean(),
                "n_users": len(np.unique(tasks.users)),
                "n_cases": len(tasks),
            }
        return pd.DataFrame(rows).T.astype({"n_users": int, "n_cases": int})

    def _vectors(self) -> Tensor:
        main = self.learners[MAIN]
        assert isinstance(main, AdaptedLearner)
        return main.vectors()

    def _ranked(self, numbers: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
        rank = np.arange(1, len(numbers) + 1)
        return pd.DataFrame({"rank": rank, **self.vocabulary.named(numbers), "score": scores.astype(np.float64)})

    def _allowed(self, items: Iterable[object] | None, exclude: Iterable[object] | None) -> Tensor:
        """bool [n_items], the candidates."""
        allowed = torch.ones(self.catalogue.n_items, dtype=torch.bool)
        if items is not None:
            allowed[:] = False
            allowed[self.vocabulary.known(items)] = True
        if exclude is not None:
            allowed[self.vocabulary.known(exclude)] = False
        allowed[0] = False
        return allowed

    def first_screen(self, tasks: TaskSet) -> Scorer:
        """What there is to say about tasks without inputs: by a learner that counts events, else by popularity."""
        counting = self._counting
        if counting:
            return counting[0].output(tasks, self.catalogue.n_items)
        return self.by_popularity(len(tasks))

    def by_popularity(self, n_cases: int) -> StateOutput:
        """How often old users took each item, the same for all cases."""
        counts = torch.from_numpy(self.vocabulary.counts).float()
        return StateOutput(torch.ones(n_cases, 1), counts[:, None])

    def _of_popularity(
        self, users: np.ndarray, top: int, allowed: Tensor, new_items_share: float | None
    ) -> ListedItems:
        tasks = self._now(first_screens(PackedSequences(np.zeros(1, np.int64), np.array([0, 1]))))
        scores = self.first_screen(tasks).of_cases(slice(0, 1))(slice(0, self.catalogue.n_items))
        scores = scores.cpu().masked_fill(~allowed, -torch.inf)
        best = best_items(scores, top, self.vocabulary.n_warm_items, new_items_share)
        shown = np.exp(best.scores) if self._counting else best.scores
        n, k = len(users), len(best.items)
        return ListedItems.of(np.repeat(users, k), np.tile(best.items, n), np.tile(shown, n), "popularity", {})

    def _of_histories(
        self,
        found: Histories,
        rows: np.ndarray,
        top: int,
        allowed: Tensor,
        new_items_share: float | None,
        explain: bool,
    ) -> Iterator[ListedItems]:
        if not len(rows):
            return
        tasks = self._now(found.tasks(rows, self.rules.max_length))
        outputs = self.outputs(tasks)
        scorer, left_out = self.fused(tasks, outputs), ~allowed.to(self.device)
        for begin in range(0, len(rows), _BLOCK):
            cases = slice(begin, min(begin + _BLOCK, len(rows)))
            scores = scorer.of_cases(cases)(slice(0, self.catalogue.n_items)).masked_fill_(left_out, -torch.inf)
            if not self.rules.repeatable:
                places, had = found.pairs(rows[cases])
                scores[torch.from_numpy(places), torch.from_numpy(had)] = -torch.inf
            best = best_items(scores, top, self.vocabulary.n_warm_items, new_items_share)
            told = self._contributions(self.standardised(outputs), scorer, cases, best) if explain else {}
            yield ListedItems.of(rows[cases][best.cases], best.items, best.scores, "mml", told)

    def _contributions(
        self, scores: StandardisedScores, scorer: FusedScorer, cases: slice, best: BestItems
    ) -> dict[str, np.ndarray]:
        """Learner -> what it contributed to the score of each listed item: its weight times its standardised score."""
        items = torch.from_numpy(best.items).to(self.device)
        places = torch.from_numpy(best.cases).to(self.device)
        if isinstance(scorer, ExplainedScorer):
            found = scorer.contributions(cases, items, places)
            return {name: found[row].cpu().numpy() for row, name in enumerate(scores.names)}
        z = scores.of_cases(cases)(items)[:, places, torch.arange(len(items), device=self.device)]  # [M, n]
        known = scores.known(items)  # [M, n]
        weights = scorer.weights(cases)[places].T  # [M, n]
        shares = weights / (weights * known).sum(0).clamp(min=1e-6)
        return {name: (shares * z)[row].cpu().numpy() for row, name in enumerate(scores.names)}

    # -- files -------------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> Path:
        """Write all of it into a folder that is complete in itself, safetensors and JSON; an older one is replaced."""
        place = Path(folder).expanduser()
        make_folder(place)
        versions = {"mml": __version__, "torch": torch.__version__, "numpy": np.__version__}
        write_state(place, _NAME, self.state(), format=_FORMAT, versions=versions)
        return place

    @classmethod
    def load(cls, path: str | Path) -> Recommender:
        """The recommender of a run's folder, or of a folder that `save` wrote.

        Raises:
            InputError: if there is none, or it is damaged, or of another version's format or code.
        """
        folder = Path(path).expanduser()
        inside = folder / MODEL
        if (inside / f"{_NAME}.json").is_file():
            folder = inside
        if not (folder / f"{_NAME}.json").is_file():
            raise InputError(
                f"{path} holds no trained recommender; name a finished run's folder such as output/ml-100k/latest, or "
                "a folder that save() wrote."
            )
        finish_write(folder, _NAME)
        about = read_about(folder, _NAME)
        if about is not None and about.get("format") != _FORMAT:
            made = about.get("versions", {}).get("mml", "?")
            raise InputError(
                f"{folder} is in format {about.get('format')}, of mml {made}; this is mml {__version__}, which reads "
                f"format {_FORMAT}: train again, or load it with that version."
            )
        state = read_state(folder, _NAME)
        try:
            return cls.from_state(state)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            made = "?" if about is None else about.get("versions", {}).get("mml", "?")
            raise InputError(
                f"{folder} was saved by other code, of mml {made}, and has not all that this mml {__version__} reads "
                f"({type(error).__name__}: {error}): train again, or load it with that code."
            ) from error

    def state(self) -> State:
        """All of it: nested mappings of tensors, numbers, strings and lists."""
        generator = self.generator
        made = None if generator is None else {"kind": self.values["generator"], "weights": generator.state_dict()}
        return {
            "settings": plain(self.values),
            "rules": asdict(self.rules),
            "items": self.vocabulary.state(),
            "catalogue": self.catalogue.state(),
            "order": list(self.learners),
            "learners": {name: learner.state() for name, learner in self.learners.items()},
            "generator": made,
            "methods": list(self.fusions),
            "log": None if self.log is None else _log_state(self.log),
            "choices": self.choices,
            "fusions": {name: fusion.state() for name, fusion in self.fusions.items()},
            "learned_logs": list(self.learned_logs),
        }

    @classmethod
    def from_state(cls, state: State) -> Recommender:
        """The recommender that `state` is of, on the CPU."""
        device, values = torch.device("cpu"), state["settings"]
        items, catalogue = Items.from_state(state["items"]), Catalogue.from_state(state["catalogue"])
        serving = Serving(catalogue, device)
        learners = {
            name: entry_of(name).restored(
                name, state["learners"][name], values | values["learners"].get(name, {}), serving
            )
            for name in state["order"]
        }
        generator = None
        if state["generator"] is not None:
            generator = new_generator(state["generator"]["kind"], learners[MAIN], catalogue, values)
            generator.load_state_dict(state["generator"].get("weights", {}))
        log = None if state["log"] is None else _log_of(state["log"])
        rules = Rules(**state["rules"])
        whole = cls(items, catalogue, learners, generator, rules, values, device, log, state["choices"])
        for method in state["methods"]:
            whole.fusions[method] = FUSIONS[method].restored(whole.shape, state["fusions"][method], values)
        whole.learned_logs = tuple(state.get("learned_logs", ()))
        return whole


def _digest(log: Histories) -> str:
    """Of what an update learns of a log; items are told by their numbers, which stay."""
    return hashlib.sha256(json.dumps([log.users, log.items, log.seconds], default=float).encode()).hexdigest()


def _log_state(log: PackedSequences) -> dict[str, Tensor]:
    return {"items": torch.from_numpy(log.items).int(), "offsets": torch.from_numpy(log.offsets)}


def _log_of(state: Mapping[str, Tensor]) -> PackedSequences:
    return PackedSequences(state["items"].long().numpy(), state["offsets"].numpy())


def new_generator(kind: str, learner: TrainedLearner, catalogue: Catalogue, values: Values) -> Generator:
    """An untrained generator of the ID embeddings of a trained learner."""
    assert isinstance(learner, AdaptedLearner)
    inner = learner.learner
    assert isinstance(inner, IDLearner)
    parts = GeneratorParts(catalogue.features, inner.warm_table(), inner.content_table(), inner.initializer_range)
    return GENERATORS[kind].build(parts, values).to(inner.device).eval()
