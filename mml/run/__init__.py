"""A run: its folder, its stages, one file each, and its result."""
