"""The version of our own code that a built network depends on. Needs no torch."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from importlib.resources.abc import Traversable

from stemwright.models.architecture import Architecture

_CODE = (
    "backends/compiled.py",
    "backends/fused.py",
    "backends/operators.py",
    "backends/winograd.py",
    "backends/amx.py",
    "backends/integers.py",
    "backends/native/amx.h",
    "backends/native/amx_attention.cpp",
    "backends/native/amx_dconv.cpp",
    "backends/native/amx_rewrite.cpp",
    "backends/native/residual.h",
    "backends/native/vectors.h",
    "backends/native/dconv.cpp",
    "backends/native/attention.cpp",
    "backends/native/rewrite.cpp",
    "backends/native/product.cpp",
    "backends/native/shims.cpp",
)


@functools.cache
def code_version(architecture: Architecture) -> str:
    """Our own version of a network of this kind and of its kernels: what was built from another one is not used."""
    package = resources.files("stemwright")
    own = sorted(_files(package / architecture.code), key=lambda file: file.name) if architecture.code else []
    read = [(package / name).read_bytes() for name in _CODE] + [file.read_bytes() for file in own]
    return hashlib.sha256(b"".join(read)).hexdigest()[:16]


def _files(place: Traversable) -> list[Traversable]:
    """A file, or the modules in a folder."""
    return [file for file in place.iterdir() if file.name.endswith(".py")] if place.is_dir() else [place]
