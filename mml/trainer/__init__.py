"""Trainers: RecBole Trainer subclasses that drive each stage of a run."""
