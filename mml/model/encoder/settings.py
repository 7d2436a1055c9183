"""Settings of the sequence encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class EncoderSettings:
    """SASRec's (Kang and McAuley, ICDM 2018), by RecBole's names."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Encoder"

    n_layers: int = setting(2, "Transformer layers.", low=1, high=1000)
    n_heads: int = setting(2, "Attention heads; they share hidden_size.", low=1, high=1000)
    hidden_size: int = setting(64, "Length of item vectors and states.", low=1, high=1000000)
    inner_size: int = setting(256, "Width of the feed-forward layers.", low=1, high=1000000)
    hidden_dropout_prob: float = setting(0.3, "Dropout of vectors and layers' outputs.", low=0.0, high=0.99)
    attn_dropout_prob: float = setting(0.3, "Dropout of attention weights.", low=0.0, high=0.99)
    hidden_act: str = setting(
        "gelu", "Activation: gelu, relu, swish, tanh, sigmoid.", choices=("gelu", "relu", "swish", "tanh", "sigmoid")
    )
    layer_norm_eps: float = setting(1e-12, "Added to variances in layer normalisation.", low=0.0)
    initializer_range: float = setting(0.02, "Standard deviation of initial weights.", low=0.0)
