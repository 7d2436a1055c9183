"""Learning from what new users did so far."""
