"""The broker: it wakes workers. A wake-up may be lost; the job store is the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stemwright_server.ports.jobs import Waiting


class Broker(Protocol):
    """Wakes workers up. Neither method raises nor takes long: a broker that is away is reminded when it is back."""

    def wake(self, waiting: Waiting) -> None:
        """A worker could have this job now, or very soon."""
        ...

    def remind(self, waiting: Sequence[Waiting]) -> None:
        """These wait, the most urgent first: make sure that workers know."""
        ...

    def close(self) -> None:
        """Wake nobody any more."""
        ...
