"""How popular items are among the old users: overall, and after so many interactions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor

from mml.data.sequences import PackedSequences
from mml.data.settings import PopularitySettings

_DECADES, _STEP = 6.1, 0.25  # the grid of a likelihood's maximum: at a million interactions the prior is all


def overall_popularity(sequences: PackedSequences, size: int) -> np.ndarray:
    """Items' shares of all interactions, [1, size]; arguments and column 0 as for `popularity_by_shots`."""
    shares = np.bincount(sequences.items, minlength=size)[1:] / max((sequences.items > 0).sum(), 1)
    return np.append(shares.min(), shares)[None]


def popularity_by_shots(sequences: PackedSequences, size: int, settings: PopularitySettings) -> np.ndarray:
    """What users take after n interactions: shares [N, size], row n - 1 for n, the last one for N and more.

    Each is the mean of the shares counted there and of overall popularity p. For how many interactions p counts is
    chosen by the likelihood of the counts, drawn from shares that are Dirichlet around p: for few where users at their
    start differ, for so many that p alone is left where they do not. Column 0, for what is left out, has the least one.

    Args:
        sequences: the users', of places in the result; 0 is left out.
        size: number of columns.
        settings: N, `popularity_lengths`, and the least that p counts for.
    """
    lengths, least = settings.popularity_lengths, settings.popularity_least_prior
    items, number = sequences.items, sequences.places
    counted = (number > 0) & (items > 0)
    rows = np.minimum(number[counted], lengths) - 1
    counts = np.bincount(rows * size + items[counted], minlength=lengths * size).reshape(lengths, size)
    overall = overall_popularity(sequences, size)[0, 1:]
    shares = np.zeros((lengths, size))
    for row, found in enumerate(counts[:, 1:]):
        prior = prior_strength(found, overall, least)
        shares[row, 1:] = (found + prior * overall) / (found.sum() + prior)
    shares[:, 0] = shares[:, 1:].min(1)
    return shares


def prior_strength(
    counts: np.ndarray, shares: np.ndarray, least: float = PopularitySettings.popularity_least_prior
) -> float:
    """For how many interactions, from `least` to a million, the prior shares [n] explain the counts [n] best."""
    tried = 10 ** np.arange(np.log10(least), _DECADES, _STEP)
    return float(max(tried, key=lambda weight: _likelihood(counts, weight * shares)))


def _likelihood(counts: np.ndarray, prior: np.ndarray) -> float:
    """Log of the Dirichlet-multinomial likelihood of counts, without what does not depend on the prior."""
    whole = gammaln(prior.sum()) - gammaln(prior.sum() + counts.sum())
    return float(whole + (gammaln(counts + prior) - gammaln(prior)).sum())


def log_popularity(sequences: PackedSequences, n_items: int, settings: PopularitySettings) -> Tensor:
    """Log of the items' shares, less their mean over the items that were touched: float32 [n_items, 1 + S].

    Column 0 is overall popularity; with `popularity_by_shots` there are S = `popularity_first` more, column n what
    users take after n interactions.
    The padding item and those that nobody has touched have 0.

    Args:
        sequences: the old users'.
        n_items: number of items, the padding item included.
        settings: see above.
    """
    touched = np.unique(sequences.items)
    size = len(touched) + 1
    own = replace(sequences, items=1 + np.searchsorted(touched, sequences.items))
    shares = overall_popularity(own, size)
    if settings.popularity_by_shots:
        first = popularity_by_shots(own, size, settings)[: settings.popularity_first]
        shares = np.concatenate([shares, first])
    logs = np.log(shares[:, 1:])
    result = torch.zeros(n_items, len(logs))
    result[torch.from_numpy(touched)] = torch.from_numpy((logs - logs.mean(1, keepdims=True)).T).float()
    return result
