"""`python -m mml.checking NAME`."""

from __future__ import annotations

import sys

from mml.checking.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
