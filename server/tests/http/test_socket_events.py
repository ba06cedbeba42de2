"""What a subscriber of Socket.IO is told while the job that it asks about is changing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest
from backing import Redis
from jobs import job
from loops import in_loop

from stemwright_server.adapters.live.redis_channel import RedisChannel
from stemwright_server.domain.job import Job, JobState
from stemwright_server.http.socketio import Event, SocketEvents
from stemwright_server.ports.auth import Principal
from stemwright_worker.errors import ServiceError

JOB = job()
LAST = job("last")  # told when all else is: changes are told in their order


class EventSource:
    """Says the revision; each look at the job is one of the given."""

    namespace = "/progress"

    def __init__(self, *looks: Callable[[], Job]) -> None:
        self._looks: Iterator[Callable[[], Job]] = iter(looks)

    def caller(self, authorization: str | None) -> Principal:
        return Principal(subject="o")

    def job(self, caller: Principal, data: Any) -> Job:
        return next(self._looks)()

    def concerns(self, job: Job) -> bool:
        return True

    def mark(self, job: Job) -> Hashable:
        return job.state if job.state.final else job.revision

    def events(self, job: Job) -> Sequence[Event]:
        return [("progress", {"revision": job.revision})]

    def refusal(self, data: Any, error: ServiceError) -> Event:
        return ("error", {})


class Server:
    """Of python-socketio what is needed here."""

    def __init__(self) -> None:
        self.room: set[str] = set()
        self.handlers: dict[str, Callable[..., Any]] = {}
        self.quiet = asyncio.Event()
        self.told: list[tuple[str, int]] = []  # who, which revision
        self.rooms_told: set[str] = set()

    def on(self, event: str, handler: Callable[..., Any], namespace: str) -> None:
        self.handlers[event] = handler

    def rooms(self, sid: str, namespace: str) -> list[str]:
        return []

    async def get_session(self, sid: str, namespace: str) -> dict[str, Any]:
        return {"authorization": None}

    async def enter_room(self, sid: str, room: str, namespace: str) -> None:
        self.room.add(sid)

    async def emit(self, name: str, data: dict[str, int], to: str, namespace: str) -> None:
        self.told += [(sid, data["revision"]) for sid in sorted(self.room) if to in (sid, JOB.id)]
        self.rooms_told.add(to)
        if to == LAST.id:
            self.quiet.set()


def at(revision: int) -> Job:
    return replace(JOB, revision=revision)


def subscribe(*looks: Job | Callable[[SocketEvents], Job], then: Sequence[Job] = ()) -> list[tuple[str, int]]:
    """Who is told of which revision: "first" has followed the job for long when "second" subscribes."""
    server = Server()

    async def all_of_it() -> None:
        events: SocketEvents
        given = [lambda each=each: each if isinstance(each, Job) else each(events) for each in looks]
        source = cast(Any, EventSource(*given))
        events = SocketEvents([source], make_server=lambda **_: server)
        assert events.server is cast(Any, server)  # as when somebody is connected
        events.attach()
        server.room.add("first")
        assert await server.handlers["subscribe"]("second", {"job_id": JOB.id}) == {"ok": True}
        for each in then:
            events.tell(each)
        events.tell(LAST)
        await server.quiet.wait()

    in_loop(all_of_it())
    return server.told


def test_what_a_subscription_said_does_not_come_again_when_it_is_told_to_all() -> None:
    """The store has a change before anybody is told of it."""
    told = subscribe(at(5), at(5), then=[at(4), at(5), at(6)])
    assert told == [("first", 5), ("second", 5), ("first", 6), ("second", 6)]


def test_what_was_told_to_all_while_a_subscription_is_answered_is_not_said_by_it_again() -> None:
    def meanwhile(events: SocketEvents) -> Job:
        events.tell(at(6))
        events.tell(at(7))
        return at(6)  # looked up before the last

    told = subscribe(at(5), meanwhile, at(7), at(7))
    assert [revision for who, revision in told if who == "second"] == [5, 6, 7]
    assert [revision for who, revision in told if who == "first"] == [5, 6, 7]


def test_the_end_is_told_once_although_the_job_changes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a download makes it go sooner."""
    clock = SimpleNamespace(monotonic=count(step=60).__next__)  # long after
    monkeypatch.setattr("stemwright_server.http.socketio.time", clock)
    over = [replace(at(revision), state=JobState.COMPLETED) for revision in (6, 7)]
    assert subscribe(at(5), at(5), then=over) == [("first", 5), ("second", 5), ("first", 6), ("second", 6)]


def test_what_was_told_before_the_subscription_is_said_to_it_alone() -> None:
    def before(events: SocketEvents) -> Job:
        events.tell(at(5))
        return at(5)

    assert subscribe(before, at(5), at(5)) == [("first", 5), ("second", 5)]


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited in vain")


def heard_at_two_processes(redis_url: str, *told: tuple[int, Job]) -> list[list[int]]:
    """What a follower at each of two processes of the API hears, where each change is told to one of them."""
    servers = [Server(), Server()]

    async def all_of_it() -> None:
        processes = []
        for server in servers:
            source = cast(Any, EventSource(lambda: at(0), lambda: at(0)))
            made = partial(lambda server, **_: server, server)
            events = SocketEvents([source], channel=RedisChannel(redis_url), make_server=made)
            assert events.server is cast(Any, server)
            events.attach()
            processes.append(events)

        async def everybody_has_heard(word: str) -> None:
            """Of both: each process tells until the other one has heard it."""
            for number, (events, other) in enumerate(zip(processes, reversed(servers), strict=True)):
                revisions, name = count(), f"{word} {number}"
                await until(partial(heard, events, other, revisions, name))

        def heard(events: SocketEvents, other: Server, revisions: Iterator[int], name: str) -> bool:
            events.tell(job(name, revision=next(revisions)))
            return name in other.rooms_told

        await everybody_has_heard("ready")
        for server in servers:
            await server.handlers["subscribe"]("follower", {"job_id": JOB.id})
        for number, each in told:
            processes[number].tell(each)
        await everybody_has_heard("end")

    in_loop(all_of_it())
    return [[revision for who, revision in server.told if who == "follower"] for server in servers]


def test_with_several_processes_everybody_hears_of_each_change_once_and_in_order(redis: Redis) -> None:
    told = [(0, at(1)), (0, at(2)), (1, at(3)), (1, at(4))]
    for heard in heard_at_two_processes(redis.url, *told):
        assert heard[0] == 0  # what the subscription said
        assert heard == sorted(set(heard))
        assert heard[-1] == 4


def test_a_change_that_two_processes_were_told_of_comes_once(redis: Redis) -> None:
    assert heard_at_two_processes(redis.url, (0, at(1)), (1, at(1))) == [[0, 1], [0, 1]]


def test_without_its_redis_a_process_tells_its_own_subscribers() -> None:
    server = Server()

    async def all_of_it() -> None:
        source = cast(Any, EventSource(lambda: at(0), lambda: at(0)))
        channel = RedisChannel("redis://127.0.0.1:1/0")
        events = SocketEvents([source], channel=channel, make_server=lambda **_: server)
        assert events.server is cast(Any, server)
        events.attach()
        await server.handlers["subscribe"]("follower", {"job_id": JOB.id})
        events.tell(at(1))
        events.tell(LAST)
        await server.quiet.wait()

    in_loop(all_of_it())
    assert server.told == [("follower", 0), ("follower", 1)]
