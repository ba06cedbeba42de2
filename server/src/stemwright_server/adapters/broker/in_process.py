"""The broker of one process: claims that wait for work hear it at once."""

from __future__ import annotations

from collections.abc import Sequence

from stemwright_server.ports.jobs import Waiting
from stemwright_server.ports.wakeups import WakeUps


class InProcessBroker:
    """Implements ports.broker.Broker."""

    def __init__(self, wakeups: WakeUps) -> None:
        self._wakeups = wakeups

    def wake(self, waiting: Waiting) -> None:
        self._wakeups.wake()

    def remind(self, waiting: Sequence[Waiting]) -> None:
        if waiting:
            self._wakeups.wake()

    def close(self) -> None:
        """Nothing is held."""
