"""One trace from the request to the last upload, seen by a collector; and a dead collector that nobody notices."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from backing import Redis
from elsewhere import SECRET, worker_of
from origin import body, serving
from otlp import Collector, collecting
from service import Service, running, until, wav
from track_tree import TOKEN, Backend, Receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def settings(url: str, **more: str) -> dict[str, str]:
    return {"OBSERVABILITY_ENABLE_TRACING": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url, **more}


def stemify(service: Service, number: int) -> str:
    """The id of a job that came with a caller's trace."""
    answer = service.client.http.post(
        "/api/v1/stemify", files={"file": ("a.wav", wav(seed=number))}, headers={"traceparent": PARENT}
    )
    assert answer.status_code == 202, answer.text
    return uuid.UUID(answer.json()["job_id"]).hex  # as logs and spans have it


def ended(service: Service, job_id: str) -> str:
    def there() -> str | None:
        status = str(service.client.http.get(f"/api/v1/jobs/{job_id}").json()["status"])
        return status if status in ("completed", "failed") else None

    return until(there, what=f"job {job_id} to end")


def test_a_job_is_one_trace_from_the_request_to_the_upload(tmp_path: Path) -> None:
    with (
        collecting() as collector,
        running(tmp_path / "data", settings(collector.url, DEMUCS_DEFAULT_MODEL="half")) as service,
    ):
        job_id = stemify(service, 1)
        assert ended(service, job_id) == "completed"
        until(lambda: "uploading" in {span.name for span in collector.of_trace(TRACE)}, what="the whole trace")
        lines = service.logged()
    spans = {span.name: span for span in collector.of_trace(TRACE)}
    request, queue, attempt = spans["POST /api/v1/stemify"], spans["queue"], spans["attempt"]
    assert (request.service, request.parent) == ("stemwright-api", PARENT.split("-")[2])
    assert (queue.service, queue.parent) == ("stemwright-api", request.span)
    assert (attempt.service, attempt.parent) == ("stemwright-worker", queue.span)
    stages = ["fetching", "loading", "separating", "encoding", "uploading"]
    assert all(spans[stage].parent == attempt.span for stage in stages)
    assert [span.name for span in collector.of_trace(TRACE) if span.name in stages] == stages  # in this order
    assert all(attempt.began - 10**8 <= spans[stage].began <= spans[stage].ended for stage in stages)
    assert queue.began <= attempt.began
    assert (attempt.attributes["job_id"], attempt.attributes["model"]) == (job_id, "half")
    assert request.attributes["http.response.status_code"] == 202
    assert not any(span.failed for span in spans.values())
    # The log tells the same story, and leads to the trace.
    told = {line["event"]: line for line in lines if line.get("job_id") == job_id and "trace_id" in line}
    assert {"job_created", "job_processing_started", "job_processing_completed"} <= set(told)
    done = told["job_processing_completed"]
    assert (done["model"], done["trace_id"], done["level"]) == ("half", TRACE, "info")
    assert 0 < done["duration"] < 60
    assert any(
        line.get("trace_id") == TRACE and line.get("status") == 202 for line in lines if line["event"] == "request"
    )


def test_the_trace_goes_out_with_the_webhook(tmp_path: Path) -> None:
    with collecting() as collector, serving() as store, Receiver() as receiver:
        store.answers["/song.wav"] = body(wav())
        more = {
            "DEMUCSSVC_TOKEN": TOKEN,
            "API_WEBHOOK_URL_ALLOWLIST": receiver.url,
            "SOURCE_ORIGIN_ALLOWLIST": store.url,
        }
        with running(tmp_path / "data", settings(collector.url, **more)) as service:
            asked = {"versionId": "v", "audioUrl": f"{store.url}/song.wav", "aiModel": "half", "webhook": receiver.url}
            answer = Backend(service.url).split(headers={"traceparent": PARENT}, **asked)
            assert answer.status_code == 202, answer.text
            (told,) = until(lambda: receiver.of(answer.json()["jobId"]), what="the webhook")
            until(lambda: "webhook" in {span.name for span in collector.of_trace(TRACE)}, what="the whole trace")
            counted = service.client.http.get("/metrics").text
        receiver.shutdown()
    spans = {span.name: span for span in collector.of_trace(TRACE)}
    assert {"POST /split", "queue", "attempt", "fetching", "separating", "uploading", "webhook"} <= set(spans)
    assert spans["webhook"].parent == spans["POST /split"].span
    assert spans["webhook"].ended >= spans["uploading"].ended
    assert told.headers["traceparent"] == f"00-{TRACE}-{spans['webhook'].span}-01"
    assert 'demucs_webhook_deliveries{state="delivered"} 1.0' in counted


