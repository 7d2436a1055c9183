"""The report of a finished run: one HTML file that opens from disk, and its plots as files."""
