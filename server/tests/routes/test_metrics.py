"""What Prometheus scrapes: names of the document, numbers that are so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from service import Service, running, until, wav

NAMES = {  # of the document
    "demucs_jobs_total",
    "demucs_jobs_active",
    "demucs_processing_seconds",
    "demucs_api_requests_total",
    "demucs_errors_total",
}


def scrape(service: Service, url: str = "/metrics") -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    answer = service.client.http.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def run(service: Service, number: int, **params: Any) -> None:
    """One job to its end."""
    file_id = service.client.upload(wav(seed=number))
    service.client.wait(file_id, service.client.submit(file_id, **params), "completed", "failed")


def test_the_numbers_are_of_the_store_and_outlive_process_and_jobs(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        for number in range(2):
            run(service, number)
        run(service, 2, fail="not_music")
        found = scrape(service)
    with running(tmp_path / "data", {"STEMWRIGHT_OUTPUT_RETENTION": "0.5"}) as service:
        until(lambda: service.client.http.get("/health").json()["queue"]["completed"] == 0, what="the jobs to expire")
        again = scrape(service)
    for samples in (found, again):
        assert samples["demucs_jobs_total", "studio", "half", "gain", "completed"] == 2
        assert samples["demucs_jobs_total", "studio", "half", "gain", "failed"] == 1
        assert samples["demucs_errors_total", "not_music"] == 1
        assert samples["demucs_processing_seconds_bucket", "+Inf", "half", "gain"] == 2
        assert samples["demucs_processing_seconds_count", "half", "gain"] == 2
        assert 0 < samples["demucs_processing_seconds_sum", "half", "gain"] < 60
        assert samples["demucs_audio_seconds_total", "cpu", "half", "gain"] == 1.0
        assert samples["demucs_realtime_factor", "cpu", "half", "gain"] > 0
        assert samples["demucs_stage_seconds_count", "separating"] == 2
        assert samples["demucs_jobs_active",] == 0
        assert samples["demucs_disk_free_bytes",] > 0
    buckets = [(key, value) for key, value in found.items() if key[0] == "demucs_processing_seconds_bucket"]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)


def test_active_and_waiting_jobs_and_workers_are_counted(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        file_id = service.client.upload(wav())
        jobs = [service.client.submit(file_id, segments=600 + number, sleep=0.1) for number in range(3)]
        service.client.wait(file_id, jobs[0], "running")
        found = scrape(service)
        assert (found["demucs_jobs_active",], found["demucs_queue_depth",]) == (1, 2)
        assert (found["demucs_workers", "cpu"], found["demucs_workers", "cuda"]) == (1, 0)


def test_requests_are_counted_by_route_never_by_path(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        for path in ("/status/one", "/status/two", "/no/such", "/etc/passwd", "/health", "/api/v1/jobs/x"):
            service.client.http.get(path)
        service.client.http.request("PROPFIND", "/health")
        found = {key: value for key, value in scrape(service).items() if key[0] == "demucs_api_requests_total"}
        assert found == {
            ("demucs_api_requests_total", "GET", "/status/{file_id}", "404"): 2,
            ("demucs_api_requests_total", "GET", "unmatched", "404"): 2,
            ("demucs_api_requests_total", "GET", "/health", "200"): 1,
            ("demucs_api_requests_total", "GET", "/api/v1/jobs/{job_id}", "404"): 1,
            ("demucs_api_requests_total", "other", "/health", "405"): 1,
        }


def test_what_waits_is_told_by_service(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "1"}) as service:
        file_id = service.client.upload(wav(seed=9))
        jobs = [service.client.submit(file_id, segments=2, sleep=2 + number / 10) for number in range(3)]
        service.client.wait(file_id, jobs[0], "running")
        found = scrape(service)
        assert found["demucs_queue_jobs", "gain"] == 2
        assert 0 < found["demucs_queue_oldest_seconds", "gain"] < 600
        for job_id in jobs:
            service.client.http.post(f"/jobs/{job_id}/cancel")
        assert scrape(service)["demucs_queue_jobs", "gain"] == 0  # a scaler needs its zero


def test_a_port_of_its_own_and_none_at_the_api(tmp_path: Path) -> None:
    settings = {"OBSERVABILITY_PROMETHEUS_PORT": "0", "STEMWRIGHT_METRICS": "false", "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings) as service:
        port = until(
            lambda: next((line["port"] for line in service.logged() if line["event"] == "metrics_listen"), None),
            what="the port",
        )
        assert (
            "demucs_jobs_active" in httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60.0).text
        )
        long = httpx2.get(f"http://127.0.0.1:{port}/metrics", headers={"X": "x" * 100_000}, trust_env=False)
        assert long.status_code == 431  # under the limits of every connection
        assert service.client.http.get("/metrics").status_code == 404
        assert service.stop() == 0


def test_a_taken_port_is_said(tmp_path: Path, service: Service) -> None:
    taken = service.url.rpartition(":")[2]
    with pytest.raises(
        AssertionError, match=rf"Cannot listen on 127.0.0.1 port {taken} \(OBSERVABILITY_PROMETHEUS_PORT"
    ):
        Service(tmp_path / "data", {"OBSERVABILITY_PROMETHEUS_PORT": taken})


def test_every_metric_is_documented_and_no_other(service: Service) -> None:
    text = service.client.http.get("/metrics").text
    shown = set(re.findall(r"^# TYPE (demucs_\w+) ", text, re.MULTILINE))
    page = (Path(__file__).resolve().parents[3] / "docs" / "observability.md").read_text()
    assert set(re.findall(r"^\| `(demucs_\w+)` \|", page, re.MULTILINE)) == shown
    assert shown >= NAMES
