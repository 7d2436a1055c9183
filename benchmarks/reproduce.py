"""S3-Rec's table, full ranking under leave-one-out, beside mml's ID learner and RecBole's SASRec; script/reproduce.sh.

bash script/reproduce.sh --data FOLDER [--sets Beauty,...] [--only mml,recbole] [--output FILE.md] [--key=value ...]

FOLDER holds files of the layout of S3-Rec's repository (see benchmarks.leave_one_out). mml's is the ID learner after
plain pre-training: a SASRec. RecBole's is its SASRec, unmodified, over its own split and prefixes. Both have the same
size and dropout, stop on the validation items' NDCG@10 and are ranked by the same code; all items are candidates of
both's softmax. `--key=value` goes to both where both read it, the rest to mml; RecBole's batch is 256 prefixes.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import create_samplers

from benchmarks.leave_one_out import LeaveOneOut, LeaveOneOutValidation, measured
from benchmarks.measured import machine_line
from mml.baselines.recbole_config import ModelConfig
from mml.baselines.recbole_model import BaselineTrainer, ModelScorer, new_model
from mml.baselines.registry import recbole_class
from mml.config.arguments import is_setting
from mml.config.config import Config
from mml.data.catalogue import Catalogue
from mml.data.popularity import log_popularity
from mml.data.sequences import PackedSequences
from mml.data.settings import OVERALL
from mml.errors import InputError
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import RankingRules
from mml.files.faults import in_one_line
from mml.files.safe import write_text
from mml.files.sheets import csv_text
from mml.logs import setup_logging
from mml.model.encoder.settings import EncoderSettings
from mml.model.learner import LEARNERS
from mml.model.learner.adaptation import chunk_size, unadapted_states
from mml.model.learner.outputs import StateOutput
from mml.model.learner.slot import StateEntry
from mml.precision import set_up_torch
from mml.run.context import ranking_rules, trainer_frame
from mml.trainer.choice import LearnerValidation
from mml.trainer.pretrain import PretrainTrainer
from mml.trainer.settings import PretrainSettings

SETS = ("Beauty", "Toys_and_Games", "Sports_and_Outdoors")
COLUMNS = ("HR@5", "HR@10", "NDCG@5", "NDCG@10", "MRR")
PUBLISHED: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "SASRec, published": {
        "Beauty": {"HR@10": 0.0605, "NDCG@10": 0.0318},
        "Toys_and_Games": {"HR@10": 0.0675, "NDCG@10": 0.0374},
        "Sports_and_Outdoors": {"HR@10": 0.0350, "NDCG@10": 0.0192},
    },
    "S3-Rec, published": {
        "Beauty": {"HR@10": 0.0647, "NDCG@10": 0.0327},
        "Toys_and_Games": {"HR@10": 0.0700, "NDCG@10": 0.0376},
        "Sports_and_Outdoors": {"HR@10": 0.0385, "NDCG@10": 0.0204},
    },
}
WHERE = "they are in the folder data of S3-Rec's repository, https://github.com/RUCAIBox/CIKM2020-S3Rec"
_THEIRS = {  # what S3-Rec's table was made with, as far as both have it
    "hidden_dropout_prob": 0.5,
    "attn_dropout_prob": 0.5,
    "MAX_ITEM_LIST_LENGTH": 50,
    "pretrain_epochs": 200,
    "valid_metric": "NDCG@10",
    "stopping_step": 10,
    "repeatable": False,
}

_RECBOLE_BATCH = 256  # prefixes; mml's pretrain_batch_size counts whole sequences


@dataclass(frozen=True)
class Task:
    """A log and how models are trained on it.

    Args:
        name: of the file.
        data: what it says.
        config: mml's Config; a folder `name` of its data_path is written for RecBole.
        folder: where trainings leave their files.
    """

    name: str
    data: LeaveOneOut
    config: Config
    folder: Path

    @property
    def rules(self) -> RankingRules:
        """How targets are ranked."""
        return ranking_rules(self.config)

    @property
    def max_item_list_len(self) -> int:
        """Longest history that models see."""
        length: int = self.config["MAX_ITEM_LIST_LENGTH"]
        return length

    @property
    def validation(self) -> LeaveOneOutValidation:
        """What stops the trainings."""
        return LeaveOneOutValidation(self.data, self.max_item_list_len, self.config["valid_metric"], self.rules)


@dataclass(frozen=True)
class _Users:
    """What plain training reads of a dataset: the users that are trained on."""

    old: PackedSequences


@dataclass(frozen=True)
class _Training:
    """What plain training reads of a dataset."""

    users: _Users
    max_item_list_len: int


def id_learner(task: Task) -> Scorer:
    """mml's ID learner after plain training; its scores of the test cases."""
    config, data = task.config, task.data
    values = config.values("id")
    catalogue = Catalogue(
        data.n_items,
        data.n_items - 1,
        {},
        log_popularity(data.training, data.n_items, OVERALL),
    )
    torch.manual_seed(config["seed"])
    entry = LEARNERS["id"]
    assert isinstance(entry, StateEntry)
    learner = entry.build("id", values, catalogue)
    entry.prepare(learner, values, data.training)
    learner.to(config.device)
    trainer = PretrainTrainer(
        trainer_frame(config, task.folder / "mml"), learner, config.part(PretrainSettings, "id"), config["seed"]
    )
    training = _Training(_Users(data.training), task.max_item_list_len)
    trainer.train(training, LearnerValidation(task.validation, config["task_chunk_size"]))
    chunk = chunk_size(learner, config["task_chunk_size"], learner.max_seq_length)
    states = unadapted_states(learner, data.tasks(1, task.max_item_list_len), chunk)
    with torch.no_grad():
        return StateOutput(states, learner.candidate_table())


