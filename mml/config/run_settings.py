"""Settings of the run itself; none of them changes a result but `seed` and `tf32`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mml.data.settings import SeedSettings
from mml.settings import setting


@dataclass(frozen=True)
class RunSettings(SeedSettings):
    """Where a run computes, reads and writes."""

    stage: ClassVar[str] = "run"
    section: ClassVar[str] = "Run"

    gpu_id: str | int = setting(0, "GPU to use; the CPU serves where there is none.")
    use_gpu: bool = setting(True, "False: CPU in any case.")
    cpu_threads: int = setting(
        1, "Of torch and numpy on the CPU; the models are small, and more threads mostly wait for each other.", low=1
    )
    process_timeout: float = setting(
        60, "torchrun: seconds that a process waits for the others before it stops.", low=1.0
    )
    tf32: bool = setting(False, "Matrix products on CUDA in TF32: faster, three decimal digits.", stage="pretrain")
    imported: Mapping[str, object] | None = setting(
        None, "What mml import was given about the shop's tables, or guessed; later ones are read by the same names."
    )
    state: str = setting("INFO", "Log level.", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
    show_progress: bool = setting(True, "Progress bars.")
    data_path: str = setting("dataset/", "Datasets are folders below.", is_path=True)
    output_dir: str = setting("output", "Results go to <output_dir>/<dataset>/<run>/.", is_path=True)
    run_name: str | None = setting(None, "Name of the run's folder; ~ = seed and hash of the settings.")
    task_chunk_size: int = setting(
        0, "User tasks that adapt at once, bounds memory and changes no result; 0 = choose.", low=0
    )
    eval_batch_size: int = setting(256, "Cases scored against all items at once.", low=1)
    loss_decimal_place: int = setting(4, "In run.log.", low=0, high=15)


@dataclass(frozen=True)
class PresetSettings:
    """Settings of some datasets only."""

    stage: ClassVar[str] = "run"
    section: ClassVar[str] = "Presets"

    dataset_overrides: Mapping[str, object] | None = setting(
        None, "For a preset: {dataset: {key: value}}, over the preset's other keys."
    )


@dataclass(frozen=True)
class ChosenLearners:
    """Which learners there are."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Learners"

    learners: Mapping[str, Mapping[str, object] | None] = setting(
        {},
        "id, linear and newcomers learn from the log, and there is one more per modality, by any other name, with "
        "item_feat_emb (a file) or source (what to encode); `learners.linear: ~` leaves one out. id is the main one, "
        "its embeddings hold the items' content; linear is a regression of the next item on the history, in closed "
        "form, and abstains from items that are not in its log. Other models of the log can be added: "
        "`learners.vstan: {}`, and slist, ease, prefixknn, stan and markov.",
    )
