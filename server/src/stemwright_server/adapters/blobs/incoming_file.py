"""A file on its way into a store through this process."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stemwright_worker.errors import StorageFull, TooLarge


class Part:
    """Implements ports.blobs.Part: hashed while written, visible under its key only once committed."""

    def __init__(self, file: BinaryIO, path: Path, max_bytes: int, keep: Callable[[Part, str, bool], str]) -> None:
        """``file``: open at ``path``. ``keep(part, key, replace)`` makes it the blob of a key, and returns its hex sha256."""
        self._file = file
        self._max_bytes = max_bytes
        self._keep = keep
        self._hash = hashlib.sha256()
        self.path = path
        self.size = 0

    def write(self, data: bytes) -> None:
        """Raises TooLarge or StorageFull."""
        self.size += len(data)
        if self.size > self._max_bytes:
            raise TooLarge(f"More than the {self._max_bytes} bytes allowed.")
        self._hash.update(data)
        with full_disk_is_said():
            self._file.write(data)

    def commit(self, key: str, *, replace: bool) -> str:
        return self._keep(self, key, replace)

    def close(self, *, durable: bool) -> str:
        """Close and return the hex sha256. ``durable``: the bytes are on the disk afterwards."""
        if not self._file.closed:
            with full_disk_is_said():
                self._file.flush()
                if durable:
                    os.fsync(self._file.fileno())
            self._file.close()
        return self._hash.hexdigest()


@contextmanager
def part_in(folder: Path, max_bytes: int, keep: Callable[[Part, str, bool], str]) -> Iterator[Part]:
    """A part to write to; its file is gone at the end, unless ``keep`` moved it."""
    path = folder / secrets.token_hex(16)
    part = Part(path.open("xb"), path, max_bytes, keep)
    try:
        yield part
    finally:
        part.close(durable=False)
        part.path.unlink(missing_ok=True)


@contextmanager
def full_disk_is_said() -> Iterator[None]:
    """Raise StorageFull where the system says that a disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("No room left on the disk of the service.") from error
        raise


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