def recbole_sasrec(task: Task) -> Scorer:
    """RecBole's SASRec over its own leave-one-out split; its scores of the test cases."""
    config = task.config
    training = config.part(PretrainSettings, "id")
    kind = recbole_class("SASRec")
    settings = {
        **asdict(config.part(EncoderSettings, "id")),
        "loss_type": "CE",
        "epochs": training.pretrain_epochs,
        "learning_rate": training.pretrain_learning_rate,
        "train_batch_size": _RECBOLE_BATCH,
        "stopping_step": config["stopping_step"],
        "eval_step": config["eval_step"],
        "weight_decay": 0.0,
        "clip_grad_norm": None,
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
    }
    border = ModelConfig(kind, config, settings)
    own = SequentialDataset(border)
    _check_ids(task, own)
    parts = own.build()
    sampler, _, _ = create_samplers(border, own, parts)
    torch.manual_seed(config["seed"])
    model = new_model("SASRec", kind, border, own)
    trainer = BaselineTrainer(border, model, "SASRec", task.folder / "recbole", 1, task.data.n_items)
    trainer.train(TrainDataLoader(border, parts[0], sampler, shuffle=True), task.validation)
    return ModelScorer(border, model, task.data.tasks(1, task.max_item_list_len), 1)


def _check_ids(task: Task, own: SequentialDataset) -> None:
    """RecBole numbers items as we do: by their first appearance."""
    names = own.field2id_token[own.iid_field][1:]
    assert list(names) == [str(item) for item in range(1, task.data.n_items)]


METHODS: Mapping[str, tuple[str, Callable[[Task], Scorer]]] = {
    "mml": ("mml's ID learner", id_learner),
    "recbole": ("RecBole's SASRec", recbole_sasrec),
}


def as_atomic(data: LeaveOneOut) -> str:
    """The log as RecBole's atomic file; the place in the sequence is the time."""
    sequences = data.sequences
    columns = np.stack([sequences.owners + 1, sequences.items, sequences.places], axis=1)
    rows = (f"{user}\t{item}\t{place}" for user, item, place in columns)
    return "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *rows]) + "\n"


