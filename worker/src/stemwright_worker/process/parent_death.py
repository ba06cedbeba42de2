"""Ties a worker's life to the process that started it: no orphan keeps a GPU, however its parent ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from threading import Thread

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends, where it can (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end_with_parent() -> None:
    """End this process when its parent does: by the kernel, and by the end of stdin everywhere."""
    die_with_parent()
    Thread(target=_end_with_stdin, name="parent-death", daemon=True).start()


def _end_with_stdin() -> None:
    # os.read, not sys.stdin: the interpreter's own lock on it would be held at exit.
    while os.read(0, 4096):
        pass
    os._exit(0)
