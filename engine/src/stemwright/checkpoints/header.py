"""What a checkpoint says about itself, read without torch and without running anything from the file."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from stemwright.errors import ModelError
from stemwright.models.architecture import Architectures, Arguments
from stemwright.models.registry import ARCHITECTURES

_LARGEST_HEADER = 16 * 1024 * 1024  # bytes; a real one has some ten thousand


@dataclass(frozen=True, kw_only=True)
class Header(Arguments):
    """The network's class and the arguments it was made with, and how its state is stored."""

    structure: Any = None  # how a nested (quantised) state is spread over the tensors; only in safetensors files


def read_header(file: Path, architectures: Architectures = ARCHITECTURES) -> Header:
    """Read the header of a `.safetensors` or `.th` file in one of Demucs's formats.

    Args:
        file: A `.safetensors` or `.th` file.
        architectures: Those that the file may be one of. Nothing is ever imported because a file says so.

    Raises:
        ModelError: It cannot be read (``model_corrupt``) or names a class that is not allowed (``model_forbidden``).
    """
    try:
        header = _safetensors_header(file) if file.suffix == ".safetensors" else _th_header(file, architectures.klasses)
    except OSError as error:
        raise ModelError(f"the checkpoint {file} cannot be read: {error.strerror}", code="model_corrupt") from None
    except pickle.UnpicklingError as error:
        raise ModelError(f"the checkpoint {file} is refused: {error}", code="model_forbidden") from None
    except (ValueError, KeyError, TypeError, EOFError, IndexError, AttributeError, zipfile.BadZipFile):
        raise ModelError(
            f"the checkpoint {file} is damaged or not in one of Demucs's formats: fetch it again", code="model_corrupt"
        ) from None
    if header.klass not in architectures.klasses:
        raise ModelError(
            f"the checkpoint {file} names the class {header.klass!r}, which is not one that may be loaded",
            code="model_forbidden",
        )
    return header


def _safetensors_header(file: Path) -> Header:
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= _LARGEST_HEADER:
            raise ValueError("not a safetensors file")
        metadata = json.loads(stream.read(length))["__metadata__"]
    return Header(
        klass=metadata["klass"],
        args=tuple(_decoded(json.loads(metadata["args"]))),
        kwargs=_decoded(json.loads(metadata["kwargs"])),
        structure=json.loads(metadata["structure"]) if "structure" in metadata else None,
    )


def _decoded(value: Any) -> Any:
    """JSON has no fractions: Demucs writes them as an object."""
    if isinstance(value, dict):
        if value.get("_type") == "fraction":
            return Fraction(value["numerator"], value["denominator"])
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value


def _th_header(file: Path, klasses: Collection[str]) -> Header:
    with zipfile.ZipFile(file) as archive:
        entry = next((name for name in archive.namelist() if name.endswith("/data.pkl")), "data.pkl")
        if archive.getinfo(entry).file_size > _LARGEST_HEADER:
            raise ValueError("a header of unlikely size")
        package = _HeaderUnpickler(io.BytesIO(archive.read(entry)), klasses).load()
    klass = package["klass"]
    return Header(klass=klass.name, args=tuple(package["args"]), kwargs=dict(package["kwargs"]))


class _Named:
    """Stands for a class of the pickle; swallows whatever the pickle wants to make of it."""

    name = ""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> _Named:
        return object.__new__(cls)

    def __setstate__(self, _state: Any) -> None:
        return None


class _HeaderUnpickler(pickle.Unpickler):
    """Reads the plain values of a `.th` file; classes become names, tensors become nothing.

    Only the names that Demucs's own files contain are accepted, and none of them is imported.
    """

    _PLAIN: ClassVar = {
        ("collections", "OrderedDict"): dict,
        ("fractions", "Fraction"): Fraction,
        ("builtins", "set"): set,
    }
    _STAND_INS = frozenset(
        {"torch", "torch._utils", "torch.storage", "torch.serialization", "diffq.diffq", "diffq.uniform"}
    )

    def __init__(self, stream: BinaryIO, klasses: Collection[str]) -> None:
        super().__init__(stream)
        self._klasses = klasses

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._PLAIN:
            return self._PLAIN[module, name]
        if module in self._STAND_INS or f"{module}.{name}" in self._klasses:
            return type("Named", (_Named,), {"name": f"{module}.{name}"})
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which has no place in a checkpoint")

    def persistent_load(self, _pid: Any) -> Any:
        return None
