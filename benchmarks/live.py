"""Whether a model that counts what it is posted, as `mml serve` does, is as good as the run's line `mml_online`.

    python -m benchmarks.live output/tweetings/latest [--every 500]

What came after T is given to the saved model in order of time, so many events at once; of each case of the run's new
users the list is asked before the block with its target, of a model that has counted the blocks before. So the model
knows as much as a server that is some hundred events behind, and less than `mml_online`, which knows all that came
before a target.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import mml
from benchmarks.measured import machine_line
from mml.errors import InputError
from mml.evaluation.significance import per_case_ndcg
from mml.files.faults import in_one_line
from mml.method_names import FULL, ONLINE
from mml.recommender import Recommender
from mml.run.printing import aligned
from mml.run.rest import rest_of

TOP = 10


def cases_of(folder: Path, rest: pd.DataFrame) -> pd.DataFrame:
    """Of the rest in order of time, the run's cases: user_id, shots, target_item, at, the ranks of mml and mml_online.

    `at` is the target's time.
    """
    wide = pd.read_csv(folder / "predictions.csv", dtype={"user_id": str, "target_item": str})
    wide = wide[wide["method"].isin([FULL, FULL + ONLINE])]
    if FULL + ONLINE not in set(wide["method"]):
        raise InputError(f"{folder} has no line {FULL + ONLINE}, beside which lists could be set.")
    wide = wide.pivot(index=["user_id", "shots", "target_item"], columns="method", values="rank").reset_index()
    place = rest.groupby("user_id").cumcount()
    times = rest.assign(shots=place)[["user_id", "shots", "timestamp"]]
    return wide.merge(times.rename(columns={"timestamp": "at"}), on=["user_id", "shots"]).sort_values(
        "at", kind="stable"
    )


def blocks(rest: pd.DataFrame, cases: pd.DataFrame, every: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """About so many events in order of time, none of one time apart, and the cases whose targets are among them."""
    times = rest["timestamp"].to_numpy()
    begins = np.unique(np.searchsorted(times, times[::every]))
    for begin, end in itertools.pairwise([*begins, len(rest)]):
        own = rest[begin:end]
        yield own, cases[cases["at"].between(times[begin], times[end - 1])]


def rank_of(lists: pd.DataFrame, cases: pd.DataFrame) -> np.ndarray:
    """int64 [n], the targets' ranks in their users' lists, one case of each; TOP + 1 where they are not there."""
    found = lists.set_index(["user_id", "item_id"])["rank"]
    keys = pd.MultiIndex.from_arrays([cases["user_id"], cases["target_item"]])
    return found.reindex(keys).fillna(TOP + 1).to_numpy(dtype=np.int64)


def replayed(model: Recommender, rest: pd.DataFrame, cases: pd.DataFrame, every: int) -> tuple[pd.DataFrame, float]:
    """The cases with `frozen` and `live`, ranks in lists without and with events, and the CPU seconds of a count."""
    own = dict(list(rest.groupby("user_id")["item_id"]))
    live, seconds, n, parts = model, 0.0, 0, []
    for events, asked in blocks(rest, cases, every):
        for _, once in asked.groupby(asked.groupby("user_id").cumcount()):  # by their ids, as a server's users ask
            histories = {
                user: list(own[user][:shots]) for user, shots in zip(once["user_id"], once["shots"], strict=True)
            }
            ranks = [rank_of(one.recommend(histories, top=TOP), once) for one in (model, live)]
            parts.append(once.assign(frozen=ranks[0], live=ranks[1]))
        begin = time.process_time()
        live = live.with_events(events)
        live.prepare()
        seconds, n = seconds + time.process_time() - begin, n + 1
    return pd.concat(parts), seconds / n


@in_one_line
def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Lists of a model that counts what it is posted.", allow_abbrev=False)
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--every", type=int, default=500, help="events that are counted at once (500)")
    options = parser.parse_args(arguments)
    rest = rest_of(options.run)
    if "timestamp" not in rest:
        raise InputError(f"{options.run}: its log has no times, by which events could be told one after the other.")
    rest = rest.sort_values("timestamp", kind="stable")
    cases, seconds = replayed(mml.load(options.run), rest, cases_of(options.run, rest), options.every)
    print(machine_line())
    print(
        f"{len(cases):,} cases; {len(rest):,} events, {options.every:,} at a time; {seconds * 1000:.0f} ms each count"
    )
    said = {
        FULL: "the run's line, frozen at T",
        "frozen": "lists of the saved model",
        "live": "lists of the model that counts the blocks before",
        FULL + ONLINE: "the run's line, every event before the target",
    }
    rows = [["", f"NDCG@{TOP}", ""]]
    for name, text in said.items():
        rows.append([name, f"{per_case_ndcg(cases[name].to_numpy(), TOP).mean():.4f}", text])
    print(aligned(rows, n_left=3))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
