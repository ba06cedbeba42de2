"""A door before RabbitMQ at which queues disappear between their declaration and the first consumer.

That is what a client sees of a broker that is on its way back: the queue is known, and its members are not up yet.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from urllib.parse import urlsplit

from kombu import Connection

_METHOD = 1  # type of a frame
_CONSUME = struct.pack(">HH", 60, 20)  # class and method
_QUEUE_AT = 6  # in the payload: class, method, a reserved number, then the name with its length before it


class VanishingQueues:
    """A TCP proxy to RabbitMQ. The first ``times`` that somebody wants to consume one of our queues, it is gone."""

    def __init__(self, broker_url: str, times: int) -> None:
        self.left = times
        self._broker_url = broker_url
        self._broker = urlsplit(broker_url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        port = self._listening.getsockname()[1]
        self.url = broker_url.replace(f":{self._broker.port}", f":{port}")
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listening.accept()
                outer = socket.create_connection(("127.0.0.1", self._broker.port or 5672))
                Thread(target=self._watched, args=(inner, outer), daemon=True).start()
                Thread(target=_pumped, args=(outer, inner), daemon=True).start()

    def _watched(self, inner: socket.socket, outer: socket.socket) -> None:
        """Frame by frame, from the client to the broker."""
        with suppress(OSError), inner, outer, inner.makefile("rb") as stream:
            outer.sendall(stream.read(8))  # the protocol's name and version
            while len(head := stream.read(7)) == 7:
                kind, _, size = struct.unpack(">BHI", head)
                payload = stream.read(size + 1)  # and the mark at the end
                if kind == _METHOD and payload.startswith(_CONSUME):
                    self._consume(payload[_QUEUE_AT + 1 :][: payload[_QUEUE_AT]].decode())
                outer.sendall(head + payload)

    def _consume(self, queue: str) -> None:
        if self.left > 0 and queue.startswith("stemwright."):
            self.left -= 1
            with Connection(self._broker_url) as connection:
                connection.default_channel.queue_delete(queue)


def _pumped(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError), source, to:
        while data := source.recv(65536):
            to.sendall(data)


@contextmanager
def vanishing_queues(broker_url: str, *, times: int) -> Iterator[VanishingQueues]:
    """A proxy that is closed at the end."""
    proxy = VanishingQueues(broker_url, times)
    try:
        yield proxy
    finally:
        proxy.close()
