"""How popular items are among the old users: overall, and after so many interactions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor

from mml.data.sequences import PackedSequences

_LENGTHS = 10  # shots; histories of so many and more are alike in popularity
_PRIORS = 10 ** np.arange(1, 6.1, 0.25)  # interactions that prior shares may count for
_FIRST = 3  # up to so many interactions a feature learner's prior is that by shots (docs/results.md)


def overall_popularity(sequences: PackedSequences, size: int) -> np.ndarray:
    """Items' shares of all interactions, [1, size]; arguments and column 0 as for `popularity_by_shots`."""
    shares = np.bincount(sequences.items, minlength=size)[1:] / max((sequences.items > 0).sum(), 1)
    return np.append(shares.min(), shares)[None]


def popularity_by_shots(sequences: PackedSequences, size: int) -> np.ndarray:
    """What users take after n interactions: shares [10, size], row n - 1 for n, the last one for 10 and more.

    Each is the mean of the shares counted there and of overall popularity p. For how many interactions p counts is
    chosen by the likelihood of the counts, drawn from shares that are Dirichlet around p: for few where users at their
    start differ, for so many that p alone is left where they do not. Column 0, for what is left out, has the least one.

    Args:
        sequences: the users', of places in the result; 0 is left out.
        size: number of columns.
    """
    items, number = sequences.items, sequences.places
    counted = (number > 0) & (items > 0)
    rows = np.minimum(number[counted], _LENGTHS) - 1
    counts = np.bincount(rows * size + items[counted], minlength=_LENGTHS * size).reshape(_LENGTHS, size)
    overall = overall_popularity(sequences, size)[0, 1:]
    shares = np.zeros((_LENGTHS, size))
    for row, found in enumerate(counts[:, 1:]):
        prior = prior_strength(found, overall)
        shares[row, 1:] = (found + prior * overall) / (found.sum() + prior)
    shares[:, 0] = shares[:, 1:].min(1)
    return shares


def prior_strength(counts: np.ndarray, shares: np.ndarray) -> float:
    """For how many interactions the prior shares [n] count that explain the counts [n] best, of 10 to a million."""
    return float(max(_PRIORS, key=lambda weight: _likelihood(counts, weight * shares)))


def _likelihood(counts: np.ndarray, prior: np.ndarray) -> float:
    """Log of the Dirichlet-multinomial likelihood of counts, without what does not depend on the prior."""
    whole = gammaln(prior.sum()) - gammaln(prior.sum() + counts.sum())
    return float(whole + (gammaln(counts + prior) - gammaln(prior)).sum())


def log_popularity(sequences: PackedSequences, n_items: int, by_shots: bool) -> Tensor:
    """Log of the items' shares, less their mean over the items that were touched: float32 [n_items, 1 or 4].

    Column 0 is overall popularity; with `by_shots` there are more, column n what users take after n interactions.
    The padding item and those that nobody has touched have 0.

    Args:
        sequences: the old users'.
        n_items: number of items, the padding item included.
        by_shots: see above.
    """
    touched = np.unique(sequences.items)
    size = len(touched) + 1
    own = replace(sequences, items=1 + np.searchsorted(touched, sequences.items))
    shares = overall_popularity(own, size)
    if by_shots:
        shares = np.concatenate([shares, popularity_by_shots(own, size)[:_FIRST]])
    logs = np.log(shares[:, 1:])
    result = torch.zeros(n_items, len(logs))
    result[torch.from_numpy(touched)] = torch.from_numpy((logs - logs.mean(1, keepdims=True)).T).float()
    return result
