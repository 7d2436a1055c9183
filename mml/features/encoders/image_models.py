"""Hugging Face image models (ResNet, ViT, DINOv2, CLIP ...) and timm's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from mml.features.encoders.base import Encoded, describe, folder_digest
from mml.features.encoders.pictures import map_pictures
from mml.features.encoders.pretrained import PretrainedEncoder, as_tensor, run


@dataclass
class ImageModelEncoder(PretrainedEncoder[Path]):
    """A pre-trained image model; a name that starts with `timm:` is one of timm's."""

    unit: ClassVar[str] = "picture"

    def identity(self) -> str:
        """Name and options, and the digest of a local folder's files."""
        folder = Path(self.name.removeprefix("timm:"))
        return describe(self, digest=folder_digest(folder)) if folder.is_dir() else describe(self)

    def load(self) -> None:
        """Load the model."""
        _ = self._forward

    def extract(self, items: Sequence[Path]) -> Encoded:
        """Encode the pictures that can be read."""
        present = np.zeros(len(items), dtype=np.bool_)
        vectors = np.zeros((len(items), self._forward.dim), dtype=np.float32)
        for start in range(0, len(items), self.batch_size):
            pixels = map_pictures(items[start : start + self.batch_size], self._forward.prepare)
            rows = [start + i for i, one in enumerate(pixels) if one is not None]
            if rows:
                present[rows] = True
                vectors[rows] = self._forward(torch.stack([one for one in pixels if one is not None]))
        return vectors, present

    @cached_property
    def _forward(self) -> "_Transformer | _Timm":
        device = self.torch_device()
        if self.name.startswith("timm:"):
            return self.load_or_explain(lambda: _Timm(self, device))
        return self.load_or_explain(lambda: _Transformer(self, device))


class _Transformer:
    """pictures -> float32 [n, dim] by a Hugging Face model."""

    def __init__(self, options: ImageModelEncoder, device: torch.device) -> None:
        transformers = options.needs("transformers")
        self.processor = transformers.AutoImageProcessor.from_pretrained(options.name)
        self.model = transformers.AutoModel.from_pretrained(options.name).to(device).eval()
        self.device = device
        self.dim = self(self.prepare(Image.new("RGB", (64, 64))).unsqueeze(0)).shape[1]

    def prepare(self, picture: Image.Image) -> torch.Tensor:
        """The picture as the model wants it: float [channels, height, width]."""
        return self.processor(picture, return_tensors="pt")["pixel_values"][0]

    def __call__(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        return run(lambda: self._pooled(pixels.to(self.device)), self.device)

    def _pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        if hasattr(self.model, "get_image_features"):
            return as_tensor(self.model.get_image_features(pixel_values=pixels))
        output = self.model(pixel_values=pixels)
        states = output.last_hidden_state
        if states.dim() == 3 and hasattr(getattr(self.model, "embeddings", None), "cls_token"):
            # Not pooler_output: many published ViT checkpoints lack its weights, and it would be random.
            return states[:, 0]
        if getattr(output, "pooler_output", None) is not None:
            return output.pooler_output.flatten(1)
        return states.mean(1) if states.dim() == 3 else states.mean((2, 3))


class _Timm:
    """pictures -> float32 [n, dim] by a timm model, without its classifier."""

    def __init__(self, options: ImageModelEncoder, device: torch.device) -> None:
        timm = options.needs("timm")
        name = options.name.removeprefix("timm:")
        source = f"local-dir:{name}" if Path(name).is_dir() else name
        self.model = timm.create_model(source, pretrained=True, num_classes=0).to(device).eval()
        config = timm.data.resolve_model_data_config(self.model)
        self.prepare = timm.data.create_transform(**config, is_training=False)
        self.device = device
        self.dim = self(self.prepare(Image.new("RGB", (64, 64))).unsqueeze(0)).shape[1]

    def __call__(self, pixels: torch.Tensor) -> NDArray[np.float32]:
        return run(lambda: self.model(pixels.to(self.device)), self.device)
