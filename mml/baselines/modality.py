"""Which modality a baseline over content reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.baselines.slot import Moment
from mml.errors import InputError
from mml.settings import setting


@dataclass(frozen=True)
class ModalitySettings:
    """Which modality a baseline over content reads."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    modality: str | None = setting(
        None, "ContentSASRec, the sums and peers over text: the modality; ~ = the first one."
    )


def modality_of(moment: Moment) -> str:
    """The modality that `modality` names, or the first one; empty where there are no features.

    Raises:
        InputError: if the one that is asked for is none.
    """
    names = list(moment.dataset.item_features)
    if not names:
        return ""
    modality = moment.part(ModalitySettings).modality or names[0]
    if modality not in names:
        raise InputError(
            f"config: key 'modality': '{modality}' is none of the modalities; take one of {', '.join(names)}."
        )
    return str(modality)
