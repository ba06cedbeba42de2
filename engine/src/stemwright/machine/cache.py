"""Keeps what was built for this machine: folders that are whole or not there, whatever is killed when.

A folder is built aside, written to the disk and then renamed. It lists the hashes of its files, and one that does not
match is removed and built again. A lock on a file keeps two processes from building the same; the operating system
releases it when its owner dies, so there is no stale lock to find.

What was not used for a season is removed when something new is built: what an older version or another model left behind.

Hashes are remembered: a file that the system says was not written to since is not read again, which would take a second
at each start.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stemwright.errors import OutputError
from stemwright.machine.hashing import hash_of

_LISTING = "contents.json"
_HASH = "blake2b"
_WRITABLE_BY_OTHERS = 0o022
_SEPARATING = "separating.lock"
_UNUSED = 90 * 24 * 3600.0  # seconds after which an entry is removed
_SETTLED = 2.0  # seconds: a change may follow another within one tick of the file system's clock, and look like it


class Busy(Exception):
    """Another process is building the same."""


def key_of(*parts: str) -> str:
    """A name for what these strings describe."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class Cache:
    """Folders and notes by name, below one folder that only this user may write to."""

    def __init__(
        self, root: Path, *, clock: Callable[[], float] = time.time, hash_of: Callable[[Path, str], str] = hash_of
    ) -> None:
        """Keep things below a folder.

        Args:
            root: Made when something is kept.
            clock: Gives the time of day in seconds, as ``time.time``.
            hash_of: Hashes a file by an algorithm; see `stemwright.machine.hashing.hash_of`.
        """
        self.root, self._clock, self._hash_of = root, clock, hash_of

    def prepare(self) -> None:
        """Make the folder that all is kept in.

        Raises:
            OutputError: Others may write to it; what would be built there could never be used.
            OSError: It cannot be made.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _only_ours(self.root):
            raise OutputError(
                f"others may write to the cache {self.root}, and what is built there is run: "
                f"chmod go-w {self.root}, or set STEMWRIGHT_CACHE to a folder of your own",
                code="cache_not_ours",
            )

    @contextlib.contextmanager
    def building(self, name: str) -> Iterator[None]:
        """Hold the right to build ``name``. What a killed builder left lying about is removed first.

        Raises:
            Busy: Another process holds it.
            OutputError: As `prepare`.
            OSError: As `prepare`.
        """
        self.prepare()
        try:
            with FileLock(self.root / f"{name}.lock", timeout=0):
                self._clear(name)
                yield
        except Timeout:
            raise Busy(f"another process is building {name}") from None

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Wait until no other process does ``what``: compilers for the four networks of a bag take turns."""
        with FileLock(self.root / f"{what}.lock"):
            yield

    @contextlib.contextmanager
    def separating(self) -> Iterator[None]:
        """Say to the other processes of this cache that a separation is going on; any number may at once.

        Where nothing can be kept, or the system has no shared locks (Windows), nobody is told.
        """
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, ImportError):
                import fcntl

                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = stack.enter_context((self.root / _SEPARATING).open("ab"))
                fcntl.flock(lock, fcntl.LOCK_SH)  # closing the file gives it back, and so does the end of the process
            yield

    def is_separating(self) -> bool:
        """Whether any process that keeps its things here separates now."""
        try:
            import fcntl

            with (self.root / _SEPARATING).open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (OSError, ImportError):
            return False
        return False

    def build(self, name: str, make: Callable[[Path], None]) -> Path:
        """The folder ``name``; made by ``make``, in a folder aside, when there is none that is whole.

        Call it inside of `building`: of this name, or of one that stands for several of them.

        Raises:
            OSError: It cannot be written.
        """
        if (found := self.find(name)) is not None:
            return found
        self._clear(name)
        aside = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=self.root))
        try:
            make(aside)
            hashes = {file.name: self._hash_of(file, _HASH) for file in sorted(aside.iterdir())}
            (aside / _LISTING).write_text(json.dumps(hashes))
            for file in (*aside.iterdir(), aside):
                _to_disk(file)
            aside.rename(self.root / name)
            _to_disk(self.root)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self._forget_unused()
        return self.root / name

    def find(self, name: str) -> Path | None:
        """The folder ``name`` if it is there, whole and ours; one that is damaged is removed."""
        folder = self.root / name
        try:
            hashes = json.loads((folder / _LISTING).read_text())
            whole = all(self.hash_of(folder / file, _HASH) == expected for file, expected in hashes.items())
        except (OSError, ValueError, AttributeError):
            whole = False
        if whole and _only_ours(self.root, folder):
            with contextlib.suppress(OSError):  # a cache that is only read keeps everything
                os.utime(folder)
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        return None

    def hash_of(self, file: Path, algorithm: str) -> str:
        """The hash of a file in hex, taken again whenever its size, its times or its place on the disk have changed.

        Raises:
            OSError: It cannot be read.
        """
        name, stamp = f"hash-{key_of(algorithm, str(file.resolve()))}", _stamp(file)
        known = self.note(name)
        if isinstance(known, dict) and known.get("stamp") == stamp and _only_ours(self.root):
            return str(known.get("hash"))
        made = self._hash_of(file, algorithm)
        if _stamp(file) == stamp and self._clock() - max(stamp[-2:]) / 1e9 > _SETTLED:
            with contextlib.suppress(OSError):
                self.write_note(name, {"file": str(file), "stamp": stamp, "hash": made})
        return made

    def note(self, name: str) -> Any:
        """A small JSON value that `write_note` wrote, or None."""
        try:
            return json.loads((self.root / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None

    def write_note(self, name: str, value: Any) -> None:
        """Write it aside and rename it, so that a reader finds the old one or the new one.

        Raises:
            OSError: It cannot be written.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.root, prefix=f".{name}.", delete=False) as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).rename(self.root / f"{name}.json")

    def _forget_unused(self) -> None:
        """Remove entries that nobody looked for in a long time. A process that still has one open keeps it."""
        for listing in self.root.glob(f"*/{_LISTING}"):
            with contextlib.suppress(OSError):
                if self._clock() - listing.parent.stat().st_mtime > _UNUSED:
                    shutil.rmtree(listing.parent, ignore_errors=True)

    def _clear(self, name: str) -> None:
        """Remove what was begun aside and never renamed."""
        for left in self.root.glob(f".{name}.*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _stamp(file: Path) -> list[int]:
    found = file.stat()
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _only_ours(*folders: Path) -> bool:
    """Built code is run from here: nobody but us and root may have been able to put it here."""
    if not hasattr(os, "getuid"):
        return True
    stats = [folder.stat() for folder in folders]
    return all(stat.st_uid in (0, os.getuid()) and not stat.st_mode & _WRITABLE_BY_OTHERS for stat in stats)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
