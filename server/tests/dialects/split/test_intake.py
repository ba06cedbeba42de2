"""What the split dialect refuses at its door, how, and what it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx2
import pytest
from chaos import record
from service import Service, running
from track_tree import TOKEN, Backend, signed

HOOK = "https://api.track-tree.com/webhooks/demucs"
OLD_TOKEN = "the-token-before-this-one-was-made"
REQUESTS = 100  # at once


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the dialect on and no worker."""
    settings = {"DEMUCSSVC_TOKEN": TOKEN, "DEMUCSSVC_TOKEN_PREVIOUS": OLD_TOKEN, "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path_factory.mktemp("split") / "data", settings) as service:
        yield service


@pytest.fixture
def backend(idle: Service) -> Backend:
    return Backend(idle.url)


def fields(seed: int, **changes: Any) -> dict[str, Any]:
    """The documents' example request."""
    whole = {
        "versionId": f"6f1c-{seed}",
        "audioUrl": "https://example.com/audio.wav",
        "aiModel": "half",
        "webhook": HOOK,
        "correlationId": "optional-correlation-id",
    }
    return {name: value for name, value in (whole | changes).items() if value is not None}


def test_a_signed_request_is_taken(backend: Backend, seed: int) -> None:
    before = backend.queue_status()["queue_depth"]
    answer = backend.split(**fields(seed))
    assert (answer.status_code, list(answer.json())) == (202, ["jobId"])
    assert backend.queue_status() == {
        "queue_depth": before + 1,
        "active_workers": 0,
        "completed_jobs": 0,
        "failed_jobs": 0,
    }


def test_the_token_before_holds_while_callers_change_over(idle: Service, seed: int) -> None:
    assert Backend(idle.url, OLD_TOKEN).split(**fields(seed)).status_code == 202


def test_healthz_is_open(backend: Backend) -> None:
    answer = backend.http.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})


def test_the_queue_is_shown_to_callers_only(backend: Backend) -> None:
    _is_problem(backend.http.get("/queue/status"), 401, "signature_missing")
    headers = signed(b"")
    assert backend.http.get("/queue/status", headers=headers).status_code == 200
    assert backend.http.get("/queue/status", headers=headers).status_code == 200  # nothing to replay


@pytest.mark.parametrize("body", [b"{}", b"no JSON", b""])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"X-Signature": ""}, "signature_missing"),
        ({"X-Timestamp": ""}, "signature_missing"),
        ({"X-Signature": "sha256=12"}, "signature_malformed"),
        ({"X-Timestamp": "yesterday"}, "signature_malformed"),
        ({"X-Signature": "sha256=" + "0" * 64}, "bad_signature"),
        ({"X-Timestamp": str(int(time.time()) - 400)}, "timestamp_expired"),
        ({"X-Timestamp": str(int(time.time()) + 400_000)}, "timestamp_expired"),
    ],
)
def test_a_signature_is_looked_at_before_the_body(
    backend: Backend, body: bytes, changes: dict[str, str], code: str
) -> None:
    answer = backend.post(body, signed(body) | changes)
    _is_problem(answer, 401, code)
    assert answer.headers["WWW-Authenticate"] == "HMAC-SHA256"


def test_another_body_or_token_than_was_signed_is_refused(backend: Backend, idle: Service, seed: int) -> None:
    body = json.dumps(fields(seed)).encode()
    _is_problem(backend.post(body.replace(b"half", b"loud"), signed(body)), 401, "bad_signature")
    _is_problem(Backend(idle.url, "x" * 32).split(**fields(seed)), 401, "bad_signature")


