"""Files: reading strictly, writing without halves."""
