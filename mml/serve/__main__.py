"""`python -m mml.serve shop`."""

import sys

from mml.serve.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
