"""Baselines on mml's own split: RecBole's sequential models unmodified, and simple methods that are hard to beat."""
