"""The broker of one process: claims that wait for work hear it at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from stemwright_server.adapters.bell import Bell, Listener
from stemwright_server.ports.jobs import Waiting


class EmbeddedBroker:
    """Implements ports.broker.Broker."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    def ring(self, waiting: Waiting) -> None:
        self._bell.ring()

    def remind(self, waiting: Sequence[Waiting]) -> None:
        if waiting:
            self._bell.ring()

    def close(self) -> None:
        """Nothing is held."""

    def listen(self) -> AbstractContextManager[Listener]:
        """Listen for work."""
        return self._bell.listen()
