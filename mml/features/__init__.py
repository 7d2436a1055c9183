"""Item features: files of vectors keyed by item token, and the encoders that make them."""
