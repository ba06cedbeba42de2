"""What is refused at the door, how, and that nothing of it is left."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from service import Client, Service, running, until, wav

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
ZIP = b"PK\x03\x04" + bytes(200)
PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nhttp://169.254.169.254/latest/meta-data\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with narrow caps and no worker."""
    settings = {"MAX_FILE_SIZE": "20000", "MAX_DURATION": "1.5", "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path_factory.mktemp("small") / "data", settings) as service:
        yield service


def test_a_caller_who_hangs_up_in_mid_request_is_no_fault_of_the_service(small: Service) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    for path in ("/worker/report", "/process", "/split"):
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: cut-off-{path[1:4]}\r\n"
            connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())

    def seen() -> bool:
        return len([line for line in small.logged() if str(line.get("request_id")).startswith("cut-off")]) >= 3

    until(seen, what="the requests in the log")
    assert "unexpected_error" not in {line["event"] for line in small.logged()}


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"hello, I am a text named .wav", 422, "not_audio"),
        (PNG, 422, "not_audio"),
        (ZIP, 422, "not_audio"),
        (PLAYLIST, 422, "not_audio"),
        (b"<?xml version='1.0'?><MPD/>", 422, "not_audio"),
        (b"\xff", 422, "not_audio"),
        (wav()[:40], 422, "truncated"),
        (wav(0.0), 422, "no_samples"),
        (wav(1.6, rate=2000), 413, "too_long"),
        (wav(1.4), 413, "too_large"),
    ],
    ids=["empty", "text", "png", "zip", "m3u8", "dash", "one-byte", "truncated", "no-samples", "too-long", "too-large"],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_left(
    small: Service, data: bytes, status: int, code: str
) -> None:
    announced = small.client.announce("song.wav").json()
    answer = small.client.put(announced["upload_url"], data)
    _is_problem(answer, status, code)
    assert str(small.data_dir) not in answer.text
    assert small.files() == []
    assert small.client.status(announced["file_id"])["status"] == "waiting_for_upload"
    _is_problem(small.client.process(announced["file_id"]), 409, "not_uploaded")
    again = small.client.put(announced["upload_url"], wav(seed=len(data)))  # the URL still takes a good file
    assert again.status_code == 201
    (small.data_dir / "blobs" / "uploads" / announced["file_id"]).unlink()


def test_a_size_over_the_cap_is_refused_before_anything_is_sent(small: Service) -> None:
    _is_problem(small.client.announce(size=20001), 413, "too_large")


def test_more_than_announced_is_cut_off_without_a_content_length(small: Service) -> None:
    announced = small.client.announce(size=1000).json()

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1000)

    answer = small.client.http.put(announced["upload_url"], content=endless())
    _is_problem(answer, 413, "too_large")
    assert small.files() == []


def test_less_than_announced_is_not_taken_for_the_whole(small: Service) -> None:
    announced = small.client.announce(size=5000).json()
    _is_problem(small.client.put(announced["upload_url"], wav(0.1)), 422, "size_mismatch")
    assert small.files() == []


def test_other_bytes_than_announced_are_refused(small: Service) -> None:
    announced = small.client.announce(sha256="0" * 64).json()
    _is_problem(small.client.put(announced["upload_url"], wav(0.1)), 422, "checksum_mismatch")
    digest = {"Content-Digest": "sha-256=:AAAA:"}
    answer = small.client.http.put(announced["upload_url"], content=wav(0.1), headers=digest)
    _is_problem(answer, 422, "checksum_mismatch")
    assert small.files() == []


@pytest.mark.parametrize("change", ["sig", "expires", "max", "key"])
def test_a_url_that_was_tampered_with_opens_nothing(small: Service, change: str) -> None:
    url = small.client.announce().json()["upload_url"]
    changed = {
        "sig": lambda: url[:-1] + ("0" if url[-1] != "0" else "1"),
        "expires": lambda: url.replace("expires=1", "expires=9"),
        "max": lambda: url.replace("max=", "max=9"),
        "key": lambda: url.replace("/blobs/uploads/", "/blobs/outputs/"),
    }[change]()
    assert changed != url
    _is_problem(small.client.put(changed, wav(0.1)), 403, "bad_signature")
    _is_problem(small.client.http.get(url), 403, "bad_signature")  # a PUT URL does not read
    assert small.files() == []


def test_keys_cannot_climb_out(small: Service) -> None:
    for path in (
        "/blobs/../stemwright.db",
        "/blobs/%2e%2e/url.key",
        "/blobs/uploads/..%2f..%2furl.key",
        "/blobs//etc/passwd",
    ):
        assert small.client.http.get(path).status_code in (403, 404)


def test_an_upload_url_is_void_after_its_time(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_UPLOAD_SECONDS": "0.01", "STEMWRIGHT_WORKERS": "0"}) as service:
        url = service.client.announce().json()["upload_url"]
        import time

        time.sleep(1.1)  # expiry has whole seconds
        _is_problem(service.client.put(url, wav()), 403, "url_expired")


def test_a_song_that_is_here_is_found_before_it_is_sent_and_after(client: Client, seed: int) -> None:
    song = wav(seed=seed)
    digest = hashlib.sha256(song).hexdigest()
    first = client.upload(song)
    known = client.announce(sha256=digest)
    assert known.status_code == 409
    assert known.json() | {"error": "Song already exists", "file_id": first} == known.json()
    undeclared = client.announce().json()
    for _ in range(2):  # asking again after a lost answer gets the same one
        sent = client.put(undeclared["upload_url"], song)
        assert sent.status_code == 409
        assert sent.json() | {"error": "Song already exists", "file_id": first} == sent.json()
    job = client.submit(sent.json()["file_id"])
    assert client.wait(first, job, "completed")


def test_the_same_song_uploaded_at_once_becomes_one_file(service: Service, client: Client, seed: int) -> None:
    song = wav(seed=seed)
    urls = [client.announce().json() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda announced: client.put(announced["upload_url"], song), urls))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    here = [url["file_id"] for url in urls if (service.data_dir / "blobs" / "uploads" / url["file_id"]).exists()]
    assert here == [answers[0].json()["file_id"]]


