"""`python -m mml`: the command `mml`."""

import sys

from mml.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
