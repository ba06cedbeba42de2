"""The version of our own code that a built network depends on. Needs no torch."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from stemwright.models.architecture import Architecture

PACKAGE = Path(__file__).parents[1]
BACKENDS = "backends"
"""All of it counts: what was built is built again more often than it had to be, and never used with other code."""


@functools.cache
def code_version(architecture: Architecture) -> str:
    """Our own version of a network of this kind and of its kernels: what was built from another one is not used."""
    return hash_of_code(PACKAGE, *filter(None, (BACKENDS, architecture.code)))


def hash_of_code(package: Path, *places: str) -> str:
    """A hash of the names and bytes of these files and of all files in these folders below ``package``."""
    hashed = hashlib.sha256()
    for file in sorted(file for place in places for file in _files(package / place)):
        hashed.update(f"{file.relative_to(package).as_posix()}\0{file.stat().st_size}\0".encode())
        hashed.update(file.read_bytes())
    return hashed.hexdigest()[:16]


def _files(place: Path) -> list[Path]:
    found = [place, *place.rglob("*")]
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]
