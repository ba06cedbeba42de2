"""Queues of RabbitMQ that are there and do not work.

A RabbitMQ that is killed within a second or so of the declaration of a quorum queue may know the queue when it is back, but
without a leader: to declare it succeeds, and a client that consumes from it or sends to it waits for ever. Our queues hold
nothing but wake-ups, which the next sweep sends again, so such a queue is deleted. Imports kombu: load it late.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog
from amqp.exceptions import InternalError
from kombu import Connection

_PATIENCE = 15.0  # seconds to answer in: after a start, a leader is elected within a few
_log = structlog.get_logger(__name__)


def repair_quorum_queues(broker_url: str, names: Iterable[str]) -> list[str]:
    """Delete the queues that do not answer. They are declared again by the next client that uses them.

    Args:
        broker_url: Of RabbitMQ; on Redis nothing is done.
        names: Of the queues to try.

    Returns:
        The names of the queues that were deleted.

    Raises:
        OSError, AMQPError: The broker cannot be reached, or refuses us.
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
        connection.collect(socket_timeout=1.0)  # drops the socket: an orderly close would wait for the queue
    return True


def _connection(broker_url: str) -> Connection:
    options = {"read_timeout": _PATIENCE}
    connection = Connection(broker_url, connect_timeout=4.0, heartbeat=0, transport_options=options)
    connection.connect()  # once: left to itself it would try for ever
    return connection
