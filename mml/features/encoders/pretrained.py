"""What the encoders that load a pre-trained network share: where it runs, how it is found, half precision."""

import importlib.util
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from mml.errors import InputError
from mml.features.encoders.base import BatchEncoder, describe, folder_digest, needs
from mml.features.encoders.built_in import BUILT_IN

Item = TypeVar("Item", bound="str | Path")
Loaded = TypeVar("Loaded")


@dataclass
class PretrainedEncoder(BatchEncoder[Item], Generic[Item]):
    """A network by name on the hub or by local folder, loaded at the first batch.

    Attributes:
        name: the hub's name or the folder.
        batch_size: items in one forward pass.
        device: auto (CUDA when there), cpu, cuda, cuda:1 ...
    """

    name: str
    batch_size: int = 64
    device: str = "auto"

    def identity(self) -> str:
        """Name and options, and the digest of a local folder's files."""
        folder = Path(self.name)
        return describe(self, digest=folder_digest(folder)) if folder.is_dir() else describe(self)

    def torch_device(self) -> torch.device:
        """The device to run on.

        Raises:
            InputError: if it cannot be used.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"device {self.device!r} cannot be used ({reason}); take auto or cpu") from error
        return device

    def load_or_explain(self, load: Callable[[], Loaded]) -> Loaded:
        """load(), with an InputError when there is no such model.

        Raises:
            InputError: if there is no such model, or it is damaged.
        """
        try:
            return load()
        except InputError:
            raise
        except Exception as error:  # each library has its own for a name that is wrong or a file that is damaged
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise InputError(
                f"{self.taken_for()}, and cannot be loaded ({reason}); check the name, or take a built-in one"
            ) from error

    def taken_for(self) -> str:
        """What the name is taken for, as the head of a complaint."""
        if self.name.startswith("timm:"):
            return f"encoder {self.name!r} is taken for a model of timm, or its folder"
        kinds = ", ".join(f"{name} for {kind}" for name, kind in BUILT_IN.items())
        return (
            f"encoder {self.name!r} is none of the built-in ones ({kinds}), so it is taken for a model's name on the "
            "Hugging Face hub, or its folder (timm:NAME is a model of timm)"
        )

    def needs(self, package: str) -> ModuleType:
        """Import an optional package, or say what it is needed for and how to install it."""
        fault = torchvision_fault()
        if fault and package == "timm" and importlib.util.find_spec("timm"):
            raise InputError(
                f"{self.taken_for()}, and needs torchvision, which cannot be imported ({fault}): install the one that "
                f"was built for torch {torch.__version__}, from where that torch came"
            )
        return needs(package, who=f"{self.taken_for()}, and")


@cache
def torchvision_fault() -> str | None:
    """Why the torchvision installed cannot be imported; from then on it counts as not installed.

    One that was built for another torch raises an error that would take transformers down, which can do without it.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name == "torchvision":
            return None
        fault = str(error)
    except Exception as error:  # RuntimeError or OSError, by what of it does not fit
        fault = (str(error).strip() or type(error).__name__).splitlines()[0]
    else:
        return None
    for name in [name for name in sys.modules if name.startswith("torchvision.")]:
        del sys.modules[name]
    sys.modules["torchvision"] = None  # type: ignore[assignment]
    return fault


class Pooled(Protocol):
    """What a model of Hugging Face returns where it is no tensor."""

    pooler_output: torch.Tensor


@torch.no_grad()
def run(forward: Callable[[], torch.Tensor], device: torch.device) -> NDArray[np.float32]:
    """Run forward, in fp16 on CUDA but in fp32 again where fp16 overflows; float32 [n, dim]."""
    with torch.autocast("cuda", dtype=torch.float16) if device.type == "cuda" else nullcontext():
        vectors = forward().float()
    if device.type == "cuda" and not torch.isfinite(vectors).all():
        vectors = forward().float()
    return np.asarray(vectors.cpu().numpy(), dtype=np.float32)


def to_device(batch: Mapping[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    """The tensors of a tokenizer's or image processor's output, on device."""
    return {key: value.to(device) for key, value in batch.items()}


def as_tensor(output: torch.Tensor | Pooled) -> torch.Tensor:
    """The vectors [n, dim] in what get_text_features / get_image_features return, a tensor or an output object."""
    return output if isinstance(output, torch.Tensor) else output.pooler_output
