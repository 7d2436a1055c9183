"""`mml serve` with the stub in place of a trained model: `python -m tests.serve DIR --port 8000`.

DIR, or what a link of that name points to, may hold `stub.json` with {"seconds": s, "titles": {...}} and `images/`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mml.errors import InputError
from mml.serve.command import main
from tests.serve.stub import Stub


def load(folder: Path) -> Stub:
    """Reads the stub's folder as `mml.load` reads a model's."""
    path = folder / "stub.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{path} is no stub; write {{}} into it") from None
    return Stub(folder / "images", settings.get("seconds", 0.0), settings.get("titles"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], load))
