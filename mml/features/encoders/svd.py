"""Truncated SVD that keeps only what the data hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.decomposition import TruncatedSVD

# Directions weaker than this share of the strongest are rounding noise, and no feature.
NOISE = 1e-5


def reduce(matrix: Any, fit_rows: NDArray[np.int64], dim: int) -> NDArray[np.float32]:
    """Project rows on the strongest directions of some of them.

    Args:
        matrix: dense array or scipy sparse matrix [n, k].
        fit_rows: the rows to learn the directions from.
        dim: the most directions to keep; fewer when the fitted rows span fewer.

    Returns:
        float32 [n, at most dim]; the same for the same input, whatever ran before.
    """
    known = matrix[fit_rows]
    if known.shape[1] == 1:  # nothing to reduce, and TruncatedSVD refuses it
        return np.asarray(matrix.toarray() if issparse(matrix) else matrix, dtype=np.float32)
    svd = TruncatedSVD(n_components=min(dim, *known.shape), n_iter=7, random_state=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # its explained variance, when all rows are equal
        svd.fit(known)
    kept = max(1, int((svd.singular_values_ > NOISE * svd.singular_values_[0]).sum()))
    return np.asarray(svd.transform(matrix)[:, :kept], dtype=np.float32)
