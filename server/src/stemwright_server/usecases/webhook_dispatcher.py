"""The threads that empty the outbox."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Thread

import structlog

from stemwright_server.domain.delivery import Delivery
from stemwright_server.domain.job import Job
from stemwright_server.usecases.outbox import Outbox
from stemwright_worker.errors import ServiceError

_LOOK_AGAIN = 1.0  # seconds; webhooks fall due, and other processes do not say here that their jobs ended
_log = structlog.get_logger(__name__)


class WebhookDispatcher:
    """Leases as many webhooks as there are free hands, and sends them. Also a notifier: the end of a job wakes it."""

    def __init__(self, outbox: Outbox, *, hands: int) -> None:
        self._outbox = outbox
        self._hands = hands
        self._changed = Condition()
        self._due = False
        self._busy = 0
        self._stopping = False
        self._thread = Thread(target=self._run, name="webhook-dispatcher", daemon=True)
        self._pool = ThreadPoolExecutor(hands, thread_name_prefix="webhook")

    def tell(self, job: Job) -> None:
        """This job has changed."""
        if job.state.final and job.options.webhook is not None:
            with self._changed:
                self._due = True
                self._changed.notify_all()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Take nothing more, and wait that long for what is under way; what is not done by then is sent again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._busy == 0, seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or (self._due and self._busy < self._hands), _LOOK_AGAIN)
                if self._stopping:
                    return
                free = self._hands - self._busy
                self._due = False
            for delivery in self._lease(free) if free else ():
                with self._changed:
                    self._busy += 1
                self._pool.submit(self._outbox.deliver, delivery).add_done_callback(self._done)

    def _lease(self, free: int) -> list[Delivery]:
        try:
            found = list(self._outbox.lease(free))
        except Exception as error:  # whatever it was, the next round may succeed, and without rounds nothing is told
            _log.warning("outbox_failed", error=str(error), exc_info=not isinstance(error, ServiceError))
            time.sleep(_LOOK_AGAIN)
            return []
        return found

    def _done(self, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:  # its lease will end, and it is sent again
            _log.warning("webhook_not_settled", error=str(error), exc_info=not isinstance(error, ServiceError))
        with self._changed:
            self._busy -= 1
            self._due = True  # there may be more than there were hands
            self._changed.notify_all()
