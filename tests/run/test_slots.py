"""A new X is one file: this one adds an entry to each slot, and a whole run uses them all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import mml
import run_meta
from mml.baselines.__main__ import main as baseline_main
from mml.baselines.entries import BASELINES
from mml.baselines.popular import SameScores
from mml.baselines.slot import Moment, Scores
from mml.data.catalogue import Catalogue
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.evaluation.scorer import ItemScores, of_rows
from mml.features.encoders import BatchEncoder, Encoded
from mml.features.media import MEDIA, FolderMedium, FolderSource
from mml.meta.algorithms import ALGORITHMS
from mml.meta.inner import Rates
from mml.meta.outer import Episode, MetaGradient
from mml.model.fusion import FUSIONS
from mml.model.fusion.mean import FixedWeights
from mml.model.fusion.slot import FusionFit, FusionShape, TrainedFusion
from mml.model.generator import GENERATORS
from mml.model.generator.slot import Generator, GeneratorParts
from mml.model.learner import LEARNERS
from mml.model.learner.adapted import AdaptedLearner
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.id import IDLearner, IDSettings
from mml.model.learner.slot import FitContext, Serving, State, TrainedLearner
from mml.model.loss import LOSSES, Loss
from mml.model.loss.slot import slopes_by_autograd
from mml.settings import read, setting
from mml.slots import Registry

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]


# --- a learner whose encoder is an ordinary module, without a hand-written backward pass ------------------------------


class PrefixMean(nn.Module):
    """The mean of the items so far, and a small network on top."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)

    def forward(
        self, item_vectors: Tensor, attention_bias: Tensor | None = None, noise_keys: Tensor | None = None
    ) -> Tensor:
        count = torch.arange(1, item_vectors.shape[1] + 1, dtype=item_vectors.dtype, device=item_vectors.device)
        mean = item_vectors.cumsum(1) / count[:, None]
        states: Tensor = mean + torch.tanh(self.dense(mean))
        return states


class MeanLearner(IDLearner):
    def new_encoder(self, parts: LearnerParts) -> nn.Module:
        return PrefixMean(parts.encoder.hidden_size)


class MeanEntry:
    """`learners.mean`."""

    name = "mean"
    settings = None
    own_settings = None
    meaning = "a toy of the tests"
    needs_features = False
    by_default = False

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return []

    def build(self, name: str, values: Mapping[str, Any], catalogue: Catalogue) -> Learner:
        return MeanLearner(LearnerParts.of(name, values, catalogue), IDSettings(False, False, False))

    def prepare(self, learner: Learner, values: Mapping[str, Any], old: PackedSequences) -> None:
        """Nothing."""

    def restored(self, name: str, state: State, values: Mapping[str, Any], context: Serving) -> TrainedLearner:
        return AdaptedLearner.restored(self.build(name, values, context.catalogue), state, context)


# --- a learner without an encoder -------------------------------------------------------------------------------------


class CountsOutput:
    """The same scores for everybody, of the items that somebody took."""

    states = None

    def __init__(self, counts: Tensor, n_cases: int) -> None:
        self._counts, self._n_cases, self.known = counts, n_cases, counts > 0

    def __len__(self) -> int:
        return self._n_cases

    @property
    def n_items(self) -> int:
        return len(self._counts)

    def of_cases(self, cases: slice | Tensor) -> ItemScores:
        return of_rows(self._counts.log1p().expand(self._n_cases, -1)[cases])

    def standardised(self, cases: slice | Tensor) -> ItemScores:
        logs = self._counts.log1p()
        z = (logs - logs[self.known].mean()) / logs[self.known].std() * self.known
        return of_rows(z.expand(self._n_cases, -1)[cases])


class CountsLearner:
    adapts = False

    def __init__(self, name: str, counts: Tensor) -> None:
        self.name, self._counts = name, counts

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> CountsOutput:
        return CountsOutput(self._counts[:n_items], len(tasks))

    def expectations(self, tasks: TaskSet) -> CountsOutput:
        return CountsOutput(self._counts, len(tasks))

    def corrected(self, log_ratios: Tensor) -> CountsLearner:
        return CountsLearner(self.name, self._counts * log_ratios.exp().float())

    def state(self) -> State:
        return {"counts": self._counts}


@dataclass(frozen=True)
class CountsSettings:
    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Counts"

    power: float = setting(1.0, "Of the counts.", low=0.0)


