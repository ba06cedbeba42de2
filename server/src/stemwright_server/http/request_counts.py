"""How many requests this process answered, and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LONG = ("/events/", "/worker/")  # held open on purpose: how long says nothing

Key = tuple[str, str, str]  # method, route, status


@dataclass
class Duration:
    """A histogram of one route's times."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))  # each bucket alone
    total: float = 0.0


class RequestCounts:
    """How many requests of which kind this process answered. The label values are bounded: routes, not paths."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: dict[Key, int] = {}
        self._durations: dict[str, Duration] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered; status 0: the caller hung up before."""
        key = (method if method in _METHODS else "other", route, str(status))
        with self._lock:
            self._requests[key] = self._requests.get(key, 0) + 1
            if not route.startswith(_LONG):
                duration = self._durations.setdefault(route, Duration())
                duration.counts[bisect_left(BUCKETS, seconds)] += 1
                duration.total += seconds

    def requests(self) -> Mapping[Key, int]:
        """By method, route and status."""
        with self._lock:
            return dict(self._requests)

    def durations(self) -> Mapping[str, Duration]:
        """By route."""
        with self._lock:
            return {route: Duration(list(each.counts), each.total) for route, each in self._durations.items()}
