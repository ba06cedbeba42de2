"""Live events by Socket.IO: who subscribed to a job hears of its changes.

Changes are told by the process that took the worker's report to its own subscribers, and by a channel to the other
processes, which tell theirs. Each process tells a change once, whichever way it heard of it. Without a channel, subscriber
and report have to come to the same process.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright_server.domain.job import Job
from stemwright_server.ports.auth import Principal
from stemwright_worker.errors import InvalidRequest, ServiceError

if TYPE_CHECKING:  # imported with the first connection: the service is up sooner
    import socketio

PATH = "/socket.io/"
_AGAIN = 5.0  # seconds after which a report without news is told all the same
_REMEMBERED = 2000  # jobs whose last event is kept in mind
_MAX_ROOMS = 500  # subscriptions of one connection
_log = structlog.get_logger(__name__)

Event = tuple[str, Mapping[str, Any]]


class EventSource(Protocol):
    """What a dialect says and hears over its namespace."""

    namespace: str

    def caller(self, authorization: str | None) -> Principal:
        """In a thread: it may wait. Raises Unauthenticated, Unavailable."""
        ...

    def job(self, caller: Principal, data: Any) -> Job:
        """The job that a subscription is about. Raises NotFound, InvalidRequest."""
        ...

    def concerns(self, job: Job) -> bool:
        """Whether anybody can have subscribed to it."""
        ...

    def mark(self, job: Job) -> Hashable:
        """What has to be another one for the job to be told of again."""
        ...

    def events(self, job: Job) -> Sequence[Event]:
        """What there is to say of the job as it is now."""
        ...

    def refusal(self, data: Any, error: ServiceError) -> Event:
        """What is said to a subscription that cannot be."""
        ...


class Channel(Protocol):
    """How the processes of the API tell each other."""

    async def send(self, message: str) -> None:
        """Tell all of them; a message may be lost. Never raises for what the network does."""
        ...

    def heard(self) -> AsyncIterator[str]:
        """What any of them sends from now on, this one included; never ends."""
        ...


@dataclass(frozen=True, kw_only=True)
class _News:
    """What there is to say of a job."""

    namespace: str
    job_id: str
    revision: int  # of the job
    mark: str  # see EventSource
    over: bool = False  # nothing comes after it: that an ended job is to be removed is no second end
    events: Sequence[Event]

    @classmethod
    def of(cls, source: EventSource, job: Job) -> _News:
        return cls(
            namespace=source.namespace,
            job_id=job.id,
            revision=job.revision,
            mark=repr(source.mark(job)),
            over=job.state.final,
            events=source.events(job),
        )


class SocketEvents:
    """Implements ports.notifier.Notifier, and is the ASGI app of Socket.IO."""

    def __init__(
        self,
        sources: Sequence[EventSource],
        *,
        origins: Collection[str] = (),
        channel: Channel | None = None,
        make_server: Callable[..., Any] | None = None,
    ) -> None:
        """``sources``: each has a namespace of its own. ``origins``: of pages that may connect beside our own.

        ``channel``: to the other processes of the API; None: there are none.
        ``make_server``: python-socketio's AsyncServer, or what stands for it.
        """
        self._sources = tuple(sources)
        self._origins = frozenset(origins)
        self._channel = channel
        self._make_server = make_server
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: asyncio.Queue[tuple[EventSource, Job]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        # What was told last, by namespace and job: revision, mark, when.
        self._told: OrderedDict[tuple[str, str], tuple[int, str, float]] = OrderedDict()

    @property
    def namespaces(self) -> list[str]:
        """Those that can be connected to; none: there are no live events."""
        return [source.namespace for source in self._sources]

    def attach(self) -> None:
        """Work in the running loop from now on; again, it changes nothing."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._tasks = [self._loop.create_task(self._tell())]
            if self._channel is not None:
                self._tasks.append(self._loop.create_task(self._hear(self._channel)))

    def tell(self, job: Job) -> None:
        """Implements ports.notifier.Notifier: have the loop tell the followers of the job. From any thread."""
        if self._loop is None:
            return  # every report comes by a request, so that there is a loop before there is news
        for source in self._sources:
            if source.concerns(job):
                with suppress(RuntimeError):  # the loop is closed: we are on our way out
                    self._loop.call_soon_threadsafe(self._changed.put_nowait, (source, job))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for Socket.IO's path, as an ASGI app."""
        await asyncio.to_thread(importlib.import_module, "socketio")
        await self._app(scope, receive, send)

    async def _tell(self) -> None:
        while True:
            source, job = await self._changed.get()
            if self._channel is None and not self._is_used:
                continue  # nobody was ever connected here
            try:
                news = _News.of(source, job)
                if self._is_news(news):
                    await self._emit(news, to=job.id)
                    if self._channel is not None:
                        await self._channel.send(json.dumps(asdict(news)))
            except Exception:  # a subscriber may be missed, the next event may not
                _log.exception("event_not_told", job_id=job.id)

    async def _hear(self, channel: Channel) -> None:
        """Tell the subscribers here what other processes say; our own words come back, and are no news."""
        async for message in channel.heard():
            try:
                said = json.loads(message)
                news = _News(**said | {"events": [(name, data) for name, data in said["events"]]})
                if news.namespace in self.namespaces and self._is_news(news):
                    await self._emit(news, to=news.job_id)
            except Exception:  # another version's words, or a stranger's
                _log.exception("event_not_told")

    @property
    def _is_used(self) -> bool:
        """Whether anybody was ever connected here."""
        return "server" in self.__dict__

    def _is_news(self, news: _News) -> bool:
        now, key = time.monotonic(), (news.namespace, news.job_id)
        if (last := self._told.get(key)) is not None:
            revision, told, when = last
            if news.revision <= revision or (news.mark == told and (news.over or now - when < _AGAIN)):
                return False
        self._told[key] = (news.revision, news.mark, now)
        self._told.move_to_end(key)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return True

    def _revision_told(self, source: EventSource, job_id: str) -> int:
        """The latest revision that the room of the job was told of here; -1: none."""
        last = self._told.get((source.namespace, job_id))
        return -1 if last is None else last[0]

    async def _emit(self, news: _News, *, to: str) -> None:
        for name, data in news.events if self._is_used else ():
            await self.server.emit(name, data, to=to, namespace=news.namespace)

    @cached_property
    def _app(self) -> ASGIApp:
        import socketio

        app: ASGIApp = socketio.ASGIApp(self.server, socketio_path=PATH)
        return app

    @cached_property
    def server(self) -> socketio.AsyncServer:
        """Made with the first connection."""
        import socketio

        server = (self._make_server or socketio.AsyncServer)(
            async_mode="asgi",
            namespaces=self.namespaces,
            cors_allowed_origins=self._may_connect,
            max_http_buffer_size=1 << 16,
        )
        for source in self._sources:
            server.on("connect", partial(self._connect, source), namespace=source.namespace)
            server.on("subscribe", partial(self._subscribe, source), namespace=source.namespace)
        return server

    def _may_connect(self, origin: str, environ: Mapping[str, Any]) -> bool:
        same = urlsplit(origin).netloc == environ.get("HTTP_HOST")
        return same or origin in self._origins or "*" in self._origins

    async def _connect(self, source: EventSource, sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        token = auth.get("token") if isinstance(auth, Mapping) else None
        authorization = f"Bearer {token}" if isinstance(token, str) else environ.get("HTTP_AUTHORIZATION")
        try:
            await asyncio.to_thread(source.caller, authorization)
        except ServiceError as error:
            from socketio import exceptions  # its own refusal, not Python's: the words of this one reach the client

            raise exceptions.ConnectionRefusedError(str(error)) from error
        await self.server.save_session(sid, {"authorization": authorization}, namespace=source.namespace)

    async def _subscribe(self, source: EventSource, sid: str, data: Any = None) -> Mapping[str, Any]:
        namespace, revision = source.namespace, -1
        session = await self.server.get_session(sid, namespace=namespace)
        try:
            if len(self.server.rooms(sid, namespace=namespace)) > _MAX_ROOMS:
                raise InvalidRequest(f"At most {_MAX_ROOMS} jobs can be followed by one connection.")
            caller = await asyncio.to_thread(
                source.caller, session["authorization"]
            )  # a token may have ended meanwhile
            job = await asyncio.to_thread(source.job, caller, data)
            await self.server.enter_room(sid, job.id, namespace=namespace)
            told_on_entry = self._revision_told(source, job.id)
            while job.revision != revision:  # what changed while it was told is told again: the last word is right
                revision = job.revision
                told = self._revision_told(source, job.id)
                room_heard_since = told > told_on_entry and told >= revision  # and this subscriber with it
                if not room_heard_since:
                    news = _News.of(source, job)
                    # Said to all who follow, it is news no more: it does not come to this one again.
                    await self._emit(news, to=job.id if self._is_news(news) else sid)
                job = await asyncio.to_thread(source.job, caller, data)
        except ServiceError as error:
            name, said = source.refusal(data, error)
            await self.server.emit(name, said, to=sid, namespace=namespace)
            return {"ok": False, "error": str(error)}
        return {"ok": True}
