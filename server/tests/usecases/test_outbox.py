"""Sending out of the outbox: bodies made once, lists looked at again, hands that share the work."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, cast

import pytest
from jobs import job
from memory_jobs import MemoryJobRepository
from service import until

from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.dialects.split.request import BASE_URL, VERSION_ID
from stemwright_server.dialects.split.webhook import SplitWebhook
from stemwright_server.domain.delivery import Backoff, Delivery, DeliveryState, Result
from stemwright_server.domain.job import Artifact, Job, JobError, JobOptions, JobState, Webhook
from stemwright_server.domain.lifecycle import CancelAsked, Policy, advance
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.usecases.deps import Deps, Limits
from stemwright_server.usecases.outbox import Outbox, WebhookKeys
from stemwright_server.usecases.webhook_dispatcher import WebhookDispatcher
from stemwright_worker.errors import Unavailable

URL = "https://a.example/hook"
JOB = job(
    created_at=10.0,
    available_at=10.0,
    options=JobOptions(dialect="split", webhook=Webhook(url=URL, kind="split"), correlation_id="c"),
)


class World:
    """Parts with a clock that the test turns, and a receiver that answers as told."""

    def __init__(self, blobs: Any) -> None:
        self.repository = MemoryJobRepository()
        self.now = 100.0
        self.made = 0
        self.fails: list[Exception] = []
        self.answers: list[Result] = []
        self.sent: list[tuple[str, Mapping[str, str], bytes]] = []
        self.lock = Lock()
        self.deps = Deps(
            repository=self.repository,
            blobs=blobs,
            broker=cast(Any, None),
            notifier=cast(Any, None),
            workers=cast(Any, None),
            planner=cast(Any, None),
            probe=None,
            policy=Policy(),
            limits=Limits(max_bytes=1, max_seconds=None, output_retention=1000.0),
            clock=lambda: self.now,
        )

    def body(self, job: Job) -> bytes:
        if self.fails:
            raise self.fails.pop()
        self.made += 1
        return f"body {self.made} of {job.id}".encode()

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Result:
        with self.lock:
            self.sent.append((url, headers, body))
            return self.answers.pop(0) if self.answers else Result(status=200)

    def outbox(self, allowed: Iterable[str] = (URL,), keys: WebhookKeys | None = None) -> Outbox:
        return Outbox(
            deps=self.deps,
            sender=self,
            bodies={"split": self.body},
            keys=keys or WebhookKeys(token="t" * 32, standard=[b"new", b"old"]),
            allowed=frozenset(allowed),
            backoff=Backoff(tries=3, first=10.0, jitter=0.0),
            send_seconds=15.0,
        )

    def end(self, name: str = "j") -> str:
        """A job that was canceled; the id of its webhook."""
        if self.repository.track("t") is None:
            track = Track(
                id="t", owner="o", filename="f", key="", created_at=1.0, upload_until=1.0, request_id="r",
                state=TrackState.REMOTE, source="http", source_url="https://a/b",
            )  # fmt: skip
            self.repository.add_track(track)
        self.repository.submit(replace(JOB, id=name, work_key=name), key=None)
        self.repository.change(name, lambda job: advance(job, CancelAsked(), now=self.now, policy=Policy()))
        return f"msg_{name}"

    def round(self, outbox: Outbox | None = None) -> list[Delivery]:
        outbox = outbox or self.outbox()
        for delivery in outbox.lease(100):
            outbox.deliver(delivery)
        return list(self.repository.deliveries())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(LocalBlobs(tmp_path, tmp_path / ".parts", secret=b"s" * 32, min_free_bytes=0))


def test_the_bytes_are_made_once_and_every_try_signs_them_anew(world: World) -> None:
    identity = world.end()
    world.answers = [Result(status=500), Result(status=None, error="no answer"), Result(status=200)]
    for now in (100.0, 110.0, 150.0):
        world.now = now
        (delivery,) = world.round()
    assert delivery.state is DeliveryState.DELIVERED
    assert {body for _, _, body in world.sent} == {b"body 1 of j"}
    assert len(world.sent) == 3
    for url, headers, body in world.sent:
        assert (url, headers["webhook-id"]) == (URL, identity)
        assert (headers["X-Request-ID"], headers["X-Correlation-ID"]) == ("r", "c")
        content = f"{identity}.{headers['webhook-timestamp']}.".encode() + body
        macs = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in (b"new", b"old")]
        assert headers["webhook-signature"] == " ".join(f"v1,{mac}" for mac in macs)
        assert abs(int(headers["X-Timestamp"]) - time.time()) < 60  # by the clock that receivers have


def test_a_body_that_cannot_be_made_now_is_made_later(world: World) -> None:
    world.end()
    world.fails = [Unavailable("The store does not answer.")]
    (delivery,) = world.round()
    assert (delivery.state, delivery.body, world.sent) == (DeliveryState.PENDING, None, [])
    assert delivery.error == "The body could not be made: The store does not answer."
    world.now = 110.0
    (delivery,) = world.round()
    assert delivery.state is DeliveryState.DELIVERED


def test_a_fault_of_ours_ends_no_sender_and_no_webhook(world: World) -> None:
    world.end()
    world.fails = [ZeroDivisionError("x")]
    (delivery,) = world.round()
    assert delivery.state is DeliveryState.PENDING
    assert "ZeroDivisionError" not in (delivery.error or "")


def test_the_list_is_looked_at_before_every_try(world: World) -> None:
    world.end()
    world.answers = [Result(status=500)]
    world.round()
    world.now = 110.0
    (delivery,) = world.round(world.outbox(allowed=[f"{URL}/"]))
    assert delivery.state is DeliveryState.DEAD
    assert "API_WEBHOOK_URL_ALLOWLIST" in (delivery.error or "")
    assert len(world.sent) == 1


def test_nothing_leaves_unsigned(world: World) -> None:
    world.end()
    (delivery,) = world.round(world.outbox(keys=WebhookKeys(token=None, standard=[])))
    assert delivery.state is DeliveryState.DEAD
    assert delivery.body == b"body 1 of j"  # it can be replayed, also when the job is gone
    assert world.sent == []


def test_two_postmen_send_each_webhook_once(world: World) -> None:
    for number in range(40):
        world.end(f"j{number}")
    postmen = [WebhookDispatcher(world.outbox(), hands=3) for _ in range(2)]
    for dispatcher in postmen:
        dispatcher.start()
    until(
        lambda: all(each.state is DeliveryState.DELIVERED for each in world.repository.deliveries()), what="all of them"
    )
    for dispatcher in postmen:
        dispatcher.stop(30.0)
    assert sorted(headers["webhook-id"] for _, headers, _ in world.sent) == sorted(f"msg_j{n}" for n in range(40))


def test_a_failed_job_says_why_and_a_canceled_one_that_it_was(world: World) -> None:
    failed = replace(
        JOB,
        state=JobState.FAILED,
        started_at=20.0,
        finished_at=21.5,
        error=JobError(code="c", message="It is no song."),
        options=replace(JOB.options, labels={VERSION_ID: "é", BASE_URL: "https://api/"}),
    )
    made = SplitWebhook(world.deps)
    assert (
        made(failed)
        == (
            '{"versionId":"é","status":"failed","processingTimeMs":1500,"stems":[],"error":"It is no song.","jobId":"j",'
            '"correlationId":"c"}'
        ).encode()
    )
    canceled = replace(failed, state=JobState.CANCELED, started_at=None, error=None)
    assert b'"status":"canceled","processingTimeMs":0,"stems":[],"error":"The job was canceled."' in made(canceled)


def test_where_the_store_has_addresses_the_stems_are_published_under_the_callers_id(world: World) -> None:
    class Bucket:
        published: dict[str, str] = {}  # noqa: RUF012

        def publish(self, key: str, to: str) -> str:
            self.published[key] = to
            return f"s3://bucket/{to}"

    stem = Artifact(
        name="no_vocals",
        key="outputs/t/m/v/j-2/no_vocals.wav",
        content_type="audio/wav",
        size=7,
        sha256="ab",
        duration=1.5,
    )
    completed = replace(
        JOB,
        state=JobState.COMPLETED,
        started_at=20.0,
        finished_at=21.0,
        artifacts=(stem,),
        options=replace(JOB.options, labels={VERSION_ID: "v1", BASE_URL: ""}),
    )
    body = SplitWebhook(replace(world.deps, blobs=cast(Any, Bucket())))(completed)
    assert Bucket.published == {stem.key: "v1/no_vocals.wav"}
    assert (
        b'{"type":"no_vocals","name":"No vocals","url":"s3://bucket/v1/no_vocals.wav","size":7,"duration":1.5,'
        b'"checksum":"sha256:ab"}'
    ) in body
