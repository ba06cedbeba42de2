"""Standard streams that a command can write to whatever they are: closed, full, or of few characters."""

from __future__ import annotations

import contextlib
import os
import sys


def prepare() -> None:
    """Let nothing that is printed raise for its characters, and no file that is opened later become a standard stream."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the lowest free number is this one
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed when Python started
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def give_up_output() -> None:
    """Python flushes once more at exit, and would report again what was reported: it flushes to nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
