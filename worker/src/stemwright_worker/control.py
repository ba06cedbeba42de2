"""The thread beside an attempt: renews its lease, carries its progress, and brings the word to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Event, Thread

import structlog

from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.tasks import Failed, GpuMemory, Progressed, Publishing, Report, ReportAnswer, Task
from stemwright_worker.errors import ServiceError
from stemwright_worker.process.watchdog import Watchdog
from stemwright_worker.service import Stopped

_WATCHDOG_SLACK = 20.0  # seconds: longer than any one report may take
_MOST_STAGES = 100  # kept of an attempt: a model that goes to and fro does not fill the memory
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often and how long, in seconds."""

    heartbeat: float = 15.0  # longest silence
    least: float = 0.25  # shortest time between two reports
    grace: float = 10.0  # what a model gets to stop before its process is ended


class Control:
    """Follows one attempt. ``with Control(...) as control`` runs the thread."""

    def __init__(
        self,
        task: Task,
        send: Callable[[Report], ReportAnswer],
        *,
        leaving: Event,
        pace: Pace,
        watchdog: Watchdog | None = None,
        gpus: Callable[[], tuple[GpuMemory, ...]] = tuple,
        end_process: Callable[[int], None] = os._exit,
    ) -> None:
        """``leaving`` is set when the whole worker is to go; ``end_process`` is what ends a model that will not stop.

        ``watchdog``: for when not even the thread here gets to run. ``gpus``: what to tell of them with each report.
        """
        self._task = task
        self._send = send
        self._leaving = leaving
        self._pace = pace
        self._silence = min(pace.heartbeat, task.lease_seconds / 3)  # two reports may be lost and the lease still holds
        self._watchdog = watchdog or Watchdog(None)
        self._gpus = gpus
        self._end_process = end_process
        self._changed = Condition()
        self._progress = Progress(done=0, total=0, stage="starting")
        self._fresh = True  # the first report goes out at once
        self._stage_began = time.monotonic()
        self._stage_done = 0  # segments that were done when it began
        self._stages: list[tuple[str, float, float]] = []  # that are over: name, begin and end of the monotonic clock
        self._stopped: str | None = None
        self._held_until = time.monotonic() + task.lease_seconds  # by our own clock, which goes on while we are stopped
        self._closed = False
        self._thread = Thread(target=self._follow, name="lease", daemon=True)

    def __enter__(self) -> Control:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the thread; nothing is sent afterwards."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._watchdog.disarm()

    @property
    def stopped(self) -> str | None:
        """Why the attempt was told to stop, if it was."""
        return "leaving" if self._stopped is None and self._leaving.is_set() else self._stopped

    def check(self) -> None:
        """Raise Stopped if the attempt is to end."""
        if self.stopped is not None:
            raise Stopped(self.stopped)

    def hold(self) -> None:
        """Raise Stopped if the attempt is to end, or its lease may be over without anybody having said so.

        A process that was halted looks here before it does what only the holder of the lease may do.
        """
        self.check()
        if time.monotonic() >= self._held_until:
            self._stopped = "lease lost"
            raise Stopped(self._stopped)

    def ask_leave(self) -> None:
        """Ask whether this attempt may write where only one may; raises Stopped if it may not."""
        ask = Publishing(job_id=self._task.job_id, attempt=self._task.attempt)
        while True:
            self.hold()
            began = time.monotonic()
            try:
                answer = self._send(ask)
            except ServiceError as error:
                _log.warning("leave_not_answered", error=str(error))
                self._pause(4 * self._pace.least)
                continue
            if not answer.accepted:
                self._stopped = "stopped by the API"
                raise Stopped(self._stopped)
            self._held_until = began + self._task.lease_seconds
            return

    def on_progress(self, progress: Progress) -> None:
        """What a model calls; raises Stopped. The time left is measured here, by the pace of the stage so far."""
        now = time.monotonic()
        with self._changed:
            if progress.stage != self._progress.stage:
                self._stages.append((self._progress.stage, self._stage_began, now))
                del self._stages[:-_MOST_STAGES]
                self._stage_began, self._stage_done = now, progress.done
            done = progress.done - self._stage_done
            if progress.eta_seconds is None and done > 0 and progress.done <= progress.total:
                left = (now - self._stage_began) / done * (progress.total - progress.done)
                progress = replace(progress, eta_seconds=round(left, 1))
            self._progress = progress
            self._fresh = True
            self._changed.notify_all()
        self.check()

    def stage(self, stage: str) -> None:
        """The attempt enters a stage, keeping the count it has."""
        self.on_progress(replace(self._progress, stage=stage, message="", eta_seconds=None))

    def stage_seconds(self) -> dict[str, float]:
        """How long each stage took so far; together, all of the attempt's time."""
        spent: dict[str, float] = {}
        for stage, began, ended in self.stages():
            spent[stage] = spent.get(stage, 0.0) + ended - began
        return {stage: round(seconds, 3) for stage, seconds in spent.items()}

    def stages(self) -> list[tuple[str, float, float]]:
        """Every stage until now: its name, begin and end, in unix seconds."""
        now = time.monotonic()
        offset = time.time() - now
        with self._changed:
            stages = [*self._stages, (self._progress.stage, self._stage_began, now)]
        return [(stage, began + offset, ended + offset) for stage, began, ended in stages]

    def _follow(self) -> None:
        began = heard = time.monotonic()
        while not self._closed:
            left = max(0.0, began + self._task.timeout_seconds - time.monotonic())
            self._watchdog.arm(
                min(self._task.lease_seconds, left + self._silence) + 2 * self._pace.grace + _WATCHDOG_SLACK
            )
            with self._changed:
                if not self._fresh and not self._closed:
                    self._changed.wait(self._silence)
                if self._closed:
                    return
                self._fresh = False
                progress = self._progress
            report = Progressed(
                job_id=self._task.job_id, attempt=self._task.attempt, progress=progress, gpus=self._gpus()
            )
            wait = self._pace.least
            try:
                sent = time.monotonic()
                answer = self._send(report)
                heard = time.monotonic()
                if answer.stop:
                    self._stop("stopped by the API")
                    return
                self._held_until = max(self._held_until, sent + self._task.lease_seconds)
            except ServiceError as error:
                _log.warning("report_failed", error=str(error))
                self._fresh, wait = True, 4 * self._pace.least  # try again soon
            now = time.monotonic()
            if now - heard >= self._task.lease_seconds:
                self._stop("lease lost")
                return
            if now - began >= self._task.timeout_seconds:
                self._time_out()
                return
            self._pause(wait)

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, seconds)

    def _time_out(self) -> None:
        self.fail("timeout", f"The attempt took longer than the {self._task.timeout_seconds:.0f} s allowed.")

    def fail(self, code: str, message: str) -> None:
        """End the attempt for good, from a thread beside it, whatever the model does."""
        failed = Failed(
            job_id=self._task.job_id, attempt=self._task.attempt, code=code, message=message, retryable=False
        )
        try:
            self._send(failed)
        except ServiceError as error:
            _log.warning("report_failed", error=str(error))  # the lease then ends it
        self._stop(code)

    def _stop(self, reason: str) -> None:
        """Ask the model to stop; if it does not, end the process: the attempt must not outlive its right to run."""
        _log.info("attempt_stopping", reason=reason)
        self._stopped = reason
        self._pause(self._pace.grace)
        if not self._closed:
            _log.error("attempt_would_not_stop", reason=reason)
            self._end_process(70)
