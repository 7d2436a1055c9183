"""Truncated SVD that keeps only what the data hold."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import spmatrix
from sklearn.decomposition import TruncatedSVD

Matrix: TypeAlias = NDArray[np.float32] | NDArray[np.float64] | spmatrix

# Directions weaker than this share of the strongest are rounding noise, and no feature.
NOISE = 1e-5


def directions(known: Matrix, dim: int) -> tuple[NDArray[np.float32], int]:
    """The strongest directions of some rows.

    Args:
        known: dense array or scipy sparse matrix [n, k].
        dim: the most directions to keep.

    Returns:
        components float32 [at most dim, k], strongest first, and how many of them are more than noise: fewer when
        the rows span fewer. The same for the same input, whatever ran before.
    """
    if known.shape[1] == 1:  # nothing to reduce, and TruncatedSVD refuses it
        return np.ones((1, 1), dtype=np.float32), 1
    svd = TruncatedSVD(n_components=min(dim, *known.shape), n_iter=7, random_state=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # its explained variance, when all rows are equal
        svd.fit(known)
    kept = max(1, int((svd.singular_values_ > NOISE * svd.singular_values_[0]).sum()))
    return np.ascontiguousarray(svd.components_, dtype=np.float32), kept


def project(matrix: Matrix, components: NDArray[np.float32], kept: int) -> NDArray[np.float32]:
    """Rows [n, k], dense or sparse, on the first `kept` of the components; float32 [n, kept].

    All of them are multiplied and then cut: a product's rounding depends on its shape.
    """
    product = matrix @ components.T
    return np.asarray(product if isinstance(product, np.ndarray) else product.toarray(), dtype=np.float32)[:, :kept]
