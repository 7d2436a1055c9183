"""`python -m mml`: the command `mml`."""

import sys

from mml.cli.main import main

sys.exit(main())
