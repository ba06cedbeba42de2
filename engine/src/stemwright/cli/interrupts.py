"""Signals that ask a command to end: it ends as after Ctrl-C, and removes what it began."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")


class Ended(KeyboardInterrupt):
    """A signal that asks to end has come."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `Ended` where such a signal would end the process at once; what is ignored (nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # no other may say what signals do
        return
    ours = [number for name in _NAMES if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.getsignal(number) for number in ours}
    for number in ours:
        if before[number] is signal.SIG_DFL:
            signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is signal.SIG_DFL:
                signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> None:
    for name in (*_NAMES, "SIGINT"):  # once is enough: what tidies up is left alone
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise Ended(number)
