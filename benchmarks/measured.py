"""What the benchmarks of size share: a fresh process per measurement, tables, and JSON with where it was measured."""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_MARK = "measured: "

Record = dict[str, Any]


def in_fresh_process(module: str, function: str, case: Mapping[str, Any], launcher: Sequence[str] = ()) -> Record:
    """Call `module.function(**case)` in a Python of its own, so that its peak memory is its own.

    Args:
        module, function: what to call; it returns a record.
        case: its keyword arguments, plain values.
        launcher: arguments after `python`, instead of none: `-m torch.distributed.run --nproc_per_node=2`.

    Returns:
        The record with `peak_mb` and `imports_mb`, the resident memory at the end and before the call; or with `error`.
    """
    argv = ["-m", "benchmarks.measured"] if not launcher else [*launcher, "-m", "benchmarks.measured"]
    command = [sys.executable, *argv, module, function, json.dumps(case)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not lines:
        why = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        return {**case, "error": why}
    record: Record = {**case, **json.loads(lines[0][len(_MARK) :])}
    print(f"{function}: {json.dumps(record)}", file=sys.stderr, flush=True)
    return record


def peak_mb() -> float:
    """Largest resident memory of this process so far."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def machine() -> Record:
    """Commit, processor, cores, memory and versions."""
    import numpy
    import torch

    git = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    info = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "commit": git.stdout.strip(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "memory_gb": round(memory, 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


def machine_line() -> str:
    """The same for a reader: commit, processor, cores and torch."""
    about = machine()
    return f"commit {about['commit']}, {about['processor']}, {about['cores']} cores, torch {about['torch']}"


def table(records: Sequence[Record], columns: Mapping[str, str]) -> str:
    """Records as lines; column title -> key. Numbers are shortened, what a record lacks is `-`."""
    lines = [list(columns), *([_cell(record.get(key)) for key in columns.values()] for record in records)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def show(name: str, records: Sequence[Record], columns: Mapping[str, str], output: Path) -> None:
    """Print the records as a table and, each on a line, what went wrong; write the JSON."""
    print(table(records, columns))
    case = list(columns.items())[:2]  # what tells the records apart, where they can fail
    for record in records:
        for kind in ("error", "recbole_error"):
            if kind in record:
                where = ", ".join(f"{_cell(record[key])} {title}" for title, key in case if key in record)
                print(f"{where}: {kind}: {record[kind]}")
    print(f"Written to {write_json(name, records, output)}\n", flush=True)


def write_json(name: str, records: Sequence[Record], output: Path) -> Path:
    """Write `<output>/<name>.json`: command, machine, records."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{name}.json"
    content = {"command": " ".join(sys.argv), "machine": machine(), "records": list(records)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def main(arguments: Sequence[str]) -> int:
    """The fresh process's side: module, function, case as JSON."""
    import torch

    torch.set_num_threads(1)
    module, function, case = arguments
    call = getattr(importlib.import_module(module), function)
    before = peak_mb()
    record = call(**json.loads(case))
    if int(os.environ.get("RANK", "0")) == 0:
        print(_MARK + json.dumps({**record, "imports_mb": before, "peak_mb": peak_mb()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