def task_of(path: Path, output: Path, settings: Sequence[str]) -> Task:
    """The task of a file, its atomic file written below the output folder."""
    data, name = LeaveOneOut.read(path), path.stem
    atomic = output / "atomic"
    (atomic / name).mkdir(parents=True, exist_ok=True)
    write_text(atomic / name / f"{name}.inter", as_atomic(data))
    config = Config(name, [], _THEIRS, [*settings, f"--data_path={atomic}"])
    set_up_torch(config)
    return Task(name, data, config, output / name)


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A Markdown table, a line for each method."""
    lines = [f"| | {' | '.join(COLUMNS)} |", f"| --- |{' --- |' * len(COLUMNS)}"]
    for method, values in rows.items():
        cells = (f"{values[name]:.4f}" if name in values else "" for name in COLUMNS)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def as_csv(sets: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The figures of all sets, a row for each set and method; empty where a figure was not published."""
    lines: list[list[object]] = [["set", "method", *COLUMNS]]
    for name, rows in sets.items():
        for method, values in rows.items():
            lines.append([name, method, *(round(values[one], 6) if one in values else "" for one in COLUMNS)])
    return csv_text(lines)


def reproduced(task: Task, methods: Sequence[str]) -> dict[str, dict[str, float]]:
    """Theirs, where there is some, and ours, method by method."""
    rows = {method: dict(sets[task.name]) for method, sets in PUBLISHED.items() if task.name in sets}
    for key in methods:
        title, scorer_of = METHODS[key]
        begin = time.perf_counter()
        values = measured(task.data.rank(scorer_of(task), 1, task.rules))
        print(f"{task.name}: {title}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        rows[title] = values
    return rows


def files_of(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of the sets.

    Raises:
        InputError: for those that are missing; says where they are.
    """
    paths = [folder / f"{name}.txt" for name in names]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"{folder}: no {', '.join(missing)}; {WHERE}.")
    return paths


def _about(task: Task) -> str:
    users, n = len(task.data.sequences), len(task.data.sequences.items)
    return f"## {task.name}\n\n{users} users, {task.data.n_items - 1} items, {n} interactions.\n"


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Train, print and write."""
    parser = argparse.ArgumentParser(
        prog="script/reproduce.sh", description=(__doc__ or "").splitlines()[0], allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the files; " + WHERE)
    parser.add_argument("--sets", default=",".join(SETS), help="names of files without .txt, with commas between")
    parser.add_argument("--only", default=",".join(METHODS), help="some of mml, recbole")
    parser.add_argument("--work", type=Path, default=Path("output/reproduce"), help="where trainings leave their files")
    parser.add_argument("--output", type=Path, help="write the tables to this .md, and the figures beside it as .csv")
    taken = ("--data=", "--sets=", "--only=", "--work=", "--output=")
    settings = [one for one in arguments if is_setting(one) and not one.startswith(taken)]
    options = parser.parse_args([one for one in arguments if one not in settings])
    methods = options.only.split(",")
    if set(methods) - set(METHODS):
        raise InputError(f"--only: '{options.only}'; it is some of {', '.join(METHODS)}, with commas between.")
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    setup_logging("INFO")
    logging.getLogger("recbole").setLevel(logging.WARNING)
    parts, found = [], {}
    for path in files_of(options.data, options.sets.split(",")):
        task = task_of(path, options.work, settings)
        found[task.name] = reproduced(task, methods)
        parts.append(f"{_about(task)}\n{table(found[task.name])}\n")
        print(parts[-1], flush=True)
    if options.output is not None:
        command = " ".join(arguments).replace(str(options.data), "FOLDER")
        about = "# S3-Rec's table\n\nLeave-one-out, all items ranked but those of the history. "
        about += f"`bash script/reproduce.sh {command}`; {machine_line()}.\n\n"
        write_text(options.output, about + "\n".join(parts))
        write_text(options.output.with_suffix(".csv"), as_csv(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
