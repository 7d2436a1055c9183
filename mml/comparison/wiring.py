"""Sanity of the wiring: RecBole's SASRec on RecBole's own leave-one-out split, judged by RecBole and by us.

python -m mml.comparison.wiring --dataset ml-100k [--epochs N] [--config_files ...] [--key=value ...]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import recbole
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import data_preparation
from recbole.trainer import Trainer
from recbole.utils import init_seed

from mml.baselines.recbole_config import ModelConfig
from mml.baselines.recbole_model import ModelScorer
from mml.baselines.registry import recbole_class
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.recbole_dataset import AtomicDataset
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import rank_targets
from mml.files.faults import in_one_line
from mml.files.safe import read_kept, write_text
from mml.precision import set_up_torch
from mml.trainer.events import NoEvents, events_go_to
from mml.version import __version__

EPOCHS = 3
MOST_USERS = 2000
_METRICS = ["Recall", "MRR", "NDCG"]
_OF_FILES = ("field_separator", "seq_separator", "benchmark_filename")
_TOLERANCE = 1e-3  # RecBole and we part equal scores differently


@dataclass(frozen=True)
class Wiring:
    """The same trained model's figures on the same cases.

    Args:
        cases: one per user, its last interaction.
        epochs: of RecBole's own training loop.
        recbole: metric -> value, by RecBole's Trainer.evaluate.
        ours: the same by our scorer, ranking and metrics.
    """

    cases: int
    epochs: int
    recbole: dict[str, float]
    ours: dict[str, float]

    @property
    def difference(self) -> float:
        """The largest one of any metric."""
        return max(abs(value - self.ours[name]) for name, value in self.recbole.items())


def check_wiring(config: Config, epochs: int = EPOCHS, most_users: int = MOST_USERS) -> Wiring:
    """Train RecBole's SASRec by RecBole's loop on RecBole's split of the whole log, and evaluate it twice.

    As RecBole does for its sequential models, the history is not excluded.

    Args:
        config: where the log is, and topk, seed, device, length of histories.
        epochs: the two must agree whether or not the model is good.
        most_users: the first so many users are taken; RecBole stores each prefix of each user's sequence.

    Raises:
        InputError: for a log without a time column, which RecBole's sequential models need.
    """
    model_class = recbole_class("SASRec")
    settings: dict[str, object] = {key: config.value(key) for key in _OF_FILES}
    settings |= {"epochs": epochs, "train_batch_size": 256, "metrics": _METRICS, "metric_decimal_place": 6}
    with tempfile.TemporaryDirectory() as folder, _silent():
        own = ModelConfig(model_class, config, {**settings, "checkpoint_dir": folder})
        init_seed(config.run.seed, reproducibility=True)
        dataset = AtomicDataset(own)
        own["benchmark_filename"] = None  # its parts are one log now; RecBole would take them for its split
        if dataset.time_field not in dataset.inter_feat:
            raise InputError(f"RecBole's own split needs a time column, and the log of {config.dataset_name} has none.")
        dataset.inter_feat = dataset.inter_feat[dataset.inter_feat[dataset.uid_field] <= most_users]
        train_data, _, test_data = data_preparation(own, dataset)
        model = model_class(own, train_data.dataset).to(own["device"])
        with events_go_to(NoEvents):
            trainer = Trainer(own, model)
        trainer.fit(train_data, saved=False, verbose=False, show_progress=False)
        theirs = trainer.evaluate(test_data, load_best_model=False)
    tasks = _tasks(test_data.dataset)
    scorer = ModelScorer(own, model, tasks, first_user=0)
    ranking = rank_targets(scorer, tasks.target, None, config.run.seed, config.run.eval_batch_size)
    metrics = Metrics(_METRICS, own["topk"], own["metric_decimal_place"], dataset.item_num, dataset.user_num, {})
    return Wiring(len(tasks), epochs, {name: float(value) for name, value in theirs.items()}, metrics(ranking))


def known_wiring(config: Config, dataset: MMLDataset, epochs: int, folder: Path) -> Wiring:
    """`check_wiring`, kept in `wiring.json` for the next time."""
    final = config.values()
    keys = {"dataset": config.dataset_name} | {key: final[key] for key in ("seed", "topk", "MAX_ITEM_LIST_LENGTH")}
    parts = [__version__, recbole.__version__, keys, epochs, dataset.fingerprint(with_new_users=True)]
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    path = folder / "wiring.json"
    known: object = read_kept(path)
    if isinstance(known, dict) and known.pop("fingerprint", None) == fingerprint:
        with suppress(TypeError):
            return Wiring(**known)
    found = check_wiring(config, epochs)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"fingerprint": fingerprint, **asdict(found)}, indent=2)
    write_text(path, text + "\n")
    return found


def wiring_lines(found: Wiring) -> list[str]:
    """The check for people, a warning first if the two disagree."""
    warning = []
    if found.difference > _TOLERANCE:
        warning = [f"WARNING: our figures of one of RecBole's models differ from RecBole's by {found.difference:.4f}."]
    shown = [name for name in found.recbole if name.endswith("@10")] or list(found.recbole)
    pairs = [f"{name} {found.recbole[name]:.4f} / {found.ours[name]:.4f}" for name in shown]
    return [
        *warning,
        f"wiring: one SASRec (epochs: {found.epochs}) on RecBole's own leave-one-out split, {found.cases} cases, "
        f"by RecBole / by us: {', '.join(pairs)}; largest difference of any metric {found.difference:.6f}",
    ]


def _tasks(test_set: SequentialDataset) -> TaskSet:
    """RecBole's test rows as tasks: the history, and the target after it."""
    rows = test_set.inter_feat
    histories = rows[test_set.item_id_list_field].numpy()
    lengths = rows[test_set.item_list_length_field].numpy().astype(np.int64)
    targets, users = rows[test_set.iid_field].numpy(), rows[test_set.uid_field].numpy()
    sequences = [[*row[:n], target] for row, n, target in zip(histories, lengths, targets, strict=True)]
    return TaskSet(
        items=np.concatenate(sequences).astype(np.int64),
        users=users.astype(np.int64),
        start=np.concatenate(([0], np.cumsum(lengths + 1)[:-1])),
        length=lengths,
        n_support=lengths - 1,
        n_query=np.ones_like(lengths),
        shots=lengths,
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Without RecBole's log of data and epochs."""
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print the check of a dataset; exit code 1 if the two disagree, 2 for a mistake in the input."""
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    from mml.config.arguments import common_arguments
    from mml.logs import setup_logging

    setup_logging("WARNING")
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of training")
    own, rest = parser.parse_known_args(arguments)
    options, files, settings = common_arguments(rest, "Check our evaluation against RecBole's (--epochs N).")
    config = Config(options.dataset, files, arguments=settings)
    set_up_torch(config)
    found = check_wiring(config, own.epochs)
    print("\n".join(wiring_lines(found)))
    return int(found.difference > _TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
