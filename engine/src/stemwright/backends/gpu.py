"""What only a GPU needs: a batch that fits, float32 without shortcuts, streams to go round, and turns when memory is scarce."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator

import torch

STREAMS = 2  # the copies of one batch run beside the computing of the next
_LARGEST_BATCH = 8  # segments: more gains nothing, and a song of a few minutes has to have several batches to overlap
_MEMORY_SHARE = 0.8  # of what is free on a device: the rest is for fragments and for others


def batch_that_fits(free: int, before: int, peak: int) -> int:
    """Segments at once when ``free`` bytes are free, shared by batches on `STREAMS` streams.

    One segment raised the use from ``before`` to ``peak`` bytes.
    """
    each = max(1, peak - before)
    return max(1, min(_LARGEST_BATCH, int(_MEMORY_SHARE * free / STREAMS / each)))


class Turns:
    """Calls that enter run side by side, until they are told to run one at a time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._most: int | None = None

    def one_at_a_time(self) -> None:
        """From now on a call waits until all others have left."""
        with self._changed:
            self._most = 1

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._most is None or self._running < self._most)
            self._running += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()


class Streams:
    """CUDA streams of one device, used again: torch keeps memory for each stream apart."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._idle: deque[torch.cuda.Stream] = deque()

    @contextlib.contextmanager
    def one(self) -> Iterator[torch.cuda.Stream]:
        """A stream that nobody else uses, made the current one."""
        try:
            stream = self._idle.pop()
        except IndexError:
            stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        try:
            with torch.cuda.stream(stream):
                yield stream
        finally:
            self._idle.append(stream)


class _FullFloat32:
    """Keeps cuDNN from rounding what it multiplies in float32 to 10 bits (TF32), as torch lets it.

    The setting is the process's. It is changed when the first call enters and put back when the last one leaves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = False

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.backends.cudnn.allow_tf32
                torch.backends.cudnn.allow_tf32 = False
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.backends.cudnn.allow_tf32 = self._before


FULL_FLOAT32 = _FullFloat32()