def test_a_request_is_taken_once_even_after_a_restart(tmp_path: Path, seed: int) -> None:
    settings = {"DEMUCSSVC_TOKEN": TOKEN, "STEMWRIGHT_WORKERS": "0"}
    body = json.dumps(fields(seed)).encode()
    headers = signed(body)
    with running(tmp_path / "data", settings) as service:
        assert Backend(service.url).post(body, headers).status_code == 202
        _is_problem(Backend(service.url).post(body, headers), 401, "replayed")
        loud = headers | {"X-Signature": "sha256=" + headers["X-Signature"][7:].upper()}
        _is_problem(Backend(service.url).post(body, loud), 401, "replayed")
        _is_problem(Backend(service.url).post(body, headers | {"Idempotency-Key": "k"}), 401, "replayed")
    with running(tmp_path / "data", settings) as service:
        backend = Backend(service.url)
        _is_problem(backend.post(body, headers), 401, "replayed")
        assert backend.queue_status()["queue_depth"] == 1


@pytest.mark.chaos
def test_one_idempotency_key_and_a_hundred_requests_at_once_make_one_job(backend: Backend, seed: int) -> None:
    """Bar 13. They are equal to the byte and signed within one second: a key makes that a second try, no replay."""
    before = backend.queue_status()["queue_depth"]
    body, key = json.dumps(fields(seed)).encode(), {"Idempotency-Key": f"key-{seed}"}
    together = Barrier(REQUESTS)

    def ask(_: int) -> httpx2.Response:
        together.wait(60.0)
        return backend.post(body, signed(body) | key)

    with ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(ask, range(REQUESTS)))
    assert {answer.status_code for answer in answers} == {202}, {answer.text for answer in answers}
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert backend.queue_status()["queue_depth"] == before + 1
    _is_problem(backend.split(headers=key, **fields(seed, aiModel="loud")), 422, "idempotency_key_reused")
    record("13", requests=len(answers), at_once=REQUESTS, jobs=1)


def test_links_that_are_signed_anew_are_the_same_request(backend: Backend, seed: int) -> None:
    key = {"Idempotency-Key": f"key-{seed}"}
    url = "https://example.com/audio.wav?X-Amz-Signature={}"
    jobs = [backend.split(headers=key, **fields(seed, audioUrl=url.format(each))).json()["jobId"] for each in "abc"]
    assert len(set(jobs)) == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"versionId": None}, 422, "invalid_request"),
        ({"versionId": "../../etc"}, 422, "invalid_request"),
        ({"versionId": "a/b"}, 422, "invalid_request"),
        ({"versionId": "outputs"}, 422, "invalid_request"),
        ({"versionId": 7}, 422, "invalid_request"),
        ({"audioUrl": None}, 422, "invalid_request"),
        ({"audioUrl": "song.wav"}, 422, "source_refused"),
        ({"audioUrl": "file:///etc/passwd"}, 422, "source_refused"),
        ({"audioUrl": "http://example.com/a.wav"}, 422, "source_refused"),
        ({"audioUrl": "https://user:secret@example.com/a.wav"}, 422, "source_refused"),
        ({"audioUrl": "https://127.0.0.1/a.wav"}, 422, "source_refused"),
        ({"audioUrl": "https://10.0.0.1/a.wav"}, 422, "source_refused"),
        ({"audioUrl": "https://[::ffff:127.0.0.1]/a.wav"}, 422, "source_refused"),
        ({"audioUrl": "https://169.254.169.254/latest/meta-data"}, 422, "source_refused"),
        ({"audioUrl": "https://0x7f.1/a.wav"}, 422, "source_refused"),
        ({"aiModel": "nothing"}, 422, "unknown_model"),
        ({"aiModel": ""}, 422, "invalid_request"),
        ({"webhook": "https://evil.example/webhooks/demucs"}, 403, "webhook_not_allowed"),
        ({"webhook": f"{HOOK}/"}, 403, "webhook_not_allowed"),
        ({"webhook": f"{HOOK}?x"}, 403, "webhook_not_allowed"),
        ({"webhook": "HTTPS://api.track-tree.com/webhooks/demucs"}, 403, "webhook_not_allowed"),
        ({"stems": ["drums"]}, 422, "unknown_stem"),
        ({"stems": []}, 422, "invalid_request"),
        ({"stems": ["quiet"]}, 422, "bad_params"),  # this model makes both or none
        ({"format": "flac"}, 422, "bad_params"),
        ({"format": "../x"}, 422, "invalid_request"),
        ({"priority": 10}, 422, "invalid_request"),
        ({"priority": "high"}, 422, "invalid_request"),
        ({"correlationId": "a\r\nb"}, 422, "invalid_request"),
        ({"uploadUrls": {"quiet": "https://a.example/q"}}, 422, "bad_upload_urls"),
        ({"uploadUrls": dict.fromkeys(("quiet", "rest"), "https://a.example/q")}, 422, "bad_upload_urls"),
        ({"uploadUrls": {"quiet": "https://a.example/q", "rest": "https://10.0.0.1/r"}}, 422, "upload_url_refused"),
        ({"uploadUrls": {"quiet": "https://a.example/q", "rest": "ftp://a.example/r"}}, 422, "upload_url_refused"),
        ({"colour": "red"}, 422, "invalid_request"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_request_is_said_at_once(
    backend: Backend, seed: int, changes: dict[str, Any], status: int, code: str
) -> None:
    before = backend.queue_status()["queue_depth"]
    answer = backend.split(**fields(seed, **changes))
    _is_problem(answer, status, code)
    assert "secret" not in answer.text
    assert backend.queue_status()["queue_depth"] == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 5000], ids=str)
