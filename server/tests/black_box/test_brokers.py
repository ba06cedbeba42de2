"""Celery workers over the real brokers: what is rung, lost, rung again, and given back."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from amqp_proxy import vanishing_queues
from backing import RabbitMQ, Redis
from elsewhere import SECRET, worker_of
from kombu import Connection
from origin import body, serving
from service import running, until, wav
from track_tree import TOKEN, Backend, Receiver

from stemwright_server.adapters.broker.celery_app import queue
from stemwright_server.adapters.broker.queue_names import least_priority, queue_of, queues_of, service_of
from stemwright_server.adapters.broker.quorum_repair import repair_quorum_queues
from stemwright_server.ports.jobs import Waiting

LONG = {"segments": 40, "sleep": 0.1}
Broker = Redis | RabbitMQ


@pytest.fixture(params=["redis", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    return found


def test_a_celery_worker_is_woken_is_counted_and_gives_back_on_sigterm(tmp_path: Path, broker: Broker) -> None:
    settings = SECRET | {"BROKER_URL": broker.url, "STEMWRIGHT_MAX_ATTEMPTS": "1"}
    with running(tmp_path / "data", settings) as service, worker_of(service, tmp_path / "w", settings) as worker:
        client = service.client
        assert service.workers() == []
        until(lambda: client.http.get("/health").json()["workers"] == 1, seconds=240.0, what="the worker to say hello")
        file_id = client.upload(wav())
        client.wait(file_id, client.submit(file_id), "completed", seconds=240.0)
        job_id = client.submit(file_id, **LONG)
        client.wait_for_segment(file_id, job_id, seconds=240.0)
        assert worker.stop() == 0
        assert client.job(file_id, job_id)["status"] == "queued"
        assert client.http.get("/health").json()["workers"] == 0
        assert worker.files() == []
        with worker_of(service, tmp_path / "w", settings):
            assert client.wait(file_id, job_id, "completed", seconds=240.0)["attempt"] == 2


def test_a_second_celery_worker_of_one_host_works_by_the_same_command(tmp_path: Path, broker: Broker) -> None:
    settings = SECRET | {"BROKER_URL": broker.url}
    with (
        running(tmp_path / "data", settings) as service,
        worker_of(service, tmp_path / "w1", settings) as first,
        worker_of(service, tmp_path / "w2", settings) as second,
    ):
        client = service.client
        until(lambda: client.http.get("/health").json()["workers"] == 2, seconds=240.0, what="both to say hello")
        files = [client.upload(wav(seed=number)) for number in range(2)]
        jobs = [client.submit(file_id, segments=9999, sleep=0.1) for file_id in files]
        for file_id, job_id in zip(files, jobs, strict=True):  # each holds one for as long as nobody stops it
            client.wait_for_segment(file_id, job_id, seconds=240.0)
        names = set()
        for worker in (first, second):
            log = worker.log.read_text()
            assert "RESOURCE_LOCKED" not in log
            names |= set(re.findall(r"celery-\w+@\S+", log))
        assert len(names) == 2


@pytest.mark.parametrize("celery", [True, False])
def test_a_worker_that_is_told_to_go_finishes_a_short_job_if_it_may(
    tmp_path: Path, redis: Redis, *, celery: bool
) -> None:
    settings = SECRET | {"BROKER_URL": redis.url, "STEMWRIGHT_FINISH_SECONDS": "60"}
    with (
        running(tmp_path / "data", settings) as service,
        worker_of(service, tmp_path / "w", settings, celery=celery) as worker,
    ):
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, segments=20, sleep=0.1)
        client.wait_for_segment(file_id, job_id, seconds=240.0)
        next_job = client.submit(file_id, segments=3)
        assert worker.stop() == 0
        assert client.job(file_id, job_id)["status"] == "completed"
        assert client.job(file_id, next_job)["status"] == "queued"  # it takes nothing more
        assert client.http.get("/health").json()["workers"] == 0


def test_a_worker_gives_a_long_job_back_when_its_time_to_finish_is_over(tmp_path: Path, redis: Redis) -> None:
    settings = SECRET | {"BROKER_URL": redis.url, "STEMWRIGHT_FINISH_SECONDS": "1"}
    for celery in (True, False):
        with (
            running(tmp_path / f"data-{celery}", settings) as service,
            worker_of(service, tmp_path / f"w-{celery}", settings, celery=celery) as worker,
        ):
            client = service.client
            file_id = client.upload(wav())
            job_id = client.submit(file_id, segments=9999, sleep=0.1)
            client.wait_for_segment(file_id, job_id, seconds=240.0)
            assert worker.stop() == 0
            assert client.job(file_id, job_id)["status"] == "queued"


def test_what_the_broker_lost_is_rung_again(tmp_path: Path, broker: Broker) -> None:
    settings = SECRET | {"BROKER_URL": broker.url}
    with running(tmp_path / "data", settings) as service:
        client = service.client
        files = [client.upload(wav(seed=number)) for number in range(4)]
        jobs = [client.submit(file_id) for file_id in files[:2]]
        broker.stop()
        try:
            jobs += [client.submit(file_id) for file_id in files[2:]]  # accepted all the same
        finally:
            broker.start()
        broker.lose_everything()
        with worker_of(service, tmp_path / "w", settings):
            for file_id, job_id in zip(files, jobs, strict=True):
                assert client.wait(file_id, job_id, "completed", seconds=240.0)["attempt"] == 1


def test_a_celery_worker_that_dies_is_replaced_and_its_files_go(tmp_path: Path, broker: Broker) -> None:
    lease = {"STEMWRIGHT_LEASE_SECONDS": "8", "STEMWRIGHT_HEARTBEAT_SECONDS": "1"}
    settings = SECRET | lease | {"BROKER_URL": broker.url}
    with running(tmp_path / "data", settings) as service, worker_of(service, tmp_path / "w", settings) as worker:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, segments=9999, sleep=0.1)
        client.wait_for_segment(file_id, job_id, seconds=240.0)
        kept = list((tmp_path / "w" / "work").rglob("*"))
        assert kept  # songs of callers, on a machine that may be shared
        assert [path for path in kept if path.stat().st_mode & 0o077] == []
        worker.kill_child()
        until(lambda: client.job(file_id, job_id)["attempt"] == 2, seconds=240.0, what="a new child to take over")
        client.wait_for_segment(file_id, job_id, seconds=240.0)
        worker.kill()
        assert worker.files() != []
        with worker_of(service, tmp_path / "w", settings) as second:
            until(lambda: client.job(file_id, job_id)["attempt"] == 3, seconds=240.0, what="a new worker to take over")
            assert len(list((tmp_path / "w" / "work").glob("stemwright-worker-*"))) == 1
            assert client.http.post(f"/jobs/{job_id}/cancel").status_code == 200
            until(lambda: second.files() == [], what="the attempt to stop")


def test_a_celery_worker_survives_queues_that_are_not_back_yet(tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    """RabbitMQ says 404 to the consumer of a quorum queue whose members are still starting."""
    settings = SECRET | {"BROKER_URL": rabbitmq.url}
    with running(tmp_path / "data", settings) as service, vanishing_queues(rabbitmq.url, times=6) as proxy:
        behind = settings | {"BROKER_URL": proxy.url}
        with worker_of(service, tmp_path / "w", behind) as worker:
            client = service.client
            file_id = client.upload(wav())
            client.wait(file_id, client.submit(file_id), "completed", seconds=240.0)  # at the start
            assert proxy.left == 0
            proxy.left = 6
            long = client.submit(file_id, **LONG)
            client.wait_for_segment(file_id, long, seconds=240.0)
            rabbitmq.lose_everything()  # and on the way back, with a job at work
            until(lambda: proxy.left == 0, seconds=240.0, what="the worker to come back")
            assert client.wait(file_id, long, "completed", seconds=240.0)["attempt"] == 1
            after = client.submit(file_id, segments=5)
            assert client.wait(file_id, after, "completed", seconds=240.0)["attempt"] == 1
            assert worker.process.poll() is None
            assert worker.log.read_text().count("NOT_FOUND - no queue") >= 4


def test_a_queue_that_a_killed_rabbitmq_cannot_lead_any_more_is_made_anew(rabbitmq: RabbitMQ) -> None:
    """To declare it succeeds, and its consumers wait for ever: three of three times with RabbitMQ 3.10."""
    names = queues_of(["gain"])

    def declared() -> list[int]:
        with Connection(rabbitmq.url) as connection:
            return [queue(name)(connection.default_channel).queue_declare()[1] for name in names]

    for _ in range(4):
        with Connection(rabbitmq.url) as connection:
            for name in names:
                queue(name)(connection.default_channel).declare()
        rabbitmq.stop()
        rabbitmq.start()
        if broken := until(lambda: _healed(rabbitmq.url, names), seconds=120.0, what="an answer")[0]:
            break
        rabbitmq.empty()
    else:
        pytest.skip("this RabbitMQ leads its queues again")
    with Connection(rabbitmq.url) as connection:
        for name in broken:
            queue(name)(connection.default_channel).declare()
            connection.Producer().publish("x", exchange="stemwright", routing_key=name)
            message = connection.SimpleQueue(queue(name)).get(timeout=60.0)
            message.ack()
    assert declared() == [0, 0, 0]
    assert repair_quorum_queues(rabbitmq.url, names) == []


def _healed(url: str, names: list[str]) -> tuple[list[str]] | None:
    """What had to be made anew; nothing while the broker is not back."""
    try:
        return (repair_quorum_queues(url, names),)
    except OSError:
        return None


def test_a_worker_that_asks_the_api_itself_does_not_need_the_broker(tmp_path: Path, redis: Redis) -> None:
    settings = SECRET | {"BROKER_URL": redis.url}
    with running(tmp_path / "data", settings) as service, worker_of(service, tmp_path / "w", settings, celery=False):
        client = service.client
        file_id = client.upload(wav())
        redis.stop()
        try:
            assert client.wait(file_id, client.submit(file_id), "completed", seconds=240.0)["attempt"] == 1
        finally:
            redis.start()


def test_the_most_urgent_job_is_next_and_an_urgent_lane_is_never_held_up(tmp_path: Path, broker: Broker) -> None:
    with serving() as store, Receiver() as receiver:
        store.answers["/a.wav"] = body(wav())
        listed = {"API_WEBHOOK_URL_ALLOWLIST": receiver.url, "SOURCE_ORIGIN_ALLOWLIST": store.url}
        settings = SECRET | listed | {"BROKER_URL": broker.url, "DEMUCSSVC_TOKEN": TOKEN}
        with running(tmp_path / "data", settings) as service:
            client, backend = service.client, Backend(service.url)

            def split(priority: int) -> str:
                asked = {"versionId": f"v{priority}", "audioUrl": f"{store.url}/a.wav", "aiModel": "half"}
                asked["correlationId"] = f"order-{priority}"
                ids = {"X-Request-ID": f"request-{priority}"}
                answer = backend.split(headers=ids, webhook=receiver.url, priority=priority, **asked)
                return str(answer.json()["jobId"])

            def order() -> list[str]:
                return [line["job_id"] for line in service.logged() if line["event"] == "claimed"]

            with worker_of(service, tmp_path / "w", settings) as worker:
                file_id = client.upload(wav())
                busy = client.submit(file_id, segments=9999, sleep=0.1)
                client.wait_for_segment(file_id, busy, seconds=240.0)
                low, lower, normal, high = (split(priority) for priority in (2, 1, 5, 9))
                until(lambda: client.http.get("/health").json()["workers"] == 1, what="the worker to be known")
                assert client.http.post(f"/jobs/{busy}/cancel").status_code == 200
                until(lambda: len(order()) == 5, seconds=240.0, what="all to be taken")
                assert order() == [busy, high, normal, low, lower]
                until(lambda: receiver.of(lower), seconds=240.0, what="the last webhook")
                for log in (service.log, worker.log):  # the same ids in the lines of both
                    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
                    said = [line for line in lines if line.get("job_id") == high and "correlation_id" in line]
                    assert said
                    assert {(line["correlation_id"], line["request_id"]) for line in said} == {("order-9", "request-9")}
            with worker_of(service, tmp_path / "w", settings, queues="stemwright.gain.high"):
                low, high = split(3), split(8)
                until(lambda: receiver.of(high), seconds=240.0, what="the urgent one to end")
                assert order()[5:] == [high]
                assert client.http.get("/health").json()["workers"] == 1
        receiver.shutdown()


def test_a_message_stands_for_its_lane_and_what_is_more_urgent() -> None:
    names = [queue_of(Waiting(job_id="j", service="a.b", priority=number)) for number in range(10)]
    assert names == ["stemwright.a.b.low"] * 4 + ["stemwright.a.b.normal"] * 3 + ["stemwright.a.b.high"] * 3
    assert [least_priority(name) for name in names] == [0] * 4 + [4] * 3 + [7] * 3
    assert {service_of(name) for name in names} == {"a.b"}
    assert queues_of(["a.b"]) == list(dict.fromkeys(reversed(names)))


def test_a_model_that_never_returns_is_killed_by_the_parent(tmp_path: Path, redis: Redis) -> None:
    limits = {"STEMWRIGHT_JOB_SECONDS": "6", "STEMWRIGHT_STOP_SECONDS": "0.5", "STEMWRIGHT_LEASE_SECONDS": "5"}
    settings = SECRET | limits | {"BROKER_URL": redis.url, "STEMWRIGHT_HEARTBEAT_SECONDS": "0.5"}
    with running(tmp_path / "data", settings) as service, worker_of(service, tmp_path / "w", settings) as worker:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, deaf=600.0)
        client.wait(file_id, job_id, "running", seconds=240.0)
        (child,) = until(worker.children, what="its child")
        os.kill(child, signal.SIGSTOP)  # no thread of it runs, as with code that never lets go of the interpreter
        until(lambda: worker.children() not in ([child], []), seconds=240.0, what="the child to be replaced")