def test_a_put_may_be_repeated_but_not_changed(client: Client, seed: int) -> None:
    url = client.announce().json()["upload_url"]
    song = wav(seed=seed)
    assert client.put(url, song).status_code == 201
    assert client.put(url, song).status_code == 201
    _is_problem(client.put(url, wav(seed=seed + 1)), 409, "already_uploaded")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nothing"}, 422, "unknown_model"),
        ({"variation": "quarter"}, 422, "unknown_variation"),
        ({"params": {"colour": "red"}}, 422, "bad_params"),
        ({"params": 3}, 422, "invalid_request"),
        ({"colour": "red"}, 422, "invalid_request"),
        ({"file_id": "0" * 32}, 404, "file_not_found"),
        ({"file_id": "../../etc/passwd"}, 404, "file_not_found"),
        ({"file_id": ""}, 422, "invalid_request"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    client: Client, seed: int, body: dict[str, Any], status: int, code: str
) -> None:
    file_id = client.upload(wav(seed=seed))
    _is_problem(client.process(**{"file_id": file_id} | body), status, code)
    assert client.status(file_id)["jobs"] == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"file_id": "x", "model": "gain", "params": {"sleep": NaN}}',
        b"\xff\xfe",
        b"[" * 5000,
    ],
    ids=["nothing", "cut", "list", "null", "nan", "bytes", "deep"],
)
@pytest.mark.parametrize("path", ["/upload", "/process"])
def test_a_body_that_is_no_request_is_a_client_error(client: Client, path: str, raw: bytes) -> None:
    answer = client.http.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["code"]


def test_half_a_character_in_a_name_or_param_is_a_client_error(client: Client) -> None:
    for path, body in (
        ("/upload", {"filename": "\ud800.wav"}),
        ("/upload", {"filename": "a\nb.wav"}),
        ("/process", {"file_id": "x", "model": "gain", "params": {"a": "\ud800"}}),
        ("/process", {"file_id": "x", "model": "\ud800"}),
    ):
        answer = client.http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text


def test_a_body_over_a_megabyte_is_refused_except_on_upload_urls(client: Client, seed: int) -> None:
    json_type = {"Content-Type": "application/json"}
    _is_problem(client.http.post("/process", content=b" " * ((1 << 20) + 1), headers=json_type), 413, "too_large")

    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    _is_problem(client.http.post("/process", content=endless(), headers=json_type), 413, "too_large")
    file_id = client.upload(wav(70.0, seed=seed))
    assert client.status(file_id)["size"] > 1 << 20


def test_unknown_things_are_not_found(client: Client) -> None:
    _is_problem(client.http.get("/status/none"), 404, "file_not_found")
    _is_problem(client.http.get("/events/none"), 404, "file_not_found")
    _is_problem(client.http.post("/jobs/none/cancel"), 404, "job_not_found")
    _is_problem(client.http.get("/no/such/route"), 404, "not_found")
    _is_problem(client.http.get("/upload"), 405, "method_not_allowed")


def test_one_idempotency_key_and_a_hundred_requests_make_one_job(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    headers = {"Idempotency-Key": f"key-{seed}"}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.process(file_id, headers=headers), range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert len(client.status(file_id)["jobs"]) == 1
    other = client.process(file_id, headers=headers, params={"segments": 2})
    _is_problem(other, 422, "idempotency_key_reused")


def test_a_hundred_equal_requests_without_a_key_make_one_job_too(client: Client, seed: int) -> None:
    file_id = client.upload(wav(seed=seed))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.process(file_id), range(100)))
    assert len({answer.json()["job_id"] for answer in answers}) == 1


def test_a_key_holds_for_a_canceled_job_but_the_work_can_be_asked_for_anew(small: Service) -> None:
    client = small.client
    file_id = client.upload(wav(0.3, seed=77))
    headers = {"Idempotency-Key": "mine"}
    job_id = client.process(file_id, headers=headers).json()["job_id"]
    assert client.http.post(f"/jobs/{job_id}/cancel").json()["status"] == "canceled"
    assert client.process(file_id, headers=headers).json()["job_id"] == job_id
    assert client.process(file_id).json()["job_id"] != job_id


def test_with_too_little_room_intake_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
        file_id = service.client.upload(wav())
        announced = service.client.announce().json()
    with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_MIN_FREE_BYTES": str(1 << 60)}) as service:
        _is_problem(service.client.announce(), 507, "insufficient_storage")
        _is_problem(service.client.process(file_id), 507, "insufficient_storage")
        url = announced["upload_url"].split("/blobs/")[1]
        _is_problem(service.client.put(f"{service.url}/blobs/{url}", wav(seed=1)), 507, "insufficient_storage")
        assert service.client.status(file_id)["jobs"] == []
        assert service.files() == [f"blobs/uploads/{file_id}"]


def _is_problem(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["detail"] == document["error"]
    assert document["request_id"] == answer.headers["X-Request-ID"]
    assert "\n" not in document["detail"]
