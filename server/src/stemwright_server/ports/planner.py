"""Which services there are, what they offer, and what is to be done for a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stemwright_server.domain.work import Offered, Work
from stemwright_worker.contract.description import ServiceDescription


class Planner(Protocol):
    """Knows the services by what they announced. Cheap to ask: what a request needs is in memory."""

    def services(self) -> Sequence[ServiceDescription]:
        """Those that workers announced, by name."""
        ...

    def plan(self, found: Offered, params: Mapping[str, Any]) -> Work:
        """The work that these params make of a model: see ``domain.work`` for how models are found.

        Raises:
            InvalidRequest: a param is wrong (``bad_params``), or the model cannot be had here now, with its refusal's code.
        """
        ...

    def announce(self, services: Sequence[ServiceDescription], *, described: str, worker: str) -> None:
        """Remember what a worker said of its services; ``described``: how its claims refer to that.

        Raises:
            InvalidRequest: a model's params are no JSON Schema (``bad_description``); nothing is remembered then.
        """
        ...

    def knows(self, described: str, services: Sequence[str], *, worker: str) -> bool:
        """Whether that is what was announced of these services last, to any process of the API, or by this worker."""
        ...
