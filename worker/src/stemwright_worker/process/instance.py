"""Which processes of a folder live: each holds a lock on a file of its own, which the kernel lets go when it dies."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def instance(folder: Path) -> Iterator[str]:
    """An id for this process, never used again, held as long as the context is open.

    The lock survives in children of a fork, and they die with their parent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, held = _new(folder)
    try:
        yield path.stem
    finally:
        path.unlink(missing_ok=True)
        os.close(held)


def reap_dead(folder: Path, reap: Callable[[str], None]) -> None:
    """Call ``reap`` with the id of each process that died without leaving; if that is cut off, the next to come does it."""
    for path in folder.glob("*.lock"):
        _reap(path, reap)


def _new(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{secrets.token_hex(4)}.lock"
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Between the two calls another process may have taken it for a dead one's and removed it.
        if _locked(held) and path.exists():
            return path, held
        os.close(held)


def _reap(path: Path, reap: Callable[[str], None]) -> None:
    try:
        found = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return  # another one was faster
    try:
        if _locked(found) and path.exists():
            reap(path.stem)
            path.unlink(missing_ok=True)
    finally:
        os.close(found)


def _locked(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
