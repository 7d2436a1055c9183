"""Stages of a refresh: at each snapshot the learners are trained on with what is known of the new users by then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mml.data.catalogue import Catalogue
from mml.data.dataset import MMLDataset
from mml.model.learner import entry_of
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import Learner
from mml.model.learner.slot import FittedEntry, StateEntry, TrainedLearner
from mml.recommender import Recommender
from mml.refresh.correction import Refresh, data_at
from mml.refresh.snapshots import Snapshot, snapshots
from mml.run.context import RunContext, catalogue_of
from mml.run.frame import State
from mml.run.learners import fit_context
from mml.trainer.pretrain import PretrainTrainer
from mml.trainer.settings import PretrainSettings, RefreshSettings, SnapshotSettings

_UPDATES = "refresh_updates"  # trains nothing
_CODE = (PretrainTrainer.__module__, Refresh.__module__)


class RefreshStages:
    """Trains on at each snapshot that is no update, and makes the recommender of any snapshot.

    Args:
        context: of the run.
        recommender: trained on what was known at T.
        choices: of each learner without an encoder, what its fit is made of.
        after: the stages of the recommender.
    """

    def __init__(
        self, context: RunContext, recommender: Recommender, choices: dict[str, State], after: Sequence[str]
    ) -> None:
        self._context, self._recommender, self._choices, self._after = context, recommender, choices, after
        self._settings = context.config.part(RefreshSettings)
        self._weights: dict[str, State] = {}  # name of a snapshot -> weights by learner
        self._last: tuple[str, dict[str, TrainedLearner]] = "", {}

    @property
    def names(self) -> list[str]:
        """Of the stages that were run."""
        return [_stage_name(snapshot) for snapshot in self._weights]

    def train(self) -> None:
        """Do what is not done yet."""
        if not self._settings.refresh_epochs:
            return
        for snapshot in self.snapshots():
            if not snapshot.is_update and snapshot.has_predictions:
                self._weights[snapshot.name] = self._stage(snapshot)

    def snapshots(self) -> Iterator[Snapshot]:
        """The snapshots of the test tasks."""
        data, n = self._context.dataset, self._context.config.part(SnapshotSettings).snapshots
        return snapshots(data, data.test_tasks()[0], n, self._settings.refresh_updates)

    def at(self, snapshot: Snapshot) -> Recommender:
        """The recommender with all that is known at a snapshot."""
        data = data_at(snapshot, self._context.dataset)
        if self._last[0] != snapshot.name:
            self._last = snapshot.name, self._trained_on(snapshot, data)  # one snapshot's learners at a time
        trained = self._last[1] | self._fitted(data)
        rules = self._recommender.rules
        refresh = Refresh(snapshot.known, self._context.dataset.item_num, rules.max_length, rules.repeatable)
        names = self._recommender.learners
        return self._recommender.with_learners({name: refresh.corrected(trained[name]) for name in names})

    def _stage(self, snapshot: Snapshot) -> State:
        context, data = self._context, data_at(snapshot, self._context.dataset)
        catalogue = catalogue_of(context.config, data)

        def build(seed: int) -> tuple[State, int]:
            state: State = {}
            for name, start in self._with_encoder():
                learner = self._new(name, catalogue)
                learner.grown_from(start.learner)
                settings = context.config.part(PretrainSettings, name)
                epochs = self._settings.refresh_epochs
                trainer = PretrainTrainer(context.trainer_frame, learner, settings, seed, epochs, "refresh")
                trainer.train(data, None)
                state[name] = dict(learner.state_dict())
            return state, len(state) * self._settings.refresh_epochs * len(data.users.old)

        settings = {key: value for key, value in context.config.of_stage("refresh").items() if key != _UPDATES}
        depends_on = [settings, data.fingerprint(with_new_users=False)]
        depends_on += context.known_features(context.catalogue.features, data.item_num)
        state = context.stages(_stage_name(snapshot), depends_on, self._after, _CODE, build)
        return {name: {key: value.cpu() for key, value in weights.items()} for name, weights in state.items()}

    def _with_encoder(self) -> Iterator[tuple[str, AdaptedLearner]]:
        for name, learner in self._recommender.learners.items():
            if isinstance(learner, AdaptedLearner):
                yield name, learner

    def _new(self, name: str, catalogue: Catalogue) -> Learner:
        entry = entry_of(name)
        assert isinstance(entry, StateEntry)
        return entry.build(name, self._context.config.values(name), catalogue).to(self._context.device)

    def _trained_on(self, snapshot: Snapshot, data: MMLDataset) -> dict[str, TrainedLearner]:
        """The learners with an encoder at a snapshot: trained on if any training was possible by then."""
        learners: dict[str, TrainedLearner] = {}
        catalogue = catalogue_of(self._context.config, data)
        for name, start in self._with_encoder():
            learners[name] = start
            if name in self._weights.get(snapshot.name, {}):
                learner = self._new(name, catalogue)
                learner.load_state_dict(self._weights[snapshot.name][name])
                learners[name] = start.with_learner(learner)
        return learners

    def _fitted(self, data: MMLDataset) -> dict[str, TrainedLearner]:
        learners = {}
        for name, choice in self._choices.items():
            entry = entry_of(name)
            assert isinstance(entry, FittedEntry)
            learners[name] = entry.fitted(name, choice, fit_context(self._context, name, data))
        return learners


def _stage_name(snapshot: Snapshot | str) -> str:
    return f"refresh_{snapshot if isinstance(snapshot, str) else snapshot.name}"
