"""Threads for what may take long, apart from those that every route needs.

The framework runs routes in one pool of 40 threads. A few uploads that take long to decode, or a store that does not
answer, would hold all of them, and nobody could even ask how things are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    """A number of threads; who finds all of them busy waits without one."""

    def __init__(self, name: str, threads: int) -> None:
        self._threads = threads
        self._limiter: RunVar[CapacityLimiter] = RunVar(name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function returns; raises what it raises."""
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._of_this_loop())

    async def iterate(self, items: Iterator[T]) -> AsyncIterator[T]:
        """The items, each taken in a thread of the pool."""
        nothing = object()
        while (item := await self.run(next, items, nothing)) is not nothing:
            yield item  # type: ignore[misc]

    def _of_this_loop(self) -> CapacityLimiter:
        try:
            return self._limiter.get()
        except LookupError:
            limiter = CapacityLimiter(self._threads)
            self._limiter.set(limiter)
            return limiter


STORE = Pool("store", 32)
"""For callers: what decodes an upload, or speaks to the store of blobs."""
WORKERS = Pool("workers", 16)
"""For workers: what hands out a task or takes its end, which may speak to the store."""
CALLERS = Pool("callers", 4)
"""For callers whose tokens name keys that are not known yet: one fetch serves all, the others need no thread."""
HEALTH = Pool("health", 2)
"""For those who watch: counts of the job store, and nothing else."""
