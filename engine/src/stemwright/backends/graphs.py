"""CUDA graphs: what a network launches on a GPU for one batch is recorded once and replayed, hundreds of kernels in one call.

A graph works on fixed memory and for one shape. So each shape keeps its own; the last batch of a song is filled up to that of
the others (see `EagerNetwork`), so that another shape comes only with another length of segments.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

_KEPT = 2  # shapes: songs with two lengths of segments in turns
_WARM_UPS = 2  # runs before recording: libraries choose their algorithms and make their work spaces

Compute = Callable[[Tensor], Tensor]


class Recording(Protocol):
    """One shape's graph."""

    def replay(self, given: Tensor) -> Tensor:
        """What was recorded, on another input of the same shape; the result is the caller's."""


class CudaRecording:
    """A graph on a GPU. Calls from several threads, each on its own stream, follow each other."""

    def __init__(self, compute: Compute, given: Tensor, *, cuda: Any = torch.cuda) -> None:
        """Record what is launched for one batch.

        Args:
            given: A batch of the shape that is recorded; it is not changed.
            cuda: Torch's module of this name, or a stand-in for it.

        Raises:
            RuntimeError: An operation cannot be recorded.
            torch.OutOfMemoryError: The device has no memory for it.
        """
        self._cuda, self._given = cuda, given.clone()
        for _ in range(_WARM_UPS):
            compute(self._given)
        cuda.current_stream(given.device).synchronize()
        cuda.empty_cache()  # a graph has memory of its own, and cannot take what plain runs left behind
        self._graph = cuda.CUDAGraph()
        self._made = self._recorded(compute)
        self._lock = threading.Lock()
        self._free = cuda.Event()

    def _recorded(self, compute: Compute) -> Tensor:
        before, own = self._cuda.current_stream(self._given.device), self._cuda.Stream(self._given.device)
        try:
            # Torch's own stream for recording is one for all devices. Other threads may go on with their copies meanwhile.
            with self._cuda.graph(self._graph, stream=own, capture_error_mode="thread_local"):
                return compute(self._given)
        finally:
            self._cuda.set_stream(before)  # torch leaves its stream the current one when recording fails

    def replay(self, given: Tensor) -> Tensor:
        """See `Recording`."""
        with self._lock:
            self._free.wait()  # this stream goes on once the last caller's has copied its result
            self._given.copy_(given)
            self._graph.replay()
            made = self._made.clone()
            self._free.record()
        return made


class Graphs:
    """Computes through recordings: the first batch of a shape plainly, the second is recorded, the others replayed."""

    def __init__(self, compute: Compute, *, record: Callable[[Compute, Tensor], Recording] = CudaRecording) -> None:
        self._compute, self._record = compute, record
        self._seen: OrderedDict[tuple[int, ...], Recording | None] = OrderedDict()
        self._lock = threading.Lock()
        self.failed: str | None = None
        """Why nothing is recorded any more."""

    def __call__(self, given: Tensor) -> Tensor:
        """As the plain computation.

        Raises:
            torch.OutOfMemoryError: As the plain computation does; nothing is recorded any more.
        """
        recording = self._recording(given)
        return self._compute(given) if recording is None else recording.replay(given)

    def forget(self) -> None:
        """Give the memory of all recordings back, and record nothing any more: it is scarce."""
        with self._lock:
            self._seen.clear()
            self.failed = self.failed or "memory is scarce"

    def _recording(self, given: Tensor) -> Recording | None:
        shape = tuple(given.shape)
        with self._lock:
            if self.failed is not None:
                return None
            if shape not in self._seen:
                self._seen[shape] = None
                while len(self._seen) > _KEPT:
                    self._seen.popitem(last=False)
                return None
            self._seen.move_to_end(shape)
            if self._seen[shape] is None:
                self._seen[shape] = self._recorded(given)
            return self._seen[shape]

    def _recorded(self, given: Tensor) -> Recording | None:
        try:
            return self._record(self._compute, given)
        except torch.OutOfMemoryError:
            self.failed = "memory is scarce"
        except RuntimeError as error:  # an operation that cannot be recorded: the plain way still works
            self.failed = " ".join(str(error).split())[:120]
        return None
