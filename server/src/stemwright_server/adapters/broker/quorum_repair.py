"""Queues of RabbitMQ that are there and do not work.

A RabbitMQ that is killed within a second or so of the making of a quorum queue may know the queue when it is back, but not
who leads it: to declare it succeeds, and whoever consumes from it or sends to it waits for ever. A queue of ours is no more
than a bell, which is rung again by the next sweep, so such a one is deleted and made anew. Imports kombu: load it late.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog
from amqp.exceptions import InternalError
from kombu import Connection

_PATIENCE = 15.0  # seconds to answer in: after a start, a leader is elected in one or a few
_log = structlog.get_logger(__name__)


def repair_quorum_queues(broker_url: str, names: Iterable[str]) -> list[str]:
    """Delete those of the queues that do not answer; whoever needs them declares them. Their names.

    Raises what kombu raises if the broker itself is away. Redis has nothing to heal.
    """
    if broker_url.startswith("redis"):
        return []
    broken = [name for name in names if not _answers(broker_url, name)]
    for name in broken:
        _log.warning("queue_made_anew", queue=name)
        with _connection(broker_url) as connection:
            connection.default_channel.queue_delete(name)
    return broken


def _answers(broker_url: str, name: str) -> bool:
    """Whether a message can be asked for, soon."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _answers_now(broker_url, name)
        except InternalError:  # the queue has no process: not yet, or never again
            if time.monotonic() > deadline:
                return False
            time.sleep(1.0)


def _answers_now(broker_url: str, name: str) -> bool:
    """The same at once; a message that comes is given back with the connection."""
    connection = _connection(broker_url)
    try:
        connection.default_channel.basic_get(name)
    except connection.channel_errors:
        return True  # there is no such queue, or not yet
    except TimeoutError:
        return False
    finally:
        connection.collect(socket_timeout=1.0)  # without a goodbye, to which such a queue lets nobody come
    return True


def _connection(broker_url: str) -> Connection:
    options = {"read_timeout": _PATIENCE}
    connection = Connection(broker_url, connect_timeout=4.0, heartbeat=0, transport_options=options)
    connection.connect()  # once: left to itself it would try for ever
    return connection
