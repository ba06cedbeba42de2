"""The thread beside an attempt: what it sends, and how it brings the word to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event

import pytest
from service import until

from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.tasks import Failed, Progressed, Report, ReportAnswer, Task
from stemwright_worker.control import Control, Pace
from stemwright_worker.errors import Unavailable
from stemwright_worker.service import Stopped

TASK = Task(
    job_id="j",
    attempt=1,
    file_id="f",
    request_id="r",
    service="m",
    model="v",
    params={},
    inputs=(),
    outputs=(),
    lease_seconds=30.0,
    timeout_seconds=600.0,
    max_bytes=1 << 20,
    max_seconds=None,
)
SHORT = replace(TASK, lease_seconds=0.3)  # where the end of it is what is waited for
PACE = Pace(heartbeat=0.05, least=0.01, grace=30.0)
GO_ON = ReportAnswer(accepted=True, stop=False)


class Sent:
    """What was sent, and what is answered."""

    def __init__(self, answer: Callable[[], ReportAnswer] = lambda: GO_ON) -> None:
        self.reports: list[Report] = []
        self.answer = answer
        self.ended: list[int] = []

    def __call__(self, report: Report) -> ReportAnswer:
        self.reports.append(report)
        return self.answer()

    def control(self, task: Task = TASK, *, leaving: Event | None = None, pace: Pace = PACE) -> Control:
        return Control(task, self, leaving=leaving or Event(), pace=pace, end_process=self.ended.append)

    @property
    def progress(self) -> list[Progress]:
        return [report.progress for report in self.reports if isinstance(report, Progressed)]


def refuse() -> ReportAnswer:
    raise Unavailable("gone")


def test_the_lease_is_renewed_while_a_model_is_busy() -> None:
    sent = Sent()
    with sent.control():
        until(lambda: len(sent.reports) >= 4, what="heartbeats")
    assert sent.ended == []


def test_progress_arrives_with_the_time_left() -> None:
    sent = Sent()
    with sent.control() as control:
        control.on_progress(Progress(stage="separating", done=0, total=4))
        control.on_progress(Progress(stage="separating", done=1, total=4))
        until(lambda: any(each.done == 1 for each in sent.progress), what="the progress")
        control.stage("uploading")
        until(lambda: sent.progress[-1].stage == "uploading", what="the stage")
    assert sent.progress[-1].eta_seconds is None  # nothing of this stage is measured yet
    separating = [each for each in sent.progress if each.done == 1 and each.stage == "separating"]
    assert separating[-1].eta_seconds is not None
    assert (sent.progress[-1].done, sent.progress[-1].total) == (1, 4)


def test_an_answer_to_stop_reaches_the_model() -> None:
    sent = Sent(lambda: ReportAnswer(accepted=False, stop=True))
    with sent.control() as control:
        until(lambda: control.stopped, what="the stop")
        with pytest.raises(Stopped):
            control.on_progress(Progress(stage="separating", done=1, total=4))
    assert sent.ended == []


def test_leaving_stops_the_attempt() -> None:
    leaving = Event()
    with Sent().control(leaving=leaving) as control:
        control.check()
        leaving.set()
        with pytest.raises(Stopped):
            control.check()


def test_an_attempt_that_cannot_renew_its_lease_stops() -> None:
    with Sent(refuse).control(SHORT) as control:
        until(lambda: control.stopped == "lease lost", what="the lease to be lost")


def test_one_lost_report_is_no_lost_lease() -> None:
    answers = iter([refuse, lambda: GO_ON, refuse])
    sent = Sent(lambda: next(answers, lambda: GO_ON)())
    with sent.control() as control:
        until(lambda: len(sent.reports) >= 8, what="reports")
        assert control.stopped is None


def test_a_model_that_will_not_stop_is_ended_with_its_process() -> None:
    sent = Sent(lambda: ReportAnswer(accepted=False, stop=True))
    with sent.control(pace=replace(PACE, grace=0.1)):
        until(lambda: sent.ended, what="the end")
    assert sent.ended == [70]


def test_an_attempt_over_its_time_fails_for_good_and_stops() -> None:
    sent = Sent()
    with sent.control(replace(TASK, timeout_seconds=0.05)) as control:
        until(lambda: control.stopped == "timeout", what="the timeout")
    failed = [report for report in sent.reports if isinstance(report, Failed)]
    assert [(report.code, report.retryable) for report in failed] == [("timeout", False)]


def test_who_asks_leave_is_told_and_the_lease_begins_anew() -> None:
    sent = Sent()
    control = sent.control(replace(TASK, lease_seconds=60.0))
    control.ask_leave()
    control.hold()
    assert [report.kind for report in sent.reports] == ["publishing"]


def test_leave_that_is_refused_stops_the_attempt() -> None:
    control = Sent(lambda: ReportAnswer(accepted=False, stop=True)).control(replace(TASK, lease_seconds=60.0))
    with pytest.raises(Stopped):
        control.ask_leave()
    assert control.stopped == "stopped by the API"


def test_a_process_that_was_halted_past_its_lease_holds_nothing_by_its_own_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after SIGSTOP and SIGCONT: nobody could tell it, and it must not write one byte more."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    control = Sent().control(replace(TASK, lease_seconds=60.0))
    control.ask_leave()
    now[0] += 59.0
    control.hold()
    now[0] += 1.0
    with pytest.raises(Stopped):
        control.hold()
    assert control.stopped == "lease lost"


def test_leave_is_asked_for_again_while_the_api_is_away_and_the_lease_holds() -> None:
    answers: list[Unavailable | ReportAnswer] = [Unavailable("away"), Unavailable("away"), GO_ON]

    def answer() -> ReportAnswer:
        found = answers.pop(0)
        if isinstance(found, Unavailable):
            raise found
        return found

    Sent(answer).control(replace(TASK, lease_seconds=60.0)).ask_leave()
    assert answers == []

    def away() -> ReportAnswer:
        raise Unavailable("away")

    with pytest.raises(Stopped):
        Sent(away).control(replace(TASK, lease_seconds=0.1)).ask_leave()
