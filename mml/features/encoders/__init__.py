"""Encoders: from texts, pictures and columns to vectors, and what they have learned, for items that come later.

Which encoder is for what is said by the medium (mml.features.media).

| name | what it is |
| --- | --- |
| `tfidf` | texts: TF-IDF and truncated SVD; no download |
| `descriptor` | pictures: colour and gradient descriptors and truncated SVD; no download |
| `multihot` | columns of tokens, one or many per item: multi-hot |
| `numeric` | columns of numbers or vectors: standardised |
| `timm:resnet18`, `timm:FOLDER` | pictures: a timm model |
| anything else | a model on the Hugging Face hub, or its local folder; sentence-transformers models are recognised |
"""

from mml.features.encoders.base import (
    AnyEncoder,
    Array,
    BatchEncoder,
    BatchStore,
    Cells,
    ColumnEncoder,
    Encoded,
    Encoder,
    EncoderState,
    FittedEncoder,
    ImageEncoder,
    Rows,
    TextEncoder,
    needs,
    rows_to_fit,
)

__all__ = [
    "AnyEncoder",
    "Array",
    "BatchEncoder",
    "BatchStore",
    "Cells",
    "ColumnEncoder",
    "Encoded",
    "Encoder",
    "EncoderState",
    "FittedEncoder",
    "ImageEncoder",
    "Rows",
    "TextEncoder",
    "needs",
    "rows_to_fit",
]
