"""The contract of the broker, over every adapter, each with the real part behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from backing import Postgres, RabbitMQ, Redis
from kombu import Connection
from loops import in_loop
from service import until
from sqlalchemy import make_url

from stemwright_server.adapters.broker.celery_app import RUN_JOB, queue
from stemwright_server.adapters.broker.celery_broker import CeleryBroker
from stemwright_server.adapters.broker.in_process import InProcessBroker
from stemwright_server.adapters.broker.queue_names import queue_of
from stemwright_server.adapters.jobs.postgres import postgres_engine
from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
from stemwright_server.adapters.wakeups.postgres import PostgresWakeUps
from stemwright_server.ports.jobs import Waiting

URGENT = Waiting(job_id="urgent", service="gain", priority=9)
PATIENT = Waiting(job_id="patient", service="gain", priority=0)
SECONDS = 60.0  # for what comes by way of another process; one that waits for nothing is far quicker


class World:
    """A broker, and what its workers hear."""

    def __init__(
        self, broker: InProcessBroker, wakeups: InProcessWakeUps, part: Redis | RabbitMQ | None = None
    ) -> None:
        self.broker = broker
        self._wakeups = wakeups
        self.part = part

    def wakes(self, act: Callable[[], None], seconds: float = SECONDS) -> bool:
        """Whether ``act`` wakes a worker that waits at the API."""

        async def waits() -> bool:
            with self._wakeups.listen() as listener:
                began = time.monotonic()
                await asyncio.to_thread(act)
                await listener.wait(seconds)
                return time.monotonic() - began < seconds

        return in_loop(waits())

    def counts(self, *waiting: Waiting) -> list[int]:
        """How many messages lie in the queue of each; as many as were asked about where there are no messages."""
        if self.part is None:
            return [1] * len(waiting)
        with Connection(self.part.url) as connection:
            bound = [queue(queue_of(each))(connection.default_channel) for each in waiting]
            for each in bound:
                each.declare()
            return [each.queue_declare()[1] for each in bound]

    def hears(self, waiting: Waiting) -> None:
        """AssertionError unless the next message of its queue is a Celery task about this job."""
        if self.part is None:
            return
        with Connection(self.part.url) as connection:
            message = connection.SimpleQueue(queue(queue_of(waiting))).get(timeout=SECONDS)
            assert message.headers["task"] == RUN_JOB
            assert message.decode()[0] == [waiting.job_id]
            message.ack()


@pytest.fixture(params=["embedded", "embedded over PostgreSQL", "Celery over Redis", "Celery over RabbitMQ"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "embedded":
        wakeups = InProcessWakeUps()
        yield World(InProcessBroker(wakeups), wakeups)
    elif request.param == "embedded over PostgreSQL":
        postgres: Postgres = request.getfixturevalue("postgres")
        wakeups = PostgresWakeUps(postgres_engine(make_url(postgres.database()), pool=3))
        yield World(InProcessBroker(wakeups), wakeups)
        wakeups.close()
    else:
        part: Redis | RabbitMQ = request.getfixturevalue(request.param.split()[-1].lower())
        wakeups = InProcessWakeUps()
        broker = CeleryBroker(wakeups, part.url, job_seconds=60.0, stop_seconds=1.0)
        yield World(broker, wakeups, part)
        broker.close()


def test_a_ring_wakes_who_waits_at_the_api_and_at_the_broker(world: World) -> None:
    assert world.wakes(lambda: world.broker.wake(URGENT))
    world.hears(URGENT)
    assert world.wakes(lambda: world.broker.wake(PATIENT))
    world.hears(PATIENT)


def test_a_reminder_makes_up_for_what_was_lost_and_adds_nothing_to_what_is_there(world: World) -> None:
    waiting = (URGENT, PATIENT)
    for each in waiting:
        world.broker.wake(each)
    _until_counted(world, waiting, 1)
    if world.part is not None:
        world.part.lose_everything()
    assert world.wakes(lambda: world.broker.remind(waiting))
    _until_counted(world, waiting, 1)
    world.broker.remind(waiting)
    last = Waiting(job_id="last", service="gain", priority=5)
    world.broker.wake(last)  # came after the reminder was written, and may be sent with it
    _until_counted(world, (last,), 1)
    assert world.counts(*waiting) == [1, 1]


def test_nothing_waits_any_more_and_no_message_is_left(world: World) -> None:
    for _ in range(3):
        world.broker.wake(URGENT)
    if world.part is not None:
        until(lambda: world.counts(URGENT) == [3], seconds=SECONDS, what="three messages")
        world.broker.remind(())
        until(lambda: world.counts(URGENT) == [0], seconds=SECONDS, what="none")
    assert not world.wakes(lambda: world.broker.remind(()), seconds=0.3)


def test_a_broker_that_is_away_holds_nobody_up_and_hears_when_it_is_back(world: World) -> None:
    if world.part is not None:
        world.part.stop()
    try:
        began = time.monotonic()
        for _ in range(100):
            world.broker.wake(URGENT)
        assert world.wakes(lambda: world.broker.remind((URGENT,)))
        assert time.monotonic() - began < SECONDS / 2
    finally:
        if world.part is not None:
            world.part.start()
            world.part.lose_everything()
    if world.part is None:
        return

    def reminded() -> bool:
        """As each sweep does."""
        world.broker.remind((URGENT,))
        return world.counts(URGENT) == [1]

    until(reminded, seconds=4 * SECONDS, what="the message")


def test_after_the_end_nobody_is_woken_and_nothing_is_raised(world: World) -> None:
    world.broker.close()
    world.broker.wake(URGENT)
    world.broker.remind((URGENT,))
    world.broker.close()
    if world.part is not None:
        assert world.counts(URGENT) == [0]


def _until_counted(world: World, waiting: Sequence[Waiting], count: int) -> None:
    until(lambda: world.counts(*waiting) == [count] * len(waiting), seconds=SECONDS, what=f"{count} message each")
