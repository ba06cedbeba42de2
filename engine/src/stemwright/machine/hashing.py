"""The hash that names a checkpoint's bytes. Needs no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

_AT_ONCE = 8 << 20  # bytes: each piece waits for the interpreter, which may be importing torch in another thread


def sha256_of(file: Path) -> str:
    """The hash of a file's bytes, in hex."""
    return hash_of(file, "sha256")


def hash_of(file: Path, algorithm: str) -> str:
    """The same by any algorithm of `hashlib`."""
    hashed, buffer = hashlib.new(algorithm), memoryview(bytearray(_AT_ONCE))
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            hashed.update(buffer[:count])
    return hashed.hexdigest()
