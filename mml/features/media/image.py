"""Pictures: one file per item."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mml.features.encoders.base import needs
from mml.features.encoders.built_in import PICTURES
from mml.features.media.base import FolderMedium, FolderSource
from mml.settings import setting


@dataclass(frozen=True)
class ImageSource(FolderSource):
    """Keys of a source of pictures."""

    dim: int | None = setting(None, "descriptor: length of the vectors (128)", low=1)
    batch_size: int | None = setting(None, "models: items in one forward pass (64)", low=1)
    device: str | None = setting(None, "models: auto, cpu, cuda, cuda:1 ... (auto)")


class ImageMedium(FolderMedium):
    """A folder of pictures."""

    name = "image"
    settings = ImageSource
    kind = "pictures"
    unit = "picture"
    place_hint = "of pictures"
    suffixes = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
    example = "42.jpg"
    encoders: ClassVar[Mapping[str, str]] = PICTURES
    default_encoder = "descriptor"
    model = "an image model"
    model_prefixes = ("timm:",)
    modality = "img"

    def encoder_class(self, name: str) -> type:
        """Descriptors, or a pre-trained model."""
        needs("PIL", "images")  # the modules below import it
        from mml.features.encoders.descriptor import DescriptorEncoder
        from mml.features.encoders.image_models import ImageModelEncoder

        return DescriptorEncoder if name == "descriptor" else ImageModelEncoder
