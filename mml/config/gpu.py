"""Which GPU a process uses."""

from __future__ import annotations

import os
import re

from mml.errors import InputError

# What CUDA_VISIBLE_DEVICES was before a Config set it, also for the processes that this one starts
_GIVEN_GPUS = os.environ.setdefault("MML_GIVEN_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))


_NAMED = re.compile(r"\d+|(?:GPU|MIG)-[\w/-]+")  # by number, or as nvidia-smi -L names them


def check_gpus(gpu_id: str) -> None:
    """Refuse what names no GPU, such as a setting whose dashes are missing.

    Raises:
        InputError: says how to name one.
    """
    if not all(_NAMED.fullmatch(name.strip()) for name in gpu_id.split(",")):
        raise InputError(
            f"config: key 'gpu_id' is '{gpu_id}'; it is the number of a GPU, such as 0 (for torchrun several: 0,1). "
            "Settings are written --key=value."
        )


def own_gpu(gpu_id: str, local_rank: int) -> str:
    """The GPU of one of torchrun's processes: its own of the list `gpu_id`, or so many further than the only one.

    Raises:
        InputError: if the list is shorter than the number of processes.
    """
    listed = [name.strip() for name in gpu_id.split(",")]
    if local_rank < len(listed):
        return listed[local_rank] if len(listed) > 1 else gpu_id
    if len(listed) > 1 or not gpu_id.isdigit():
        raise InputError(
            f"config: key 'gpu_id' lists {len(listed)} GPU(s), '{gpu_id}', but torchrun has started more processes; "
            "name one for each, or a single first one."
        )
    return str(int(gpu_id) + local_rank)


def among_given(gpu: str) -> str:
    """The GPU of that number among those of CUDA_VISIBLE_DEVICES, if a scheduler or the user has set it.

    Raises:
        InputError: if there are not so many.
    """
    if _GIVEN_GPUS == "all" or not gpu.isdigit():
        return gpu
    listed = [name.strip() for name in _GIVEN_GPUS.split(",")]
    if listed[0] in ("", "-1"):
        return _GIVEN_GPUS  # none at all
    if int(gpu) >= len(listed):
        raise InputError(f"config: key 'gpu_id' is {gpu}, but CUDA_VISIBLE_DEVICES={_GIVEN_GPUS} has fewer GPUs.")
    return listed[int(gpu)]
