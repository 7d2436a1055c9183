"""Settings: declared keys, where their values come from, and which go together."""
