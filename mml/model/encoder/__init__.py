"""Sequence encoders: item vectors of a history in, one state per position out."""