class CountsEntry:
    """`learners.counts`."""

    name = "counts"
    settings = None
    own_settings = CountsSettings
    meaning = "a toy of the tests"
    needs_features = False
    by_default = False

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return []

    def reads(self) -> tuple[type, ...]:
        return ()

    def choose(self, context: FitContext) -> State:
        return {"power": read(CountsSettings, context.values).power}

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        counts = np.bincount(context.old.items, minlength=context.n_items) ** choice["power"]
        return CountsLearner(name, torch.from_numpy(counts).float().to(context.device))

    def restored(self, name: str, state: State, values: Mapping[str, Any], context: Serving) -> TrainedLearner:
        return CountsLearner(name, state["counts"])


# --- a raw medium -----------------------------------------------------------------------------------------------------


@dataclass
class NoteShares(BatchEncoder[Path]):
    name: str = "notes"
    unit: ClassVar[str] = "melody"

    def extract(self, items: Sequence[Path]) -> Encoded:
        counts = np.array([[path.read_text().count(note) for note in "abcd"] for path in items], dtype=np.float32)
        return counts / np.maximum(counts.sum(1, keepdims=True), 1), np.asarray(counts.any(axis=1))


class MelodyMedium(FolderMedium):
    name = "melody"
    settings = FolderSource
    kind = "melodies"
    unit = "melody"
    place_hint = "of melodies"
    suffixes = (".notes",)
    example = "42.notes"
    encoders: ClassVar[Mapping[str, str]] = {"notes": "melodies"}
    default_encoder = "notes"
    modality = "sound"

    def encoder_class(self, name: str) -> type:
        return NoteShares


# --- a loss, a meta-algorithm, a generator, a fusion and a baseline ---------------------------------------------------


