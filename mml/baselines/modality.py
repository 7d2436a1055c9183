"""Which modality a baseline over content reads."""

from __future__ import annotations

from mml.baselines.slot import Moment
from mml.errors import InputError


def modality_of(moment: Moment) -> str:
    """The modality that `modality` names, or the first one; empty where there are no features.

    Raises:
        InputError: if the one that is asked for is none.
    """
    names = list(moment.dataset.item_features)
    if not names:
        return ""
    modality = moment.settings["modality"] or names[0]
    if modality not in names:
        raise InputError(
            f"config: key 'modality': '{modality}' is none of the modalities; take one of {', '.join(names)}."
        )
    return str(modality)
