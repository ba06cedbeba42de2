"""How often a caller may call: counted for each caller, said in headers, refused with 429.

Who has to authenticate is counted by subject, everybody else by address.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Callable
from functools import cached_property, lru_cache
from importlib.util import find_spec
from threading import Timer
from typing import TYPE_CHECKING, Any

import structlog
from fastapi import Request

from stemwright_server.http.middleware.request_context import add_headers
from stemwright_server.ports.auth import ANONYMOUS, Principal
from stemwright_worker.errors import TooManyRequests, Unavailable

if TYPE_CHECKING:  # imported with the first call that is counted: the service is up sooner
    from limits import RateLimitItem
    from limits.storage import Storage
    from limits.strategies import RateLimiter

_COUNTED_EXACTLY = 200  # calls in a window
_SWEEP_SECONDS = 30.0
_REDIS_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class Rates:
    """The counts: in this process, or in a Redis that all API processes share."""

    def __init__(self, redis_url: str | None = None) -> None:
        """``redis_url``: where API processes count together; None: each counts for itself.

        Raises:
            Unavailable: Redis's client is not installed.
        """
        if redis_url is not None and find_spec("redis") is None:
            raise Unavailable(
                "REDIS_URL needs the client of Redis, which is not here: pip install 'stemwright-server[redis]'.",
                code="extra_missing",
            )
        self._redis_url = redis_url

    def limit(self, name: str, rate: str, caller_of: Callable[[Request], Principal]) -> Callable[[Request], Any]:
        """A dependency for the routes that share one count.

        ``name`` tells counts apart and is shown; ``rate`` is for example ``5/hour``, or empty for no limit.
        The dependency raises TooManyRequests, and what ``caller_of`` raises.
        """

        def count(request: Request) -> None:
            self.count(name, rate, caller_of, request)

        if self._redis_url is not None:
            return count  # may wait for Redis: in a thread

        async def count_here(request: Request) -> None:
            count(request)

        return count_here

    def count(self, name: str, rate: str, caller_of: Callable[[Request], Principal], request: Request) -> None:
        """What the dependency of ``limit`` does."""
        if rate:
            self.take(request, name, rate, caller_of(request))

    def take(self, request: Request, name: str, rate: str, caller: Principal) -> None:
        """Count a call of ``caller``. The answer's headers say what is left, whether it is refused or not.

        Raises:
            TooManyRequests: nothing is left.
        """
        from limits.errors import StorageError

        item, who = _item(rate), _identity(request, caller)
        limiter = self._limiter(item)
        try:
            allowed = limiter.hit(item, name, who)
            reset, left = limiter.get_window_stats(item, name, who)
        except StorageError as error:  # better a call too many than no service
            _log.warning("rates_not_counted", error=str(error))
            return
        seconds = max(1, math.ceil(reset - time.time()))
        window = item.get_expiry()
        headers = {
            "RateLimit-Policy": f'"{name}";q={item.amount};w={window}',
            "RateLimit": f'"{name}";r={left};t={seconds}',
            # The names of the drafts before, which most clients read.
            "RateLimit-Limit": str(item.amount),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(seconds),
        }
        if allowed:
            add_headers(request, headers)
            return
        add_headers(request, headers | {"Retry-After": str(seconds)})
        raise TooManyRequests(
            f"More than {item.amount} calls in {window} s; try again in {seconds} s.",
            retry_after=seconds,
        )

    def _limiter(self, item: RateLimitItem) -> RateLimiter:
        # The exact one remembers every call, which is too much to count through where there are many.
        return self._exact if item.amount <= _COUNTED_EXACTLY else self._close

    @cached_property
    def _exact(self) -> RateLimiter:
        from limits.strategies import MovingWindowRateLimiter

        return MovingWindowRateLimiter(self._storage)

    @cached_property
    def _close(self) -> RateLimiter:
        from limits.strategies import SlidingWindowCounterRateLimiter

        return SlidingWindowCounterRateLimiter(self._storage)

    @cached_property
    def _storage(self) -> Storage:
        from limits.storage import MemoryStorage, RedisStorage

        if self._redis_url is not None:
            # One that takes connections and says nothing must not hold the threads that wait for it.
            return RedisStorage(
                self._redis_url,
                wrap_exceptions=True,
                socket_connect_timeout=_REDIS_SECONDS,
                socket_timeout=_REDIS_SECONDS,
            )

        class SeldomSweptStorage(MemoryStorage):
            """The library starts a thread after nearly every count, to drop what has expired; here once in a while."""

            @property
            def timer(self) -> Timer:
                return self._timer

            @timer.setter
            def timer(self, given: Timer) -> None:
                self._timer = _Seldom(given)

        return SeldomSweptStorage()


class _Seldom(Timer):
    """A timer that says for a while that it is still to come."""

    def __init__(self, given: Timer) -> None:
        super().__init__(given.interval, given.function)
        self.daemon = True
        self._until = time.monotonic() + _SWEEP_SECONDS

    def is_alive(self) -> bool:
        return time.monotonic() < self._until or super().is_alive()


@lru_cache
def _item(rate: str) -> RateLimitItem:
    from limits import parse

    return parse(rate)


def _identity(request: Request, caller: Principal) -> str:
    """Who is counted."""
    if caller.subject != ANONYMOUS:
        return f"subject:{caller.subject}"
    host = request.client.host if request.client is not None else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return f"host:{host}"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return f"net:{ipaddress.ip_network((int(address), 64), strict=False)}"  # what one customer is given
    return f"host:{address}"
