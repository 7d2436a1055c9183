"""Makes the outputs of the notebooks anew, with their own settings; a quarter of an hour on one core.

python -m tests.docs.print_notebooks [NAME ...]
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.docs.examples import run

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"


def main(names: Sequence[str]) -> int:
    """Run and write those of some names; all if there are none."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not names or path.stem in names:
            content = json.loads(path.read_text(encoding="utf-8"))
            with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
                _run(content["cells"])
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            print(f"Written to {path.relative_to(ROOT)}")
    return 0


def _run(cells: Sequence[dict[str, Any]]) -> None:
    namespace: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            text = run("".join(cell["source"]), namespace)
            lines = text.splitlines(keepends=True)
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": lines}] if lines else []


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = str(ROOT)  # the shell's `mml` is this checkout's
    sys.exit(main(sys.argv[1:]))
