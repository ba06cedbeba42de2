"""The life of a job, by a machine that tries everything in every order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from chaos import record, scaled
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from jobs import job

from stemwright_server.domain.job import Job, JobOptions, JobState, Outcome, Webhook
from stemwright_server.domain.lifecycle import (
    CancelAsked,
    Claimed,
    Event,
    Expire,
    Followed,
    LeaseExpired,
    Policy,
    Transition,
    WorkerLeft,
    WorkerLost,
    advance,
)
from stemwright_worker.contract.service import OutputSpec, Progress
from stemwright_worker.contract.tasks import Completed, Failed, Progressed, Publishing, UploadedFile

POLICY = Policy(lease_seconds=60.0, max_attempts=3, retry_seconds=2.0, retry_cap_seconds=3.0)
LEGAL = {
    JobState.QUEUED: {JobState.QUEUED, JobState.RUNNING, JobState.CANCELED},
    JobState.RUNNING: set(JobState),
    JobState.COMPLETED: {JobState.COMPLETED},
    JobState.FAILED: {JobState.FAILED},
    JobState.CANCELED: {JobState.CANCELED},
}


def job_of_vocals(**changes: Any) -> Job:
    outputs = (OutputSpec(name="vocals", filename="vocals.wav", content_type="audio/wav"),)
    return job(outputs=outputs, created_at=0.0, available_at=0.0, **changes)


def completed(attempt: int, *names: str) -> Completed:
    files = tuple(UploadedFile(name=name, size=1, sha256="0" * 64) for name in names or ("vocals",))
    return Completed(job_id="j", attempt=attempt, files=files, report={"ok": True})


class Life(RuleBasedStateMachine):
    """Any event, of any attempt, at any time."""

    lives = 0  # that were led to their end

    def teardown(self) -> None:
        Life.lives += 1

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.job = job_of_vocals()
        self.charged = 0
        self.completions = 0

    def take(self, event: Event) -> Transition:
        before = self.job
        transition = advance(before, event, now=self.now, policy=POLICY)
        after = self.job = transition.job
        assert after.state in LEGAL[before.state]
        assert after.attempt - before.attempt == (after.state is JobState.RUNNING and before.state is JobState.QUEUED)
        if after is before:
            assert transition.outcome is None
        else:
            assert transition.accepted
            assert after.revision == before.revision + 1
        ended = before.state is JobState.RUNNING and after.state is not JobState.RUNNING
        assert (transition.outcome is not None) == ended
        self.charged += transition.outcome in (Outcome.FAILED, Outcome.LOST)
        self.completions += transition.outcome is Outcome.COMPLETED
        return transition

    @rule(seconds=st.sampled_from([0.5, 5.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=st.sampled_from(["a", "b"]))
    def claim(self, worker: str) -> None:
        free = self.job.state is JobState.QUEUED and self.job.available_at <= self.now
        assert self.take(Claimed(worker=worker)).accepted == free
        if free:
            assert (self.job.worker, self.job.lease_until) == (worker, self.now + 60.0)

    @rule(back=st.integers(0, 2), done=st.integers(0, 9))
    def progress(self, back: int, done: int) -> None:
        running = self.job.state is JobState.RUNNING and back == 0
        progress = Progress(done=done, total=9, stage="separating")
        answer = self.take(Progressed(job_id="j", attempt=self.job.attempt - back, progress=progress))
        assert answer.accepted == running
        if running:
            assert (self.job.progress, self.job.lease_until) == (progress, self.now + 60.0)

    @rule(back=st.integers(0, 2))
    def publish(self, back: int) -> None:
        running = self.job.state is JobState.RUNNING and back == 0
        answer = self.take(Publishing(job_id="j", attempt=self.job.attempt - back))
        assert answer.accepted == running  # leave is for the attempt that runs, and for no other
        if running:
            assert self.job.lease_until == self.now + 60.0

    @rule(back=st.integers(0, 2))
    def complete(self, back: int) -> None:
        before = self.job
        holds = back == 0 and before.state in (JobState.RUNNING, JobState.COMPLETED)
        assert self.take(completed(before.attempt - back)).accepted == holds

    @rule(back=st.integers(0, 2), retryable=st.booleans())
    def fail(self, back: int, retryable: bool) -> None:
        before = self.job
        report = Failed(job_id="j", attempt=before.attempt - back, code="c", message="m", retryable=retryable)
        accepted = self.take(report).accepted
        assert accepted == (before.state is JobState.RUNNING and back == 0)
        if accepted and not retryable:
            assert self.job.state is JobState.FAILED

    @rule(worker=st.sampled_from(["a", "b"]))
    def lose_worker(self, worker: str) -> None:
        self.take(WorkerLost(worker=worker))

    @rule(worker=st.sampled_from(["a", "b"]))
    def worker_leaves(self, worker: str) -> None:
        failures = self.job.failures
        self.take(WorkerLeft(worker=worker))
        assert self.job.failures == failures  # never charged

    @rule()
    def lease_expires(self) -> None:
        due = self.job.state is JobState.RUNNING and (self.job.lease_until or 0.0) <= self.now
        assert self.take(LeaseExpired()).accepted == due

    @precondition(lambda self: self.job.attempt > 0)  # or most lives would end before they began
    @rule()
    def cancel(self) -> None:
        self.take(CancelAsked())
        assert self.job.state.final

    @invariant()
    def what_is_set_fits_the_state(self) -> None:
        job = self.job
        running = job.state is JobState.RUNNING
        assert (job.worker is not None) == (job.lease_until is not None) == running
        assert (job.finished_at is not None) == job.state.final
        assert (job.started_at is not None) == (job.attempt > 0)
        assert bool(job.artifacts) == (job.state is JobState.COMPLETED)
        assert job.failures == self.charged <= POLICY.max_attempts
        assert self.completions == (job.state is JobState.COMPLETED)
        if job.state is JobState.FAILED:
            assert job.error is not None
        if job.artifacts:
            assert job.artifacts[0].key == f"outputs/t/m/v/j-{job.attempt}/vocals.wav"


@pytest.mark.chaos
def test_bar_15_no_event_in_any_order_is_an_illegal_transition() -> None:
    Life.lives = 0
    lives, steps = scaled(200, 2000), 30
    run_state_machine_as_test(Life, settings=settings(max_examples=lives, stateful_step_count=steps, deadline=None))
    assert Life.lives >= lives
    record("15", lives=Life.lives, steps_each=steps, illegal=0)


def running(**changes: Any) -> Job:
    return replace(advance(job_of_vocals(), Claimed(worker="a"), now=1.0, policy=POLICY).job, **changes)


def test_a_crash_is_tried_again_after_a_growing_wait_and_then_fails() -> None:
    job, waits = running(), []
    for _ in range(2):
        job = advance(job, WorkerLost(worker="a"), now=10.0, policy=POLICY).job
        assert job.state is JobState.QUEUED
        waits.append(job.available_at - 10.0)
        assert not advance(job, Claimed(worker="a"), now=10.0, policy=POLICY).accepted
        job = advance(job, Claimed(worker="a"), now=100.0, policy=POLICY).job
    assert waits == [2.0, 3.0]  # 2, then 4 but for the cap
    job = advance(job, WorkerLost(worker="a"), now=200.0, policy=POLICY).job
    assert (job.state, job.failures) == (JobState.FAILED, 3)
    assert job.error is not None
    assert job.error.code == "worker_lost"


def test_a_completion_without_every_artifact_is_a_failure() -> None:
    transition = advance(running(), completed(1, "drums"), now=2.0, policy=POLICY)
    assert transition.outcome is Outcome.FAILED
    assert transition.job.state is JobState.QUEUED
    assert transition.job.error is not None
    assert "vocals" in transition.job.error.message


def test_a_completion_forgets_the_error_of_an_attempt_before() -> None:
    job = advance(running(), WorkerLost(worker="a"), now=2.0, policy=POLICY).job
    job = advance(job, Claimed(worker="b"), now=9.0, policy=POLICY).job
    assert job.error is not None
    job = advance(job, completed(2), now=10.0, policy=POLICY).job
    assert (job.error, job.started_at, job.finished_at) == (None, 1.0, 10.0)


def test_a_report_for_another_job_changes_nothing() -> None:
    job = running(id="k")
    assert advance(job, completed(1), now=2.0, policy=POLICY) == Transition(job=job, accepted=False)


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED])
def test_what_is_over_cannot_be_canceled(state: JobState) -> None:
    job = job_of_vocals(state=state)
    assert advance(job, CancelAsked(), now=2.0, policy=POLICY) == Transition(job=job, accepted=False)


def test_only_an_ended_job_expires_and_never_later_than_said() -> None:
    waiting = job_of_vocals()
    assert not advance(waiting, Expire(at=5.0), now=1.0, policy=POLICY).accepted
    ended = advance(
        replace(waiting, options=JobOptions(dialect="studio", keep_seconds=10.0)), CancelAsked(), now=1.0, policy=POLICY
    ).job
    assert ended.expires_at == 11.0
    sooner = advance(ended, Expire(at=5.0), now=2.0, policy=POLICY).job
    assert sooner.expires_at == 5.0
    later = advance(sooner, Expire(at=8.0), now=3.0, policy=POLICY)
    assert later.accepted
    assert later.job is sooner


@pytest.mark.parametrize("state", list(JobState))
def test_an_end_to_come_is_told_to_one_and_no_state_changes_by_it(state: JobState) -> None:
    before = job_of_vocals(state=state)
    first, other = (Webhook(url=url, kind="studio") for url in ("https://a", "https://b"))
    followed = advance(before, Followed(webhook=first, labels={"base_url": "u"}), now=1.0, policy=POLICY)
    assert (followed.accepted, followed.job.state, followed.outcome) == (not state.final, state, None)
    assert followed.job.options.webhook == (None if state.final else first)
    again = advance(followed.job, Followed(webhook=first, labels={}), now=2.0, policy=POLICY)
    assert (again.accepted, again.job is followed.job) == (not state.final, True)
    assert not advance(followed.job, Followed(webhook=other, labels={}), now=2.0, policy=POLICY).accepted
