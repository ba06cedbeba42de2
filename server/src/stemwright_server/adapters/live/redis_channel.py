"""What one API process tells the others, by Redis's PUBLISH. A message may be lost; none comes twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import structlog

_CHANNEL = "stemwright-events"
_SECONDS = 1.0  # for a command; and without Redis, until it is tried again
_log = structlog.get_logger(__name__)


class RedisChannel:
    """Implements http.socketio.Channel."""

    def __init__(self, url: str) -> None:
        """``url``: redis:// or rediss://. Nothing is opened yet."""
        from redis.asyncio import Redis

        self._redis = Redis.from_url(
            url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS, health_check_interval=15, retry=None
        )
        self._not_before = 0.0  # by the monotonic clock: while Redis is away, nobody waits for it

    async def send(self, message: str) -> None:
        """Tell all processes that listen. What the network does is no error: it is said in the log."""
        from redis.exceptions import RedisError

        if time.monotonic() < self._not_before:
            return
        try:
            await self._redis.publish(_CHANNEL, message)
        except (RedisError, OSError) as error:
            self._not_before = time.monotonic() + _SECONDS
            _log.warning("event_not_shared", error=type(error).__name__)

    async def heard(self) -> AsyncIterator[str]:
        """What any process sends from now on, this one included. Never ends; after an interruption it goes on."""
        from redis.exceptions import RedisError

        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as listening:
                    await listening.subscribe(_CHANNEL)
                    while True:
                        found = await listening.get_message(timeout=10.0)
                        if found is not None:
                            yield found["data"].decode(errors="replace")
            except (RedisError, OSError) as error:
                _log.warning("events_not_heard", error=type(error).__name__)
                await asyncio.sleep(_SECONDS)
