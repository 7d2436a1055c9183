"""The encoders that load no model, and what they are for."""

TEXTS = {"tfidf": "texts"}
PICTURES = {"descriptor": "pictures"}
COLUMNS = {"multihot": "columns of tokens", "numeric": "columns of numbers"}

BUILT_IN = TEXTS | PICTURES | COLUMNS
