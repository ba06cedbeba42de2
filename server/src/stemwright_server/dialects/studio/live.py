"""What is new of the jobs of a file: as server-sent events, one file each, and over a WebSocket, any number of files."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fastapi import WebSocket
from fastapi.concurrency import run_in_threadpool

from stemwright_server.dialects.studio.resuming import Told
from stemwright_server.dialects.studio.wire import JobView, SongView
from stemwright_server.domain.job import Artifact, Job, JobState
from stemwright_server.domain.song import Song
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.wakeups import WakeUps, of_track
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.status import track_status
from stemwright_worker.errors import InvalidRequest, ServiceError, TooManyRequests

LOOK_AGAIN = 10.0  # seconds; a wake-up can be lost, this cannot
LONGEST = 3600.0  # seconds that a connection lasts which began with a ticket: nobody can take the ticket back
_MOST = 200  # connections of one subject to this process
_FOLLOWED = 200  # files that one WebSocket follows
_LONGEST_MESSAGE = 4096  # characters
_RATE = 20.0  # messages a second that a client may send, and ten times as many at once
_EVENT = {JobState.QUEUED: "progress", JobState.RUNNING: "progress"}  # the final states are their own names
_NEW_TICKET, _NO_BYTES, _POLICY, _TOO_BIG, _RESTART = 4401, 1003, 1008, 1009, 1012  # close codes: RFC 6455, 7.4


@dataclass(frozen=True, kw_only=True)
class Change:
    """A job as it is now, which the listener does not know yet."""

    event: str
    id: str  # of the event: give it back as Last-Event-ID to hear what changed since
    job: JobView


class Changes:
    """The changes of one file's jobs for one listener."""

    def __init__(
        self, deps: Deps, caller: Principal, file_id: str, link: Callable[[Artifact], str], last_event_id: str = ""
    ) -> None:
        """``link`` makes download URLs; ``last_event_id``: of the last event that the listener got before."""
        self._deps, self._caller, self._file_id, self._link = deps, caller, file_id, link
        self._told = Told(last_event_id)

    def news(self) -> list[Change]:
        """What changed since the last call. Raises NotFound."""
        jobs = track_status(self._deps, self._caller, self._file_id).jobs
        return [self._change(job) for job in jobs if self._told.is_news(job)]

    def _change(self, job: Job) -> Change:
        event = _EVENT.get(job.state, job.state.value)
        return Change(event=event, id=self._told.note(job), job=JobView.of(job, self._link))


class Places:
    """How many connections each subject has to this process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def place(self, caller: Principal) -> Iterator[None]:
        """One of them, as long as the context lasts. Raises TooManyRequests."""
        with self._lock:
            if self._taken[caller.subject] >= _MOST:
                raise TooManyRequests(
                    f"You have {_MOST} connections for events; close some.", code="too_many_streams", retry_after=10
                )
            self._taken[caller.subject] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[caller.subject] -= 1
                self._taken += Counter()  # forgets those who have none


class _Refused(Exception):
    """The client did what it may not: the connection is closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Socket:
    """An accepted WebSocket: it is told which files to follow, and tells what becomes of them."""

    def __init__(
        self,
        websocket: WebSocket,
        deps: Deps,
        wakeups: WakeUps,
        caller: Principal,
        link: Callable[[Artifact], str],
        *,
        seconds: float | None,
    ) -> None:
        """``seconds``: after which the client has to connect again."""
        self._websocket, self._deps, self._wakeups, self._caller, self._link = websocket, deps, wakeups, caller, link
        self._seconds = seconds
        self._following: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self._allowance = (10 * _RATE, time.monotonic())

    async def run(self) -> None:
        """Serve it until it closes."""
        try:
            async with asyncio.timeout(self._seconds):
                while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
                    await self._hear(message.get("text"))
        except TimeoutError:
            await self._close(_NEW_TICKET, "Connect again, with a new ticket.")
        except _Refused as refused:
            await self._close(refused.code, str(refused))
        finally:
            for task in self._following.values():
                task.cancel()
            await asyncio.gather(*self._following.values(), return_exceptions=True)

    async def _hear(self, message: str | None) -> None:
        if message is None:
            raise _Refused(_NO_BYTES, "Send text.")
        if len(message) > _LONGEST_MESSAGE:
            raise _Refused(_TOO_BIG, f"A message has at most {_LONGEST_MESSAGE} characters.")
        if not self._allowed():
            raise _Refused(_POLICY, f"At most {_RATE:.0f} messages a second.")
        file_id = ""
        try:
            said = _read(message)
            if (file_id := said.get("unfollow", "")) and (task := self._following.pop(file_id, None)):
                task.cancel()
            if file_id := said.get("follow", ""):
                self._follow(file_id, said.get("last_event_id", ""))
        except ServiceError as error:
            await self._refuse(file_id, error)

    def _allowed(self) -> bool:
        left, when = self._allowance
        now = time.monotonic()
        left = min(10 * _RATE, left + (now - when) * _RATE) - 1
        self._allowance = (left, now)
        return left >= 0

    def _follow(self, file_id: str, last_event_id: str) -> None:
        if (task := self._following.get(file_id)) is not None and not task.done():
            return
        self._following = {name: each for name, each in self._following.items() if not each.done()}
        if len(self._following) >= _FOLLOWED:
            raise TooManyRequests(
                f"At most {_FOLLOWED} files can be followed by one connection.", code="too_many_followed"
            )
        changes = Changes(self._deps, self._caller, file_id, self._link, last_event_id)
        self._following[file_id] = asyncio.create_task(self._tell(file_id, changes))

    async def _tell(self, file_id: str, changes: Changes) -> None:
        song: Any = None
        with self._wakeups.listen(of_track(file_id)) as listener:
            while not listener.closed:
                try:
                    now, news = await run_in_threadpool(lambda: (self._song(file_id), changes.news()))
                except ServiceError as error:
                    await self._refuse(file_id, error)
                    return
                if now != song:
                    song = now
                    await self._send(type="song", file_id=file_id, data=song)
                for change in news:
                    data = change.job.model_dump(mode="json")
                    await self._send(type=change.event, file_id=file_id, id=change.id, data=data)
                await listener.wait(LOOK_AGAIN)
        await self._close(_RESTART, "The service stops; connect again.")

    def _song(self, file_id: str) -> Any:
        track = track_status(self._deps, self._caller, file_id).track
        song = Song(track=track, latest=tuple(self._deps.repository.latest_of(file_id)))
        return SongView.of(song).model_dump(mode="json")

    async def _refuse(self, file_id: str, error: ServiceError) -> None:
        await self._send(type="refused", file_id=file_id, code=error.code, message=str(error))

    async def _send(self, **message: Any) -> None:
        async with self._sending:  # in one piece, and no more than the client reads
            await self._websocket.send_text(json.dumps(message, ensure_ascii=False))

    async def _close(self, code: int, reason: str) -> None:
        async with self._sending:
            await self._websocket.close(code, reason)


def _read(message: str) -> dict[str, str]:
    """A message: an object of texts. Raises InvalidRequest."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        said = None
    known = ("follow", "unfollow", "last_event_id")
    if isinstance(said, dict) and said and all(each in known and isinstance(said[each], str) for each in said):
        return said
    raise InvalidRequest('Send {"follow": "<file_id>"}, with "last_event_id" or without, or {"unfollow": "<file_id>"}.')
