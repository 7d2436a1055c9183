"""What is known about a case beside the learners' states."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.tasks import TaskSet

_CONTEXT_BLOCK = 65536


def case_context(tasks: TaskSet, catalogue: Catalogue) -> Tensor:
    """What is known about each case: log of shots, share of cold items, share of items lacking each modality.

    Returns:
        float32 [N, 2 + number of modalities].
    """
    blocks = [np.zeros((0, 1 + len(catalogue.features)))]
    for begin in range(0, len(tasks), _CONTEXT_BLOCK):
        items = tasks.inputs(slice(begin, begin + _CONTEXT_BLOCK))
        valid = items > 0
        shares = [items > catalogue.n_warm_items]
        shares += [~features.present[items] for features in catalogue.features.values()]
        blocks.append(np.stack([(share & valid).sum(1) / valid.sum(1) for share in shares], 1))
    columns = np.column_stack([np.log1p(tasks.shots), np.concatenate(blocks)])
    return torch.from_numpy(columns.astype(np.float32))


def context_size(catalogue: Catalogue) -> int:
    """Number of values in a case's context."""
    return 2 + len(catalogue.features)
