"""Standard streams that a command can write to whatever they are: closed, full, or of few characters."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


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


def give_up(stream: TextIO) -> None:
    """Write to nothing from here on: Python flushes once more at exit, and would report again what was reported."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(line: str) -> None:
    """A line on stderr, if anybody can read it: work goes on without."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        give_up(sys.stderr)


class Results:
    """What a command prints as it goes. An output that is lost does not end the work; it is said at the end."""

    def __init__(self) -> None:
        self._lost: OSError | None = None

    def say(self, text: str) -> None:
        """Print it now."""
        try:
            print(text, flush=True)
        except OSError as error:
            self._lost = error
            give_up(sys.stdout)

    def check(self) -> None:
        """Raise what kept it from being printed, but not that the reader had read enough."""
        if self._lost is not None and not isinstance(self._lost, BrokenPipeError):
            raise self._lost
