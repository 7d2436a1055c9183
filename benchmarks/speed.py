"""What the benchmarks of speed share: random users, models, timing, and the machine's own bounds.

Ways of doing the same work are timed in turn (A B A B ...) in one process and compared by medians, because machines are
shared. On one thread time is the processor time of the process, which other processes disturb least; on several threads
or a GPU it is the wall's. On a GPU each precision is a place of its own, its bounds in that precision too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from benchmarks.measured import ROOT, Record, machine, show
from mml.config import keys as config_keys
from mml.data.catalogue import Catalogue
from mml.data.item_features import ItemFeatures
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.model.encoder.causal import CausalEncoder
from mml.model.encoder.plain import PlainTasks, vmapped_states
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.feature import FeatureLearner
from mml.model.learner.id import IDLearner, IDSettings
from mml.precision import set_precision

N_ITEMS = 1682  # as many as ml-100k has
STEPS, RATE = 5, 0.01
FEATURE_DIM = 64
LENGTHS = {"long": (11, 50), "cold": (10, 11)}  # interactions per user, mean 30; and those of a cold user's task
COLUMNS = {"case": "case", "threads": "threads", "device": "device", "precision": "precision", "way": "way"} | {
    "users/s": "rate",
    "of the bound": "of_bound",
    "x published": "of_published",
}


PRECISIONS = {"float32": False, "tf32": True}
"""Name -> the config's key `tf32`."""


class Size(NamedTuple):
    """Users that the batched ways treat in all and at a time, and cases ranked at a time."""

    users: int
    chunk: int
    ranked: int


SIZES = {"cpu": Size(64, 32, 256), "cuda": Size(16384, 4096, 4096)}


@dataclass(frozen=True)
class Place:
    """Where and how something is measured.

    Args:
        device: CPU or GPU.
        threads: of torch.
        precision: a key of PRECISIONS.
    """

    device: torch.device
    threads: int
    precision: str = "float32"

    def size(self, chosen: argparse.Namespace) -> Size:
        """As chosen, or as fits the device."""
        fitting = SIZES[self.device.type]
        return Size(chosen.users or fitting.users, chosen.chunk or fitting.chunk, fitting.ranked)

    def set_up(self) -> None:
        """Make torch compute so."""
        torch.set_num_threads(self.threads)
        set_precision(self.device, PRECISIONS[self.precision])

    def record(self) -> Record:
        """For the table."""
        return {"threads": self.threads, "device": self.device.type, "precision": self.precision}


class Settings(dict):  # type: ignore[type-arg]
    """The defaults of configs/overall.yaml, as RecBole's models read them; unknown keys give None."""

    def __init__(self, place: Place, **over: Any) -> None:
        text = (ROOT / "configs" / "overall.yaml").read_text(encoding="utf-8")
        super().__init__(yaml.safe_load(text))
        names = {"LIST_SUFFIX": "_list", "ITEM_LIST_LENGTH_FIELD": "item_length", "NEG_PREFIX": "neg_"}
        self.update(names, layer_norm_eps=float(self["layer_norm_eps"]), device=place.device, **over)

    def __missing__(self, key: str) -> None:
        return None


class RandomItems:
    """Stands for a dataset of `n` warm items without features."""

    def __init__(self, n: int = N_ITEMS) -> None:
        self.n_warm_items = n

    def num(self, _field: str) -> int:
        """Items with the padding item."""
        return self.n_warm_items + 1


def new_learner(place: Place) -> Learner:
    """An ID learner of the default size."""
    torch.manual_seed(0)
    return IDLearner(_parts("id", Catalogue(N_ITEMS + 1, N_ITEMS)), IDSettings()).to(place.device)


def in_plain_form(learner: Learner, vmapped: bool = False) -> Learner:
    """Let its encoder run tasks under autograd: in stacked operations, or under vmap as any other module is."""
    encoder = learner.encoder
    assert isinstance(encoder, CausalEncoder)
    run = partial(vmapped_states, encoder, fused=False) if vmapped else encoder.plain_states
    setattr(encoder, "tasks", lambda inputs: PlainTasks(encoder, inputs, run))  # noqa: B010
    return learner


def new_feature_learner(place: Place, name: str) -> Learner:
    """A learner over random features."""
    torch.manual_seed(0)
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS + 1, FEATURE_DIM)).astype(np.float32)
    features = {name: ItemFeatures(vectors, np.arange(N_ITEMS + 1) > 0)}
    parts = _parts(name, Catalogue(N_ITEMS + 1, N_ITEMS, features))
    return FeatureLearner(parts, popularity_prior=True, by_shots=True).to(place.device)


def _parts(name: str, items: Catalogue) -> LearnerParts:
    return LearnerParts.of(name, config_keys.defaults(), items)


def random_users(n: int, lengths: tuple[int, int]) -> PackedSequences:
    """Users with a random number of random interactions, both ends included."""
    rng = np.random.default_rng(0)
    count = rng.integers(lengths[0], lengths[1] + 1, n)
    return PackedSequences(rng.integers(1, N_ITEMS + 1, count.sum()), np.concatenate([[0], count.cumsum()]))


Ways = Mapping[str, tuple[int, Callable[[], Any]]]
"""Name of a way of working -> (users it treats, the work)."""