def test_a_signed_body_that_is_no_request_is_a_client_error(backend: Backend, body: bytes) -> None:
    _is_problem(backend.post(body, signed(body)), 422, "invalid_request")


def test_a_huge_body_is_not_read(backend: Backend) -> None:
    body = b" " * ((1 << 20) + 1)
    _is_problem(backend.post(body, signed(body)), 413, "too_large")


def test_no_other_caller_sees_its_jobs(idle: Service, backend: Backend, seed: int) -> None:
    job_id = backend.split(**fields(seed)).json()["jobId"]
    assert idle.client.http.post(f"/jobs/{job_id}/cancel").status_code == 404


def test_a_job_is_called_off_by_those_who_hold_the_token(backend: Backend, seed: int) -> None:
    job_id = backend.split(**fields(seed)).json()["jobId"]
    path = f"/split/{job_id}/cancel"
    _is_problem(backend.http.post(path), 401, "signature_missing")
    for body in (b"", b'{"jobId": "another"}'):  # what was signed for something else
        _is_problem(backend.http.post(path, content=body, headers=signed(body)), 422, "invalid_request")
    for _ in range(2):
        answer = backend.cancel(job_id)
        assert (answer.status_code, answer.json()) == (200, {"jobId": job_id, "status": "canceled"})
    _is_problem(backend.cancel("none"), 404, "job_not_found")


def test_without_a_token_the_dialect_is_off_and_the_log_says_so(tmp_path: Path) -> None:
    for settings in ({}, {"DEMUCSSVC_TOKEN": ""}):
        with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0", **settings}) as service:
            backend = Backend(service.url)
            assert backend.split(versionId="a").status_code == 404
            assert backend.http.get("/queue/status").status_code == 404
            assert backend.http.get("/healthz").json() == {"ok": True}
            assert any("DEMUCSSVC_TOKEN" in line.get("reason", "") for line in service.logged())


def test_with_a_token_and_no_other_authentication_the_rest_is_closed_to_other_machines(tmp_path: Path) -> None:
    settings = {"DEMUCSSVC_TOKEN": TOKEN, "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings, "--host", "0.0.0.0") as service:  # noqa: S104
        assert Backend(service.url).queue_status()["queue_depth"] == 0
        assert service.client.announce().status_code == 401


def _is_problem(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "\n" not in answer.json()["detail"]