def test_a_job_over_a_broker_is_one_trace_from_the_request_to_the_webhook(tmp_path: Path, redis: Redis) -> None:
    """API and worker are two processes that know each other by Redis and HTTP only, as an operator starts them."""
    with collecting() as collector, serving() as store, Receiver() as receiver:
        store.answers["/song.wav"] = body(wav())
        own = {
            "DEMUCSSVC_TOKEN": TOKEN,
            "API_WEBHOOK_URL_ALLOWLIST": receiver.url,
            "SOURCE_ORIGIN_ALLOWLIST": store.url,
            "BROKER_URL": redis.url,
        }
        common = settings(collector.url, **own, **SECRET)
        with running(tmp_path / "data", common) as service, worker_of(service, tmp_path / "w", common):
            assert service.workers() == []  # none of its own
            asked = {"versionId": "v", "audioUrl": f"{store.url}/song.wav", "aiModel": "half", "webhook": receiver.url}
            answer = Backend(service.url).split(headers={"traceparent": PARENT}, **asked)
            assert answer.status_code == 202, answer.text
            until(lambda: receiver.of(answer.json()["jobId"]), seconds=240.0, what="the webhook")
            whole = {"webhook", "uploading", "attempt"}
            until(lambda: whole <= {span.name for span in collector.of_trace(TRACE)}, what="the whole trace")
        receiver.shutdown()
    spans = {span.name: span for span in collector.of_trace(TRACE)}
    line = ["POST /split", "queue", "attempt"]
    assert [spans[name].parent for name in line] == [PARENT.split("-")[2], spans[line[0]].span, spans[line[1]].span]
    assert [spans[name].service for name in line] == ["stemwright-api", "stemwright-api", "stemwright-worker"]
    stages = ["fetching", "loading", "separating", "encoding", "uploading"]
    assert all(spans[stage].parent == spans["attempt"].span for stage in stages)
    assert (spans["webhook"].service, spans["webhook"].parent) == ("stemwright-api", spans["POST /split"].span)
    assert spans["webhook"].ended >= spans["uploading"].ended


@pytest.mark.parametrize("how", ["refuses", "says 503", "is silent"])
def test_a_dead_collector_is_not_noticed(tmp_path: Path, how: str) -> None:
    with collecting() as collector:
        collector.broken = how == "says 503"
        url = {"refuses": "http://127.0.0.1:9", "is silent": _silent(collector)}.get(how, collector.url)
        with running(tmp_path / "data", settings(url, DEMUCS_DEFAULT_MODEL="half", API_RATE_LIMIT="0")) as service:
            for number in range(2):
                assert ended(service, stemify(service, number)) == "completed"
            began = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - began < 25  # two processes give it 2 s each
        events = [line["event"] for line in service.logged()]
        assert "unexpected_error" not in events


def _silent(collector: Collector) -> str:
    """An address that takes connections and never answers: a listener whose backlog nobody empties."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    collector.socket_kept = listener  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_off_means_that_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, pathlib, stemwright_worker.__main__, stemwright_server.processes.serve\n"
        "from stemwright_server.wiring.api import build_api\n"
        "from stemwright_server.settings import Settings\n"
        "import tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    build_api(Settings(data_dir=pathlib.Path(folder)), me='m', worker_secret='s').repository.close()\n"
        "heavy = ('opentelemetry.sdk', 'requests', 'prometheus_client', 'yt_dlp', 'google')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.splitlines()[-1] == "[]"


def test_without_its_libraries_the_install_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stemwright_worker.errors import Unavailable
    from stemwright_worker.tracing.build import build_tracer

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "stemwright_worker.tracing.otlp", raising=False)
    with pytest.raises(Unavailable, match=r"stemwright-server\[tracing\]"):
        build_tracer("http://127.0.0.1:9", service="x")
