"""Whether the store of blobs can be used: while it cannot, no job is handed out, and everybody who watches is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from stemwright_server.ports.blobs import BlobStore
from stemwright_worker.errors import ServiceError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Away:
    """The store cannot be used."""

    code: str
    reason: str
    since: float  # unix seconds


class StoreWatch:
    """Looks at the store now and then. What it found last is known without waiting."""

    def __init__(self, blobs: BlobStore, *, clock: Callable[[], float] = time.time) -> None:
        self._blobs = blobs
        self._clock = clock
        self._away: Away | None = None

    @property
    def away(self) -> Away | None:
        """Why it cannot be used; None: it can, as far as was seen."""
        return self._away

    def look(self) -> None:
        """Ask the store; may take as long as its timeouts."""
        try:
            self._blobs.check()
        except ServiceError as error:
            if self._away is None:
                _log.error("store_away", code=error.code, error=str(error))
                self._away = Away(code=error.code, reason=str(error), since=self._clock())
            return
        if self._away is not None:
            _log.warning("store_back", seconds=round(self._clock() - self._away.since))
        self._away = None
