"""Which services there are and what they offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stemwright_worker.contract.service import Offer


class Catalogue(Protocol):
    """The services at hand, by name."""

    def offers(self) -> Sequence[Offer]: ...

    def offer(self, name: str) -> Offer | None: ...
