"""The version of our own code that a built network depends on. Needs no torch."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources

_CODE = (
    "models/htdemucs/network.py",
    "models/htdemucs/crosstransformer.py",
    "models/htdemucs/layers.py",
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
def code_version() -> str:
    """Our own version of the network and its kernels: what was built from another one is not used."""
    folder = resources.files("stemwright")
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in _CODE)).hexdigest()[:16]
