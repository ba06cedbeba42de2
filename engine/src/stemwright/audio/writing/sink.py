"""The part file that encoders write to."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import BinaryIO

_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})


class InUseError(Exception):
    """Another process writes to the file."""


class Claim:
    """The right to write to a path: an open file there that no other process, and no other part of this one, writes to.

    It is held by a lock on the file, which goes when the process ends, however that is. Where the system has no such locks
    (Windows, some network file systems) nobody is kept out.
    """

    def __init__(self, path: Path) -> None:
        """Make the file, or take over what a process left when it was killed; it is empty then.

        Raises:
            InUseError: Somebody else has it.
            OSError: It cannot be made, or is a link.
        """
        self.path = path
        self._descriptor: int | None = _open_alone(path)

    def open(self) -> BinaryIO:
        """The file, empty, for one user at a time. Closing it keeps the claim."""
        assert self._descriptor is not None
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.ftruncate(self._descriptor, 0)
        return os.fdopen(os.dup(self._descriptor), "w+b", buffering=1 << 18)

    def remove(self, *others: Path) -> None:
        """Remove the file from its path, and from these: from each only if it is this very file that lies there."""
        if self._descriptor is None:
            return
        ours = os.fstat(self._descriptor)
        for path in (self.path, *others):
            with contextlib.suppress(OSError):  # one that cannot be removed must not hide the error that got us here
                if os.path.samestat(ours, path.lstat()):
                    path.unlink()

    def release(self) -> None:
        """Let others have the path. May be called again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _open_alone(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        descriptor = os.open(path, flags, 0o666)
        try:
            _lock(descriptor, path)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.lstat()):
                    os.ftruncate(descriptor, 0)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it has just finished: it has another name now


def _lock(descriptor: int, path: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError(path) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


class Sink:
    """A file for FFmpeg and libsndfile to write to, whose errors are kept for the writer to look at.

    Both libraries call back into Python to write. What is raised there gets lost on its way, comes back as
    something else, or ends the process (a muxer whose writes fail in its trailer). So nothing is raised: the
    first error is kept in `error`, and from then on, or after `discard`, writes go nowhere and seem to succeed.
    """

    def __init__(self, path: Path, claim: Claim | None = None) -> None:
        """``claim``: on the path, where its owner has one; it stays with him. None: one of the sink's own."""
        self.path = path
        self.error: OSError | None = None
        self._lost = False
        self._at = self._size = 0  # where we seem to be, once what is written is lost
        self._owns = claim is None
        self._claim = claim or Claim(path)
        try:
            self._file = self._claim.open()
        except BaseException:
            self._end()
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
        """Close the file; give its sha256 (hexadecimal) and its size in bytes. The path is ours until `placed`.

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
        """Close the file; nothing of it is left, but an empty one where another holds the claim."""
        self._lose(None)
        self._end()

    def placed(self) -> None:
        """Its file has its name now, and others may have the path."""
        if self._owns:
            self._claim.release()

    def _end(self) -> None:
        if self._owns:
            self._claim.remove()
            self._claim.release()

    def _lose(self, error: OSError | None) -> None:
        if not self._lost:
            self._lost, self.error = True, error
            with contextlib.suppress(OSError):  # a full disk once more: what is buffered cannot be written
                self._file.close()
