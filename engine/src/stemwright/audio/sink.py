"""The part file that encoders write to."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from pathlib import Path


class Sink:
    """A file for FFmpeg and libsndfile to write to, which remembers the first error.

    Both libraries call back into Python to write, and what is raised there may be lost on its way or come
    back as something else; `error` keeps it. After an error, or after `discard`, writes go nowhere.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._discarded = False
        self._file: io.BufferedRandom = path.open("w+b")

    def write(self, data: bytes) -> int:
        """Write bytes at the position; all of them, or raise."""
        if self._discarded:
            return len(data)
        if self.error is not None:
            raise self.error
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def read(self, size: int = -1) -> bytes:
        """Read bytes from the position."""
        return b"" if self._discarded else self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position."""
        if self._discarded:
            return 0
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # what was buffered is written first
            self.error = self.error or error
            raise

    def tell(self) -> int:
        """The position."""
        return 0 if self._discarded else self._file.tell()

    def finish(self) -> tuple[str, int]:
        """Close the file; give its sha256 (hexadecimal) and its size in bytes.

        Raises:
            OSError: also one that came up earlier and was lost by the library in between.
        """
        if self.error is not None:
            raise self.error
        self._file.flush()
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        digest = hashlib.file_digest(self._file, "sha256").hexdigest()
        self._file.close()
        return digest, size

    def discard(self) -> None:
        """Close and remove the file."""
        self._discarded = True
        with contextlib.suppress(OSError):  # a full disk once more: what is buffered cannot be written
            self._file.close()
        self.path.unlink(missing_ok=True)