def rates(ways: Ways, repetitions: int, place: Place) -> dict[str, float]:
    """Users per second of each way: the median over repetitions, taken in turn."""
    clock = time.process_time if place.threads == 1 and place.device.type == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repetition in range(repetitions + 1):  # the first is to warm up
        for name, (_, work) in ways.items():
            begin = clock()
            work()
            if place.device.type == "cuda":
                torch.cuda.synchronize()
            if repetition:
                seconds[name].append(clock() - begin)
    return {name: users / float(np.median(seconds[name])) for name, (users, _) in ways.items()}


def _records(case: str, found: Mapping[str, float], place: Place) -> list[Record]:
    """A line per way. The bound is the faster of the ways with shared weights."""
    shares = {"of_published": found["published"]}
    bounds = [rate for way, rate in found.items() if way.startswith("shared")]
    if bounds:
        shares["of_bound"] = max(bounds)
    return [
        {"case": case, **place.record(), "way": way, "rate": rate, **{key: rate / of for key, of in shares.items()}}
        for way, rate in found.items()
    ]


def options(arguments: Sequence[str], what: str) -> argparse.Namespace:
    """The common options of the benchmarks of speed."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--users", type=int, help="users that the batched ways treat (64, on a GPU 16384)")
    parser.add_argument("--single", type=int, default=4, help="users that the ways of one user at a time treat")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--chunk", type=int, help="tasks adapted at once (32, on a GPU 4096)")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 0], help="threads of torch; 0: one per core")
    parser.add_argument("--precision", nargs="*", choices=PRECISIONS, default=list(PRECISIONS), help="on a GPU")
    parser.add_argument("--output", type=Path, default=Path("output/benchmarks"))
    return parser.parse_args(arguments)


Prepare = Callable[[argparse.Namespace, str, Place], tuple[Ways, dict[str, float]]]
"""(options, case, place) -> the ways, and rates that are known without timing."""


def everywhere(chosen: argparse.Namespace, cases: Iterable[str], prepare: Prepare) -> list[Record]:
    """Measure each case on each number of threads, and on the GPU, if there is one, in each precision."""
    found: list[Record] = []
    cores = torch.get_num_threads()
    places = [Place(torch.device("cpu"), threads) for threads in dict.fromkeys(n or cores for n in chosen.threads)]
    if torch.cuda.is_available():
        places += [Place(torch.device("cuda"), cores, precision) for precision in chosen.precision]
    for place in places:
        place.set_up()
        for case in cases:
            ways, known = prepare(chosen, case, place)
            found += _records(case, rates(ways, chosen.repetitions, place) | known, place)
    return found


def report(name: str, found: Sequence[Record], output: Path) -> int:
    """Print the table and write the JSON."""
    where = machine()
    place = ", ".join(str(where[key]) for key in ("gpu", "processor") if where[key])
    print(f"{name}: {place}, {where['cores']} cores, torch {where['torch']}, commit {where['commit']}")
    show(name, found, COLUMNS, output)
    return 0


def hardware_bounds(learner: Learner, tasks: TaskSet, trains: bool, place: Place) -> dict[str, float]:
    """Users/s if every multiplication ran like a large matrix product, and if every byte counted ran like a copy.

    Counted are the products of encoder, attention and softmax, of STEPS inner passes over the support and a last one
    over all positions, forward only unless it `trains`; and the bytes that no way with formed weights can do without:
    the fast weights, which each inner step reads forward, backward and to write, and writes, and the last pass reads.
    """
    n_fast = sum(value.numel() for value in learner.fast_parameters().values())
    n_matrix = sum(value.numel() for value in learner.fast_parameters().values() if value.dim() == 2)
    support, length = float(tasks.n_support.mean()), float(tasks.length.mean())
    assert isinstance(learner.encoder, CausalEncoder)
    layers, d, items = learner.encoder.fused.n_layers, learner.hidden_size, learner.n_warm_items

    def pass_flops(positions: float, predicted: float, by_items: bool) -> float:
        products = 6 * positions * n_matrix + 12 * layers * positions**2 * d
        return products + (6 if by_items else 4) * predicted * items * d

    flops = STEPS * pass_flops(support, support, False)
    last = pass_flops(length, float(tasks.n_query.mean()), True)
    flops += last if trains else last / 3
    moved = 4 * n_fast * (4 * STEPS + (2 if trains else 1))
    return {"operations": _matmul_rate(place) / flops, "bytes": _copy_rate(place) / moved}


def _timed(work: Callable[[], Any], place: Place) -> float:
    return 1.0 / rates({"": (1, work)}, 5, place)[""]


def _matmul_rate(place: Place) -> float:
    """Measured floating-point operations per second of a large product in the place's precision."""
    n = 1024 if place.device.type == "cpu" else 8192
    a: Tensor = torch.randn(n, n, device=place.device)
    return 2 * n**3 / _timed(lambda: a @ a, place)


def _copy_rate(place: Place) -> float:
    """Measured bytes per second, read and written, of a copy that no cache holds."""
    a: Tensor = torch.ones(1 << 26, device=place.device)
    b = torch.empty_like(a)
    return 8 * len(a) / _timed(lambda: b.copy_(a), place)
