"""Connections that take no more than a caller of ours needs, and give nobody a place for nothing.

What comes before the first route sees a request, and what it can cost: uvicorn's parser has no limits of its own.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 1 << 16
"""Of a request's line and headers; of its trailers too, and of what stands between two pieces of a body."""
HEADERS = 100
"""With the trailers."""
BODY_RATE = 500
"""Bytes a second that a body has to bring on average while we wait for it."""
PIPELINED = 16
"""Requests that a connection may send before the first of them is answered."""
_GRACE = 10.0  # seconds that one who is to hang up gets to read the last words
_SLOW = 5.0  # seconds without reading, after which a connection may have to give way to others
_MOST = 4096  # connections
_KEPT_FREE = 64  # descriptors, for files and for what we connect to
_WORDS = {
    408: "The request came too slowly.",
    414: f"The URL is over the {HEAD_BYTES} bytes allowed.",
    431: f"There are more than {HEADERS} headers, or over {HEAD_BYTES} bytes of them.",
    503: "Too many connections; try again.",
}
_log = structlog.get_logger(__name__)


def most_connections() -> int:
    """How many this process takes at once: by the descriptors that it may have, three quarters of which are for them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(1, min(_MOST, (soft - _KEPT_FREE) * 3 // 4))


class Connection(HttpToolsProtocol):
    """Uvicorn's connection with limits on headers, trailers and URL, on time, and on the number of connections.

    With too many connections the one goes that has waited longest without a request, or else one that has not read its
    answer for a while; only where every one is at work is a new one refused.
    """

    most = _MOST
    """Connections at once; whoever serves sets it."""
    head_seconds = 20.0
    """From the first byte of a request, or the connection's begin, to the end of its headers."""
    body_seconds = 60.0
    """Over which the rate of a body is measured."""
    write_seconds = 60.0
    """For which an answer is offered to somebody who reads nothing of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._head = True  # whether a request's line and headers are due
        self._since_body = 0  # bytes that came and were no body
        self._body = 0  # bytes of the body since the timer began
        self._count = self._size = 0  # of headers and trailers
        self._refusal = 0
        self._stall: asyncio.TimerHandle | None = None  # runs while something waits to be read on the other side
        self._unread = 0  # bytes that did, when that was looked at last
        self.began = self.loop.time()
        self.stalled_at: float | None = None
        """Since when nothing has been read of what waits, by the loop's clock; None: it is read, or nothing waits."""

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way: none has come whole yet, or the last one was answered and read."""
        answered = self.cycle is None or (self.cycle.response_complete and not self.pipeline)
        return self.transport.is_closing() or (answered and not self.transport.get_write_buffer_size())

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take its place among the connections, if there is one."""
        super().connection_made(transport)
        if len(self.connections) > self.most and not self._make_room():
            self._refuse(503)
            return
        self._wait(self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._wait(None)
        if self._stall is not None:
            self._stall.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as it is within the limits."""
        if self.transport.is_closing():
            return
        if self._head and self._timer is None and not self._is_answering:  # the first byte of another request
            self._wait(self.head_seconds)
        self._since_body += len(data)
        super().data_received(data)
        # What the parser has not told of yet: a header, a trailer or an extension of a chunk that does not end.
        if self._since_body > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431)

    def on_url(self, url: bytes) -> None:
        """Uvicorn's callback."""
        if len(self.url) + len(url) > HEAD_BYTES:
            self._fail(414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Uvicorn's callback: of a header or a trailer."""
        self._count += 1
        self._size += len(name) + len(value)
        if self._count > HEADERS or self._size > HEAD_BYTES:
            self._fail(431)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Uvicorn's callback."""
        if len(self.pipeline) >= PIPELINED:
            self.transport.abort()  # the answer to another request is under way: no word of ours fits in
            raise ValueError("too many requests at once")
        self._head, self._since_body, self._body = False, 0, 0
        self._wait(self.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Uvicorn's callback."""
        self._since_body = 0
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Uvicorn's callback: the request has come whole, and its answer may take as long as it takes."""
        self._head, self._since_body, self._count, self._size = True, 0, 0, 0
        self._wait(None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Uvicorn's callback: an answer is whole, though not read yet."""
        super().on_response_complete()
        self._watch_reading()
        if self._head and self._since_body and not self._is_answering:  # of the next request a part has come already
            self._wait(self.head_seconds)

    def pause_writing(self) -> None:
        """The other side reads more slowly than we write."""
        super().pause_writing()
        self._watch_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Uvicorn's callback: nothing more was asked."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_GRACE, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the protocol of websockets, which has limits of its own; half of all may be such."""
        sockets = sum(not isinstance(each, Connection) for each in self.connections)
        if sockets >= self.most // 2:
            self._refuse(503)
            return
        self._wait(None)
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, or was too much."""
        if self.transport.is_closing():
            return
        if self._is_answering:
            self._hang_up()
        elif self._refusal:
            self._refuse(self._refusal)
        else:
            super().send_400_response(msg)

    def _fail(self, status: int) -> None:
        """Out of a callback of the parser, which then stops."""
        self._refusal = status
        raise ValueError(_WORDS[status])

    def _refuse(self, status: int) -> None:
        """Say why, and close: nothing that comes is read any more."""
        _log.warning("connection_refused", status=status, client=self.client and self.client[0])
        self._wait(None)
        if self._is_answering:  # in the middle of an answer there is no place for another one
            self._hang_up()
            return
        words = _WORDS[status].encode()
        phrase = HTTPStatus(status).phrase.encode()
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%s" % (status, phrase, len(words), words)
        )
        self.transport.close()
        self.loop.call_later(_GRACE, self.transport.abort)  # closing waits until all is read
        self._tell_app()

    def _hang_up(self) -> None:
        self.transport.abort()
        self._tell_app()

    def _tell_app(self) -> None:
        """Whoever works on a request of this connection need not go on."""
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    @property
    def _is_answering(self) -> bool:
        """Whether an answer has begun and is not at its end, or one is due before whatever comes in now."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        return bool(self.pipeline) or self._head or self.cycle.response_started

    def _watch_reading(self) -> None:
        """Begin to look whether what waits is read."""
        if self._stall is None and self.transport.get_write_buffer_size():
            self._unread, self.stalled_at = self.transport.get_write_buffer_size(), self.loop.time()
            self._stall = self.loop.call_later(min(1.0, self.write_seconds), self._look_at_reading)

    def _look_at_reading(self) -> None:
        self._stall = None
        waits, now = self.transport.get_write_buffer_size(), self.loop.time()
        if not waits:
            self.stalled_at = None
            return
        if waits != self._unread or self.stalled_at is None:  # more than was there has come, or some of it went
            self._unread, self.stalled_at = waits, now
        if now - self.stalled_at >= self.write_seconds:
            _log.warning("connection_stalled", client=self.client and self.client[0])
            self._hang_up()
            return
        self._stall = self.loop.call_later(min(1.0, self.write_seconds), self._look_at_reading)

    def _make_room(self) -> bool:
        """End the connection that has waited longest for a request, or reads nothing, and is not this one."""
        others = [each for each in self.connections if isinstance(each, Connection) and each is not self]
        since = self.loop.time() - _SLOW
        waiting = [each for each in others if each.is_idle] or [
            each for each in others if each.stalled_at is not None and each.stalled_at < since
        ]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda each: each.began)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _wait(self, seconds: float | None) -> None:
        """Begin to wait for the end of what is due, or for nothing."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._head:  # nothing was asked that could be answered
            self.transport.abort()
        elif self._body >= BODY_RATE * self.body_seconds or self.flow.read_paused:  # then it is we who are slow
            self._body = 0
            self._wait(self.body_seconds)
        elif not self.cycle.response_started:
            self._refuse(408)
        else:
            self._hang_up()
