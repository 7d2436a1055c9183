"""Hugging Face text models (BERT and its kin, CLIP's text half) and sentence-transformers models."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.encoders.base import Encoded
from mml.features.encoders.pretrained import PretrainedEncoder, as_tensor, run, to_device

POOLINGS = ("auto", "mean", "cls")


@dataclass
class TextModelEncoder(PretrainedEncoder[str]):
    """A pre-trained text model.

    Attributes:
        pooling: auto is a sentence-transformers model's own pooling, or the text features of a model such as CLIP,
            else mean; mean over the tokens that are not padding; cls, the first token, as is usual for BERT.
        max_length: tokens of a text that are read; the model's own limit when that is less.
    """

    pooling: str = "auto"
    max_length: int = 512
    unit: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise InputError(f"pooling {self.pooling!r} is not known; it is one of {', '.join(POOLINGS)}")

    def load(self) -> None:
        """Load the model."""
        _ = self._forward

    def extract(self, items: Sequence[str]) -> Encoded:
        """Encode the texts that are not blank, shortest first so that a batch holds little padding."""
        present = np.array([bool(text.strip()) for text in items], dtype=np.bool_)
        rows = sorted(np.flatnonzero(present).tolist(), key=lambda row: len(items[row]))
        vectors = np.zeros((len(items), self._forward.dim), dtype=np.float32)
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            vectors[batch] = self._forward([items[row] for row in batch])
        return vectors, present

    @cached_property
    def _forward(self) -> "_SentenceTransformer | _Transformer":
        self.needs("transformers")
        device = self.torch_device()
        if self.pooling == "auto" and self.load_or_explain(lambda: _is_sentence_transformer(self.name)):
            return self.load_or_explain(lambda: _SentenceTransformer(self, device))
        return self.load_or_explain(lambda: _Transformer(self, device))


def _is_sentence_transformer(name: str) -> bool:
    """Whether the folder or the hub's repository has the file that lists a sentence-transformers model's parts."""
    if Path(name).is_dir():
        return (Path(name) / "modules.json").is_file()
    from transformers.utils import cached_file

    found = cached_file(name, "modules.json", _raise_exceptions_for_missing_entries=False)
    return found is not None


class _SentenceTransformer:
    """texts -> float32 [n, dim] by a sentence-transformers model."""

    def __init__(self, options: TextModelEncoder, device: torch.device) -> None:
        self.model = options.needs("sentence_transformers").SentenceTransformer(options.name, device=str(device))
        self.model.max_seq_length = min(options.max_length, self.model.max_seq_length or options.max_length)
        self.device = device
        self.dim = self(["a"]).shape[1]

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        def forward() -> torch.Tensor:
            return self.model.encode(
                texts, batch_size=len(texts), convert_to_tensor=True, show_progress_bar=False, device=str(self.device)
            )

        return run(forward, self.device)


class _Transformer:
    """texts -> float32 [n, dim] by a plain transformer and a pooling."""

    def __init__(self, options: TextModelEncoder, device: torch.device) -> None:
        transformers = options.needs("transformers")
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(options.name)
        if self.tokenizer.pad_token is None:  # GPT and its kin have none; the mask hides whatever stands there
            self.tokenizer.pad_token = self.tokenizer.eos_token
        model = transformers.AutoModel.from_pretrained(options.name)
        self.features = options.pooling == "auto" and hasattr(model, "get_text_features")
        config = getattr(model.config, "text_config", model.config)
        if not self.features:
            model = model.get_encoder() if config.is_encoder_decoder else getattr(model, "text_model", model)
        limits = [options.max_length, self.tokenizer.model_max_length, _positions(config)]
        self.max_length = min(limit for limit in limits if limit)
        self.model = model.to(device).eval()
        self.device, self.pooling = device, options.pooling
        self.dim = self(["a"]).shape[1]

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt")
        inputs = to_device(tokens, self.device)
        return run(lambda: self._pooled(inputs), self.device)

    def _pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.features:
            return as_tensor(self.model.get_text_features(**inputs))
        states = self.model(**inputs).last_hidden_state  # [n, length, dim]
        mask = inputs["attention_mask"].to(states.dtype)  # [n, length]
        if self.pooling == "cls":
            return states[torch.arange(len(states)), mask.argmax(1)]  # the first that is not padding on the left
        return (states * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)


class _Config(Protocol):
    pad_token_id: int | None


def _positions(config: _Config) -> int | None:
    """Tokens that the position embeddings have room for; RoBERTa and its kin spend some on the padding."""
    positions = getattr(config, "max_position_embeddings", None)
    spent = (config.pad_token_id or 0) + 1 if "roberta" in getattr(config, "model_type", "") else 0
    return positions - spent if positions else None
