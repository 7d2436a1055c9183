"""The shape of the causal encoder, which all ways of computing its network share."""

from __future__ import annotations

from dataclasses import dataclass

MASKED = -10000.0  # RecBole's value, so that scores equal its SASRec's


@dataclass(frozen=True)
class CausalShape:
    """What a network is besides its weights.

    Args:
        n_layers, n_heads, layer_norm_eps, hidden_act: as in RecBole's SASRec.
    """

    n_layers: int
    n_heads: int
    layer_norm_eps: float
    hidden_act: str