class Smoothed:
    """Softmax with smoothed labels."""

    name = "smoothed"
    own_negatives = False
    n_shared_negatives = 0
    is_softmax = True

    @dataclass(frozen=True)
    class Settings:
        stage: ClassVar[str] = "pretrain"
        section: ClassVar[str] = "Loss"

        smoothing: float = setting(0.1, "loss_type smoothed: what the other items share.", low=0.0, high=1.0)

    settings = Settings

    def __init__(self, share: float = 0.1) -> None:
        self._share = share

    def make(self, values: Mapping[str, Any]) -> Loss:
        return Smoothed(read(Smoothed.Settings, values).smoothing)

    def losses(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        logits = states @ table[1:].T
        return nn.functional.cross_entropy(logits, targets - 1, reduction="none", label_smoothing=self._share)

    def slopes(self, states: Tensor, table: Tensor, targets: Tensor, negatives: Tensor | None) -> Tensor:
        return slopes_by_autograd(self, states, table, targets, negatives)


class Halved:
    """FOMAML at half the gradient."""

    name = "halved"
    settings = None
    learns_rates = False
    needs_steps = False

    def gradient(
        self, episode: Episode, fast: Mapping[str, Tensor], slow: Mapping[str, Tensor], rates: Rates, steps: int
    ) -> MetaGradient:
        whole = ALGORITHMS["fomaml"].gradient(episode, fast, slow, rates, steps)
        fast, slow = ({name: value / 2 for name, value in part.items()} for part in (whole.fast, whole.slow))
        return MetaGradient(fast, slow, whole.rates, whole.query_loss)


class ProjectedGenerator(Generator):
    """A learned projection of each modality."""

    def __init__(self, parts: GeneratorParts) -> None:
        super().__init__(parts)
        self._features = parts.features
        self.projection = nn.ModuleDict(
            {name: nn.Linear(one.vectors.shape[1], parts.trained.shape[1]) for name, one in parts.features.items()}
        )

    def of_modality(self, name: str, items: Tensor) -> Tensor:
        vectors: Tensor = self.projection[name](torch.from_numpy(self._features[name].vectors)[items])
        return vectors


class ProjectedEntry:
    name = "projected"
    settings = None
    is_trained = True
    needs_content = False

    def build(self, parts: GeneratorParts, values: Mapping[str, Any]) -> Generator:
        return ProjectedGenerator(parts)


class FirstEntry:
    """Only the first learner counts."""

    name = "first"
    settings = None
    is_compared = False
    meaning = "a toy of the tests"

    def fit(self, shape: FusionShape, data: FusionFit | None, values: Mapping[str, Any]) -> TrainedFusion:
        return FixedWeights({name: float(place == 0) for place, name in enumerate(shape.names)})

    def restored(self, shape: FusionShape, state: State, values: Mapping[str, Any]) -> TrainedFusion:
        return FixedWeights(state["weights"])


class LastItemsEntry:
    """The newest items come first."""

    name = "Newest"
    settings = None
    meaning = "the highest ids"

    def check(self, moment: Moment) -> None:
        """It works with any data."""

    def trained(self, moment: Moment) -> Scores:
        values = torch.arange(moment.dataset.item_num, dtype=torch.float64)
        return lambda tasks, n_items: SameScores(values[:n_items], len(tasks))


@pytest.fixture(autouse=True)
def _entries() -> Iterator[None]:
    with ExitStack() as stack:
        entries: tuple[tuple[Registry[Any], Any], ...] = (
            (LEARNERS, MeanEntry()),
            (LEARNERS, CountsEntry()),
            (MEDIA, MelodyMedium()),
            (LOSSES, Smoothed()),
            (ALGORITHMS, Halved()),
            (GENERATORS, ProjectedEntry()),
            (FUSIONS, FirstEntry()),
            (BASELINES, LastItemsEntry()),
        )
        for registry, entry in entries:
            stack.enter_context(registry.having(entry))
        yield


@pytest.fixture
def argv(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> Callable[..., list[str]]:
    songs = tmp_path / "songs"
    songs.mkdir()
    items = pd.read_csv(tiny_data / "tiny" / "tiny.item", sep="\t", dtype=str)["item_id:token"]
    for place, item in enumerate(items):
        (songs / f"{item}.notes").write_text("abcd"[place % 4] + "abcd"[place % 3])
    own = {
        "learners.txt.item_feat_emb": "DROP",
        "learners.img.item_feat_emb": "DROP",
        "learners.mean.local_modules": "[dense]",
        "learners.counts.power": 0.5,
        "learners.sound.source.folder": songs,
        "learners.sound.source.medium": "melody",
        "loss_type": "smoothed",
        "smoothing": 0.2,
        "meta_algorithm": "halved",
        "generator": "projected",
        "fusion_method": "first",
        "repeatable": False,
        "use_gpu": False,
    }
    return lambda **over: arguments(tiny_data, tmp_path / "output", **own | over)


def test_a_whole_run_with_a_new_entry_in_each_slot(
    argv: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training, cache hit, resume, fusion, load, recommend and update."""
    latest = tmp_path / "output" / "tiny" / "latest"
    assert run_meta.main(argv()) == 0
    result = json.loads((latest / "result.json").read_text())
    methods = {"id", "linear", "mean", "mean_no_adapt", "counts", "sound", "id_no_generator", "mml"}
    assert methods <= set(result["metrics"])
    assert result["metrics"]["mml"] == result["metrics"]["id"]  # the fusion is the first learner
    assert {"mean.pretrain", "mean.meta", "mean.adaptation", "counts", "generator"} <= set(result["stages"])
    assert result["learners"]["counts"] == {"chosen": {"power": 0.5}}
    assert {"kept", "score_before", "score_after"} <= set(result["learners"]["mean"]["meta_training"])

    capsys.readouterr()
    assert run_meta.main(argv()) == 0
    assert capsys.readouterr().err.count("skipped.") == len(result["stages"])
    for file in (latest / "checkpoints").glob("mean.meta.*"):
        file.unlink()
    assert run_meta.main(argv()) == 0  # goes on where it was
    assert capsys.readouterr().err.count("skipped.") == len(result["stages"]) - 1
    assert json.loads((latest / "result.json").read_text())["metrics"] == result["metrics"]
    assert run_meta.main(argv(smoothing=0.3)) == 0  # its own key is in its fingerprint: only fits in one go are kept
    assert capsys.readouterr().err.count("skipped.") == 3

    model = mml.load(latest)
    lists = model.recommend({"anna": list(model.items.index[:3])}, top=5, explain=True)
    assert list(lists["rank"]) == [1, 2, 3, 4, 5]
    assert {"mean", "counts", "sound"} <= set(lists.columns)
    ids, names = list(model.items.index), [f"user {k}" for k in range(12)]
    assert model.update({name: ids[k : k + 4] for k, name in enumerate(names)})["n_interactions"] > 0


def test_a_new_baseline(tiny_data: Path, tmp_path: Path) -> None:
    line = ["Newest", "--dataset", "tiny", f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"]
    assert baseline_main(line) == 0
    (path,) = (tmp_path / "tiny").glob("Newest-*/result.json")
    assert "Newest" in json.loads(path.read_text())["metrics"]


def test_their_names_are_among_the_choices(argv: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_meta.main(argv(loss_type="smooth")) == 2
    assert "it must be one of CE, BPR, sampled, smoothed" in capsys.readouterr().err.replace("BPR, CE", "CE, BPR")
