"""The part file that encoders write to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path


def _open_alone(path: Path) -> int:
    """Open an empty file that no other process writes to; one that a process left when it was killed is taken over.

    Raises:
        OSError: EBUSY where another process writes to it, or what the system says.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | os.O_CLOEXEC, 0o666)
        try:
            if not _lock(descriptor):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    os.ftruncate(descriptor, 0)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it has just finished: it has another name now


def _lock(descriptor: int) -> bool:
    """Whether nobody else has the file. The lock goes with the descriptor, however its process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Sink:
    """A file for FFmpeg and libsndfile to write to, whose errors are kept for the writer to look at.

    Both libraries call back into Python to write. What is raised there gets lost on its way, comes back as
    something else, or ends the process (a muxer whose writes fail in its trailer). So nothing is raised: the
    first error is kept in `error`, and from then on, or after `discard`, writes go nowhere and seem to succeed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._lost = False
        self._at = self._size = 0  # where we seem to be, once what is written is lost
        self._held: int | None = _open_alone(path)
        try:
            self._file = path.open("r+b", buffering=1 << 18)
        except BaseException:
            self.release()
            raise

    def write(self, data: bytes) -> int:
        """Write all of the bytes at the position."""
        self._at += len(data)
        self._size = max(self._size, self._at)
        if not self._lost:
            try:
                self._file.write(data)
            except OSError as error:
                self._lose(error)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """Read bytes from the position."""
        if self._lost:
            return b""
        data = self._file.read(size)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, and say where it is."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if not self._lost:
            try:
                self._file.seek(self._at)
            except OSError as error:  # what was buffered is written first
                self._lose(error)
        return self._at

    def tell(self) -> int:
        """The position."""
        return self._at

    def finish(self) -> tuple[str, int]:
        """Close the file; give its sha256 (hexadecimal) and its size in bytes. The path is ours until `release`.

        Raises:
            OSError: The first error there was.
        """
        if self.error is not None:
            raise self.error
        self._file.flush()
        self._file.seek(0)
        digest = hashlib.sha256()
        while data := self._file.read(1 << 20):
            digest.update(data)
        self._file.close()
        return digest.hexdigest(), self._size

    def discard(self) -> None:
        """Close and remove the file."""
        self._lose(None)
        self.path.unlink(missing_ok=True)
        self.release()

    def release(self) -> None:
        """Let others have the path: once the file is gone from it."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _lose(self, error: OSError | None) -> None:
        if not self._lost:
            self._lost, self.error = True, error
            with contextlib.suppress(OSError):  # a full disk once more: what is buffered cannot be written
                self._file.close()
