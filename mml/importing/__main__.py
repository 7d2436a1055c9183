"""`python -m mml.importing FILE ...`."""

from __future__ import annotations

import sys

from mml.importing.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
