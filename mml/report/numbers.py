"""What the report shows of a run's files, with intervals over users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mml.evaluation.significance import per_case_ndcg

K = 10


@dataclass(frozen=True)
class Estimate:
    """A mean over cases and the ends of its 95 % interval, users being drawn.

    Args:
        value, low, high: NDCG@10.
        n_cases: how many cases.
    """

    value: float
    low: float
    high: float
    n_cases: int


def estimate(rows: pd.DataFrame) -> Estimate:
    """NDCG@10 of some rows of predictions.csv; the interval is that of a ratio of sums over users."""
    gains = per_case_ndcg(rows["rank"].to_numpy(), K)
    by_user = pd.DataFrame({"user": rows["user_id"].to_numpy(), "gain": gains, "n": 1}).groupby("user").sum()
    value = float(gains.mean())
    rest = by_user["gain"].to_numpy() - value * by_user["n"].to_numpy()
    n = len(by_user)
    spread = float(np.sqrt((rest**2).sum() * n / max(n - 1, 1)) / by_user["n"].sum())
    return Estimate(value, max(0.0, value - 1.96 * spread), min(1.0, value + 1.96 * spread), len(rows))


def by_method(predictions: pd.DataFrame) -> dict[str, Estimate]:
    """Method -> estimate over all cases, in the file's order."""
    return {str(name): estimate(rows) for name, rows in predictions.groupby("method", sort=False)}


def by_shots(predictions: pd.DataFrame, method: str) -> dict[int, Estimate]:
    """Number of known interactions -> estimate."""
    own = predictions[predictions["method"] == method]
    return {int(str(k)): estimate(rows) for k, rows in own.groupby("shots")}


def new_items(
    predictions: pd.DataFrame, lists: pd.DataFrame | None, cold: set[str], method: str
) -> Mapping[str, float]:
    """Shares of new items among the next items and in the lists, and how many of the former are in the top ten."""
    own = predictions[predictions["method"] == method]
    is_cold = own["target_is_cold"].astype(bool)
    found = {"of next items": float(is_cold.mean())}
    if is_cold.any():
        found["of these in the top ten"] = float((own["rank"][is_cold] <= K).mean())
    if lists is not None:
        found["of the lists"] = float(lists["item_id"].isin(cold).mean())
    return found
