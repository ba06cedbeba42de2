"""The stemify API, as its document's curl commands use it, through a real service."""

from __future__ import annotations

import hashlib
import json
import subprocess
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from origin import body, serving
from service import Client, Service, running, until, wav

SETTINGS = {"DEMUCS_DEFAULT_MODEL": "half", "API_RATE_LIMIT": "0", "DEMUCS_MAX_FILE_SIZE": "200000"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("stemify") / "data", SETTINGS | {"DEMUCS_MAX_DURATION": "5"}) as service:
        until(lambda: service.client.http.get("/health").json()["workers"], what="a worker")
        yield service


@pytest.fixture
def client(service: Service) -> Client:
    return service.client


def stemify(client: Client, song: bytes, filename: str = "audio.wav", **fields: str) -> Any:
    files = {"file": (filename, song, "audio/wav")}
    return client.http.post("/api/v1/stemify", files=files, data=fields)


def wait(client: Client, job_id: str, *states: str) -> Any:
    def there() -> Any:
        job = client.http.get(f"/api/v1/jobs/{job_id}").json()
        return job if job["status"] in states else None

    return until(there, what=f"{job_id} to be {states}")


def test_the_documents_curl_commands_work(service: Service, client: Client, seed: int, tmp_path: Path) -> None:
    song = tmp_path / "audio.wav"
    song.write_bytes(wav(seed=seed))

    def curl(*arguments: str) -> str:
        command = ["curl", "-s", "--noproxy", "*", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    form = ["-F", f"file=@{song}", "-F", "model=loud", "-F", "output_format=wav"]
    made = json.loads(curl("-X", "POST", f"{service.url}/api/v1/stemify", *form))
    assert made.get("status") == "pending", made
    assert made["message"] == "Job created successfully"
    job = wait(client, made["job_id"], "completed")
    assert made["job_id"] == job["job_id"] == str(uuid.UUID(made["job_id"]))  # as documented, with its hyphens
    assert client.http.get(f"/api/v1/jobs/{made['job_id'].replace('-', '')}").json() | {"result": None} == job | {
        "result": None
    }
    assert json.loads(curl(f"{service.url}/api/v1/jobs/{made['job_id']}"))["status"] == "completed"
    assert job["progress"] == 100
    assert job["error"] is None
    assert job["result"]["metadata"] == {
        "original_filename": "audio.wav",
        "duration": 0.5,
        "format": "wav",
        "model": "loud",
    }
    assert set(job["result"]["stems"]) == {"quiet", "rest"}
    for stem in job["result"]["stems"].values():
        data = client.http.get(stem["url"]).content
        assert (stem["size"], stem["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert (stem["duration"], stem["content_type"]) == (0.5, "audio/wav")
    assert 0 < job["result"]["processing_time"] < 60
    created, updated = (datetime.fromisoformat(job[name]) for name in ("created_at", "updated_at"))
    assert created.tzinfo is not None
    assert created < updated
    removed = curl(
        "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}", f"{service.url}/api/v1/jobs/{job['job_id']}"
    )
    assert removed == "200"


def test_a_deleted_job_is_gone_at_once_and_its_files_soon(service: Service, client: Client, seed: int) -> None:
    job_id = stemify(client, wav(seed=seed)).json()["job_id"]
    stems = wait(client, job_id, "completed")["result"]["stems"]
    removed = client.http.delete(f"/api/v1/jobs/{job_id}")
    assert (removed.status_code, removed.json()) == (200, {"job_id": job_id, "message": "Job deleted successfully"})
    for again in (client.http.get, client.http.delete):
        answer = again(f"/api/v1/jobs/{job_id}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
    until(lambda: client.http.get(stems["quiet"]["url"]).status_code == 404, what="the stem to go")
    until(lambda: not [name for name in service.files() if uuid.UUID(job_id).hex in name], what="all outputs to go")


def test_deleting_stops_a_running_job(service: Service, client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))  # the form has no field that makes a job slow
    running_job = client.submit(file_id, segments=600, sleep=0.1)
    wait(client, running_job, "processing")
    assert client.http.delete(f"/api/v1/jobs/{running_job}").status_code == 200
    next_job = stemify(client, wav(seed=seed + 1)).json()["job_id"]
    wait(client, next_job, "completed")  # the one worker is free again, long before 60 s


def test_every_call_makes_a_job_of_its_own_but_for_its_key(client: Client, seed: int) -> None:
    song = wav(seed=seed)
    one, two = (stemify(client, song).json()["job_id"] for _ in range(2))
    assert one != two
    client.http.delete(f"/api/v1/jobs/{one}")
    wait(client, two, "completed")  # it is not the deleted one's
    files = {"file": ("audio.wav", song)}
    keyed = [
        client.http.post("/api/v1/stemify", files=files, headers={"Idempotency-Key": f"k{seed}"}).json()["job_id"]
        for _ in range(2)
    ]
    assert keyed[0] == keyed[1]


def test_equal_work_is_not_done_again_and_each_job_goes_alone(client: Client, seed: int) -> None:
    song = wav(seed=seed)
    first = stemify(client, song).json()["job_id"]
    made = wait(client, first, "completed")["result"]
    again = stemify(client, song, "another name.wav").json()
    assert (again["status"], again["estimated_duration"]) == ("completed", 0)
    assert client.http.delete(f"/api/v1/jobs/{first}").status_code == 200
    result = client.http.get(f"/api/v1/jobs/{again['job_id']}").json()["result"]
    assert result["metadata"] == made["metadata"] | {"original_filename": "another name.wav"}
    for name, stem in result["stems"].items():
        assert stem["sha256"] == made["stems"][name]["sha256"]
        assert hashlib.sha256(client.http.get(stem["url"]).content).hexdigest() == stem["sha256"]
    other = stemify(client, song, model="loud").json()
    assert other["status"] == "pending"
    wait(client, other["job_id"], "completed")


def test_the_estimate_is_what_was_measured_or_says_why_there_is_none(client: Client, seed: int) -> None:
    first = stemify(client, wav(seed=seed), model="half").json()
    wait(client, first["job_id"], "completed")
    measured = stemify(client, wav(2.0, seed=seed), model="half").json()
    assert measured["estimate_note"] is None
    assert 0 <= measured["estimated_duration"] < 60
    wait(client, measured["job_id"], "completed")


def test_no_estimate_without_a_measured_job(tmp_path: Path) -> None:
    with running(tmp_path / "data", SETTINGS | {"STEMWRIGHT_WORKERS": "0"}) as service:
        made = stemify(service.client, wav()).json()
        assert made["estimated_duration"] is None
        assert made["estimate_note"] == "No worker is there now."
        health = service.client.http.get("/api/v1/health").json()
        assert health["status"] == "degraded"
        assert health["queue_status"] == {"active_jobs": 0, "queued_jobs": 1, "workers_available": 0}


def test_a_failed_and_a_canceled_job_say_so(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    failed = client.submit(file_id, fail="not_music")
    job = wait(client, failed, "failed")
    error = job["error_detail"]
    assert (error["code"], error["status_code"]) == ("not_music", 422)
    assert job["error"] == error["message"] != ""  # a string: OX Board's client shows it as it is
    canceled = client.submit(file_id, segments=600, sleep=0.1)
    client.http.post(f"/jobs/{canceled}/cancel")
    job = wait(client, canceled, "failed")
    assert (job["error"], job["error_detail"]["code"]) == ("The job was canceled.", "canceled")
    assert job["result"] is None


def test_health_names_models_and_workers(client: Client) -> None:
    health = client.http.get("/api/v1/health").json()
    assert (health["status"], health["models_available"]) == ("healthy", ["loud", "half"])
    assert health["version"]
    assert set(health["queue_status"]) == {"active_jobs", "queued_jobs", "workers_available"}
    assert health["queue_status"]["workers_available"] == 1


@pytest.mark.parametrize(
    ("song", "fields", "status", "code"),
    [
        (wav(), {"model": "no_such"}, 422, "unknown_model"),
        (wav(), {"output_format": "aiff-c"}, 422, "bad_params"),
        (wav(), {"normalize": "perhaps"}, 422, "invalid_request"),
        (wav(), {"stems": "vocals"}, 422, "unknown_field"),
        (wav(), {"youtube_url": "https://youtube.com/watch?v=x"}, 422, "two_inputs"),
        (None, {"model": "half"}, 422, "no_input"),
        (b"hello", {}, 422, "not_audio"),
        (b"", {}, 422, "empty"),
        (wav(6.0, seed=77), {}, 413, "too_long"),
        (wav(60.0), {}, 413, "too_large"),
    ],
)
def test_what_cannot_be_done_is_said_in_the_dialects_own_shape(
    service: Service, client: Client, song: bytes | None, fields: dict[str, str], status: int, code: str
) -> None:
    before = service.stored()
    if song is None:
        answer = client.http.post("/api/v1/stemify", files={"model": (None, fields["model"])})
    else:
        answer = stemify(client, song, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["status_code"], error["code"]) == (status, status, code), error
    assert set(error) == {"code", "message", "status_code", "context"}
    assert service.stored() == before  # nothing is left of what was refused


def test_a_body_without_a_length_is_capped_while_it_comes(client: Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + wav()
        for _ in range(40):
            yield bytes(1 << 16)
        yield b"\r\n--x--\r\n"

    answer = client.http.post(
        "/api/v1/stemify", content=chunks(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_errors_before_any_route_have_the_shape_too(client: Client) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("PUT", "/api/v1/health", 405)):
        answer = client.http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["status_code"]) == (status, status)
    assert "error" in client.http.get("/nothing").json()  # elsewhere it is the problem document


def test_tokens_count_here_as_well(tmp_path: Path) -> None:
    import time

    import jwt

    secret = "s" * 32
    with running(tmp_path / "data", SETTINGS | {"JWT_SECRET": secret, "STEMWRIGHT_WORKERS": "0"}) as service:
        one, other = (
            Client(service.url, jwt.encode({"sub": name, "exp": time.time() + 60}, secret)) for name in ("one", "other")
        )
        refused = stemify(service.client, wav())
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthenticated")
        job_id = stemify(one, wav()).json()["job_id"]
        assert one.http.get(f"/api/v1/jobs/{job_id}").status_code == 200
        assert other.http.get(f"/api/v1/jobs/{job_id}").status_code == 404
        assert other.http.delete(f"/api/v1/jobs/{job_id}").status_code == 404
        assert service.client.http.get("/api/v1/health").status_code == 200


def test_five_jobs_in_an_hour_if_nothing_else_is_set(tmp_path: Path) -> None:
    settings = {name: value for name, value in SETTINGS.items() if name != "API_RATE_LIMIT"}
    with running(tmp_path / "data", settings | {"STEMWRIGHT_WORKERS": "0"}) as service:
        answers = [stemify(service.client, wav(seed=number)) for number in range(6)]
    assert [answer.status_code for answer in answers] == [202] * 5 + [429]
    assert answers[0].headers["RateLimit-Policy"] == '"stemify";q=5;w=3600'


def test_the_rate_is_limited_and_said_in_headers(tmp_path: Path) -> None:
    settings = SETTINGS | {"API_RATE_LIMIT": "2", "API_RATE_LIMIT_PERIOD": "600", "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings) as service:
        answers = [stemify(service.client, wav(seed=number)) for number in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        assert answers[0].headers["RateLimit-Policy"] == '"stemify";q=2;w=600'
        assert 0 < int(answers[2].headers["Retry-After"]) <= 600
        assert answers[2].json()["error"]["status_code"] == 429
        job_id = answers[0].json()["job_id"]
        assert service.client.http.get(f"/api/v1/jobs/{job_id}").status_code == 200  # asking is not counted


def test_a_link_is_fetched_by_the_worker_and_its_title_is_the_name(tmp_path: Path, seed: int) -> None:
    song = wav(seed=seed)
    settings = SETTINGS | {
        "STEMWRIGHT_YOUTUBE_HOSTS": "127.0.0.1",
        "YOUTUBE_DOWNLOAD_DIR": str(tmp_path / "downloads"),
        "YOUTUBE_MAX_DURATION": "5",
    }
    with serving() as origin, running(tmp_path / "data", settings) as service:
        origin.answers["/A%20fine%20song.wav"] = body(song, content_type="audio/wav")
        origin.answers["/long.wav"] = body(wav(6.0), content_type="audio/wav")

        def ask(url: str) -> Any:
            return service.client.http.post("/api/v1/stemify", files={"youtube_url": (None, url)})

        made = ask(f"{origin.url}/A%20fine%20song.wav")
        assert made.status_code == 202, made.text
        assert made.json()["estimate_note"] == "The length of the audio is not known yet."
        job = wait(service.client, made.json()["job_id"], "completed", "failed")
        assert job["error"] is None
        assert job["result"]["metadata"]["original_filename"] == "A fine song"
        assert job["result"]["metadata"]["duration"] == 0.5
        quiet = service.client.http.get(job["result"]["stems"]["quiet"]["url"]).content
        assert len(quiet) == len(song)

        gone = wait(service.client, ask(f"{origin.url}/gone.wav").json()["job_id"], "failed")
        assert (gone["error_detail"]["code"], gone["error_detail"]["status_code"]) == ("youtube_removed", 422)
        # Its length is not known before it is decoded: over the cap all the same.
        long = wait(service.client, ask(f"{origin.url}/long.wav").json()["job_id"], "failed")
        assert long["error_detail"]["code"] == "too_long"

        refused = ask("https://vimeo.com/1")
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unsupported_host")
        assert list((tmp_path / "downloads").iterdir()) == []
