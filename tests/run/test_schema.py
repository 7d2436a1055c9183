"""A result.json from anybody: it has the shape that a run writes, or is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mml.errors import InputError
from mml.files.shape import fits
from mml.report.evidence import Evidence
from mml.run.schema import Result, read_result

SOUND: dict[str, Any] = {
    "dataset": "tiny",
    "seed": 1,
    "synthetic": True,
    "versions": {"torch": "2"},
    "device": "cpu",
    "data": {
        "old_users": 1,
        "valid_users": 1,
        "new_users": 1,
        "evaluated_users": 1,
        "evaluated_cases": 1,
        "skipped_users": {"old_user_too_short": 1},
        "items": 1,
        "warm_items": 1,
        "cold_items": 0,
        "interactions": 1,
        "split_time": 1.5,
        "dropped_rows": {},
        "skipped_cases": {},
        "ignored_columns": ["a"],
        "modality_coverage": {"txt": 1.0},
    },
    "metrics": {"mml": {"all": {"ndcg@10": 0.5, "n_users": 1, "n_cases": 1}}},
    "stages": {
        "id.meta": {
            "seconds": 1.0,
            "cpu_seconds": 1,
            "users_per_second": 2,
            "peak_memory_mb": 3.5,
            "versions": {"torch": "2"},
            "more": "is no matter",
        }
    },
    "learners": {
        "id": {
            "meta_training": {"kept": True, "score_before": None, "score_after": 0.5, "epochs": 1, "best_epoch": -1},
        },
        "linear": {"chosen": {"decay": 0.5}},
    },
    "adaptation": {"id": {"rate": 0.1, "steps": 2}},
    "validation": {"ndcg@10": 0.5},
}


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*above, key)
        yield from _places(value[key], (*above, key))


PLACES = [place for place in _places(SOUND) if "more" not in place]


def test_what_a_run_writes_fits() -> None:
    assert fits(SOUND, Result)
    assert fits({**SOUND, "data": {**SOUND["data"], "split_time": None}}, Result)
    assert fits({**SOUND, "first_screen": SOUND["metrics"], "learned_from_new_users": True, "moments": None}, Result)
    for key in SOUND:
        assert not fits({name: value for name, value in SOUND.items() if name != key}, Result)
    others: list[object] = [None, 3, [], "x"]
    for wrong in others:
        assert not fits(wrong, Result)


@pytest.mark.parametrize("place", PLACES)
def test_another_type_at_any_place_is_refused(place: tuple[Any, ...], tmp_path: Path) -> None:
    others: list[object] = [[[1]], "x", {"a": []}]
    for wrong in others:
        changed = copy.deepcopy(SOUND)
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        if type(holder[place[-1]]) is type(wrong) or (place[-2:] == ("chosen", "decay") and wrong == "x"):
            continue
        holder[place[-1]] = wrong
        assert not fits(changed, Result)
        (tmp_path / "result.json").write_text(json.dumps(changed))
        assert read_result(tmp_path / "result.json") is None
        with pytest.raises(
            InputError, match=r"result\.json is damaged, or of a baseline; the same run writes it again"
        ):
            Evidence(tmp_path)
