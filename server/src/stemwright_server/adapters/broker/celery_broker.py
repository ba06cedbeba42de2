"""Wakes workers elsewhere: a message in RabbitMQ or Redis for each job that waits, in Celery's own format.

A lost message loses no job, and a message that comes twice does no job twice: a worker that gets one asks the API for work.
So a thread sends them, errors are only logged, and each sweep compares the queues with the jobs that wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from threading import Condition, Thread
from typing import Any

import structlog

from stemwright_server.adapters.broker.in_process import InProcessBroker
from stemwright_server.adapters.broker.queue_names import queue_of
from stemwright_server.ports.jobs import Waiting
from stemwright_server.ports.wakeups import WakeUps

_MOST = 1000  # messages that wait to be sent; one that is dropped is sent by the next sweep
_PAUSE = 2.0  # seconds after an error
_log = structlog.get_logger(__name__)


class CeleryBroker(InProcessBroker):
    """Implements ports.broker.Broker. Workers that ask the API itself hear it as well."""

    def __init__(self, wakeups: WakeUps, broker_url: str, *, job_seconds: float, stop_seconds: float) -> None:
        super().__init__(wakeups)
        self._url = broker_url
        self._job_seconds = job_seconds
        self._stop_seconds = stop_seconds
        self._waiting: deque[Waiting] = deque(maxlen=_MOST)
        self._reminder: Sequence[Waiting] | None = None
        self._seen: set[str] = set()  # queues that a message was sent to
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._run, name="celery-broker", daemon=True)
        self._thread.start()

    def wake(self, waiting: Waiting) -> None:
        super().wake(waiting)
        with self._changed:
            self._waiting.append(waiting)
            self._changed.notify()

    def remind(self, waiting: Sequence[Waiting]) -> None:
        super().remind(waiting)
        with self._changed:
            self._reminder = waiting
            self._changed.notify()

    def close(self) -> None:
        """Send nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._closed:
            try:
                self._serve()
            except Exception as error:  # a client library's own kinds: the broker is away, or is something else
                _log.warning("broker_unreachable", error=f"{type(error).__name__}: {error}".splitlines()[0][:300])
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, _PAUSE)

    def _serve(self) -> None:
        """Over one connection, until it breaks."""
        work = self._next()
        if work is None:
            return
        from stemwright_server.adapters.broker.celery_app import celery_app  # a third of a second, not at the start
        from stemwright_server.adapters.broker.quorum_repair import repair_quorum_queues

        app = celery_app(self._url, job_seconds=self._job_seconds, stop_seconds=self._stop_seconds)
        repair_quorum_queues(self._url, self._seen)
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=4.0, interval_start=0.1)
            with app.amqp.Producer(connection, auto_declare=False) as producer:
                while work is not None:
                    messages, reminder = work
                    if reminder is not None:  # first: it knows nothing of jobs that came after it was written
                        self._top_up(app, producer, reminder)
                        reminded = {each.job_id for each in reminder}
                        messages = [each for each in messages if each.job_id not in reminded]
                    self._send(app, producer, messages)
                    work = self._next(connection)

    def _next(self, connection: Any = None) -> tuple[list[Waiting], Sequence[Waiting] | None] | None:
        """What to do next; None at the end. An idle connection keeps its heartbeat."""
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting or self._reminder is not None, 5.0)
                messages, reminder = list(self._waiting), self._reminder
                self._waiting.clear()
                self._reminder = None
            if messages or reminder or (reminder is not None and self._seen):
                return messages, reminder
            if connection is not None and connection.supports_heartbeats:
                connection.heartbeat_check()
        return None

    def _send(self, app: Any, producer: Any, messages: Sequence[Waiting]) -> None:
        from stemwright_server.adapters.broker.celery_app import RUN_JOB, queue

        for waiting in messages:
            name = queue_of(waiting)
            if name not in self._seen:
                queue(name)(producer.channel).declare()
                self._seen.add(name)
            app.send_task(
                RUN_JOB, args=[waiting.job_id], queue=queue(name), producer=producer, retry=False, ignore_result=True
            )

    def _top_up(self, app: Any, producer: Any, waiting: Sequence[Waiting]) -> None:
        """Make each queue hold about as many messages as jobs wait for it."""
        from stemwright_server.adapters.broker.celery_app import queue

        wanted: dict[str, list[Waiting]] = {name: [] for name in self._seen}
        for each in waiting:
            wanted.setdefault(queue_of(each), []).append(each)
        for name, jobs in wanted.items():
            bound = queue(name)(producer.channel)
            bound.declare()  # it may have been removed with all that the broker held
            self._seen.add(name)
            ready = bound.queue_declare()[1]
            if ready > 2 * len(jobs) + (20 if jobs else 0):  # others did the work: workers of `serve`, for example
                bound.purge()
                ready = 0
            missing = jobs[ready:] if ready < len(jobs) else []
            if missing:
                _log.info("rung_again", queue=name, messages=len(missing), ready=ready, at=time.time())
            self._send(app, producer, missing)
