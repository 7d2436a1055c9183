"""Raw media: what items have, where it is found, and which encoders turn it into vectors. One file each."""

from mml.features.media.base import (
    MEDIA,
    WHERE,
    AnyMedium,
    AnyTable,
    FolderMedium,
    FolderSource,
    Medium,
    Source,
    TableMedium,
    TableSource,
    built_in_encoders,
)
from mml.features.media.columns import ColumnsMedium
from mml.features.media.image import ImageMedium
from mml.features.media.text import TextMedium

__all__ = [
    "MEDIA",
    "WHERE",
    "AnyMedium",
    "AnyTable",
    "FolderMedium",
    "FolderSource",
    "Medium",
    "Source",
    "TableMedium",
    "TableSource",
    "built_in_encoders",
]

for _medium in (TextMedium(), ImageMedium(), ColumnsMedium()):
    MEDIA.add(_medium)
