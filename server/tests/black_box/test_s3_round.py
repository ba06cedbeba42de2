"""The whole round with files in a bucket: uploads, results and downloads pass by the API, on URLs that it signed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chaos import record, scaled
from s3_server import S3Server, flaky_way
from service import COMMAND, Service, environment, running, until, wav

from stemwright_server.adapters.blobs.s3_service import S3Service


@pytest.fixture(scope="module")
def in_bucket(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, S3Service]]:
    """A service with its files in a bucket, and the bucket."""
    bucket = s3_server.bucket("round")
    settings = s3_server.settings("round") | {"MAX_FILE_SIZE": "50000", "STEMWRIGHT_MAX_ATTEMPTS": "1"}
    with running(tmp_path_factory.mktemp("serve") / "data", settings) as service:
        yield service, bucket


def put(url: str, data: bytes) -> int:
    """Straight to the bucket, as often as a busy one asks for."""
    while (answer := httpx2.put(url, content=data, trust_env=False, timeout=60.0)).status_code == 503:
        pass
    return answer.status_code


def get(url: str) -> bytes:
    while (answer := httpx2.get(url, trust_env=False, timeout=60.0)).status_code == 503:
        pass
    assert answer.status_code == 200, answer.text
    return answer.content


def test_a_song_goes_in_and_stems_come_out(
    in_bucket: tuple[Service, S3Service], s3_server: S3Server, seed: int
) -> None:
    service, bucket = in_bucket
    song = wav(seed=seed)
    announced = service.client.announce("song.wav", size=len(song)).json()
    assert announced["upload_url"].startswith(f"{s3_server.url}/round/uploads/{announced['file_id']}?")
    assert put(announced["upload_url"], song) == 200
    job_id = service.client.submit(announced["file_id"])
    job = service.client.wait(announced["file_id"], job_id, "completed")
    for output in job["outputs"]:
        assert output["url"].startswith(f"{s3_server.url}/round/outputs/{announced['file_id']}/gain/")
        stem = httpx2.get(output["url"], trust_env=False, timeout=60.0)
        assert (output["size"], output["sha256"]) == (len(stem.content), hashlib.sha256(stem.content).hexdigest())
        assert stem.headers["content-type"] == "audio/wav"
        assert stem.headers["content-disposition"].startswith("attachment;")
        assert bucket.get_object(output["path"]) == stem.content
    status = service.client.status(announced["file_id"])
    assert (status["size"], status["sha256"]) == (len(song), hashlib.sha256(song).hexdigest())
    until(lambda: bucket.file_exists(f"outputs/{announced['file_id']}/metadata.json"), what="metadata.json")
    until(lambda: service.files() == [], what="no file to be left here")
    assert [path for path in (service.data_dir / "fetched").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("said", "data", "status", "code"),
    [
        ({}, b"hello, I am a text named .wav", 422, "not_audio"),
        ({}, b"", 422, "empty"),
        ({}, wav()[:40], 422, "truncated"),
        ({}, wav(4.0), 413, "too_large"),  # a presigned PUT caps nothing
        ({"size": 5000}, wav(0.1), 422, "size_mismatch"),
        ({"sha256": "0" * 64}, wav(0.2), 422, "checksum_mismatch"),
    ],
    ids=["text", "empty", "truncated", "too-large", "size", "hash"],
)
def test_what_was_put_is_looked_at_before_it_is_used_and_removed_if_it_is_no_good(
    in_bucket: tuple[Service, S3Service], said: dict[str, Any], data: bytes, status: int, code: str
) -> None:
    service, bucket = in_bucket
    announced = service.client.announce(**said).json()
    answer = service.client.process(announced["file_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "not_uploaded")
    assert put(announced["upload_url"], data) == 200
    answer = service.client.process(announced["file_id"])
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not bucket.file_exists(f"uploads/{announced['file_id']}")


def test_a_song_that_is_here_is_found_when_it_is_looked_at(in_bucket: tuple[Service, S3Service], seed: int) -> None:
    service, bucket = in_bucket
    song = wav(seed=seed)
    first, second = (service.client.announce().json() for _ in range(2))
    for announced in (first, second):
        put(announced["upload_url"], song)
    service.client.submit(first["file_id"])
    answer = service.client.process(second["file_id"])
    assert (answer.status_code, answer.json()["file_id"]) == (409, first["file_id"])
    assert not bucket.file_exists(f"uploads/{second['file_id']}")


def test_a_song_that_is_replaced_after_it_was_looked_at_is_not_used(
    in_bucket: tuple[Service, S3Service], seed: int
) -> None:
    """The upload URL still holds; the worker checks the hash of what it gets."""
    service, _ = in_bucket
    announced = service.client.announce().json()
    put(announced["upload_url"], wav(seed=seed))
    blocked = service.client.submit(announced["file_id"], sleep=0.2)
    put(announced["upload_url"], wav(seed=seed + 1))
    job_id = service.client.submit(announced["file_id"], segments=2)
    job = service.client.wait(announced["file_id"], job_id, "failed", seconds=60.0)
    assert job["error"]["code"] == "transfer_failed"
    service.client.wait(announced["file_id"], blocked, "completed", "failed", seconds=60.0)


@pytest.mark.chaos
def test_with_a_fifth_of_all_requests_refused_everything_completes(
    s3_server: S3Server, bucket: S3Service, tmp_path: Path, seed: int
) -> None:
    songs = [wav(0.2, seed=seed + number) for number in range(scaled(5, 100))]
    with (
        flaky_way(s3_server, share=0.2, seed=5) as way,
        running(tmp_path / "data", s3_server.settings(bucket.options.bucket, endpoint=way.url)) as service,
        ThreadPoolExecutor(4) as pool,
    ):

        def round_trip(song: bytes) -> None:
            announced = service.client.announce().json()
            assert put(announced["upload_url"], song) == 200

            def submitted() -> str | None:
                answer = service.client.process(announced["file_id"])
                if answer.status_code == 503:  # only after five refusals in a row
                    assert answer.headers["Retry-After"]
                    return None
                assert answer.status_code == 200, answer.text
                return str(answer.json()["job_id"])

            job_id = until(submitted, what="the job to be taken")
            job = service.client.wait(announced["file_id"], job_id, "completed", seconds=120.0)
            assert len(job["outputs"]) == 2
            for output in job["outputs"]:
                assert hashlib.sha256(get(output["url"])).hexdigest() == output["sha256"]

        list(pool.map(round_trip, songs))
        assert way.refused >= way.passed * 0.1
        record("4", jobs=len(songs), requests=way.passed + way.refused, refused=way.refused, hashes=2 * len(songs))


@pytest.mark.chaos
def test_large_stems_go_in_parts_and_those_of_a_dead_attempt_are_removed(s3_server: S3Server, tmp_path: Path) -> None:
    bucket = s3_server.bucket("large")
    with flaky_way(s3_server, share=0.1, seed=3) as way:
        settings = s3_server.settings("large", endpoint=way.url) | {"STEMWRIGHT_PART_BYTES": str(5 << 20)}
        lease = {"STEMWRIGHT_LEASE_SECONDS": "5", "STEMWRIGHT_HEARTBEAT_SECONDS": "1"}
        with running(tmp_path / "data", settings | lease) as service:
            way.held = r"^PUT .*partNumber=2"
            announced = service.client.announce().json()
            put(announced["upload_url"], wav(700.0))  # 11 MB, and each stem as much
            file_id = announced["file_id"]
            job_id = service.client.submit(file_id)

            def parts(number: int = 2) -> list[str]:
                return [asked for asked in way.asked if asked.startswith("PUT") and f"partNumber={number}" in asked]

            until(parts, seconds=120.0, what="the second part of a stem")
            (worker,) = service.workers()
            os.kill(worker, signal.SIGKILL)
            way.go_on.set()
            job = service.client.wait(file_id, job_id, "completed", seconds=240.0)
            assert job["attempt"] == 2
            for output in job["outputs"]:
                assert hashlib.sha256(get(output["url"])).hexdigest() == output["sha256"]
                assert bucket.get_object_metadata(output["path"]).content_type.startswith("audio/")
            assert all(any(f"{job_id}-2/" in asked for asked in parts(number)) for number in (1, 2, 3))
            until(lambda: not any(f"{job_id}-1/" in found.key for found in bucket.iterate_objects("outputs/")))
            assert bucket.end_uploads("outputs/", datetime.now(UTC)) == 0  # nothing was left to be ended


def test_a_bucket_that_is_not_there_is_one_line_at_the_start(s3_server: S3Server, tmp_path: Path) -> None:
    settings = s3_server.settings("no-such-bucket")
    ended = subprocess.run(
        [*COMMAND, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
        env=environment(tmp_path, settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("stemwright: error: There is no bucket 'no-such-bucket'")
    assert len(ended.stderr.splitlines()) == 1
    assert settings["S3_SECRET_ACCESS_KEY"] not in ended.stderr


def test_a_bucket_that_does_not_answer_is_503_and_the_service_stays_up(tmp_path: Path, s3_server: S3Server) -> None:
    settings = s3_server.settings("none", endpoint="http://127.0.0.1:9") | {"STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings) as service:
        announced = service.client.announce().json()  # signing needs no connection
        answer = service.client.http.post(
            "/process", json={"file_id": announced["file_id"], "model": "gain"}, timeout=90.0
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "storage_unreachable")
        assert answer.headers["Retry-After"]
        assert "the-secret" not in answer.text
        assert service.client.http.get("/models").status_code == 200
        assert any(line["event"] == "storage_not_ready" for line in service.logged())


def test_while_the_store_is_away_nothing_is_claimed_and_health_says_so(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    store = S3Server(tmp_path / "one")
    port = store.port
    try:
        store.bucket("songs")
        with running(tmp_path / "data", store.settings("songs")) as service:
            client, song = service.client, wav(seed=1)
            announced = client.announce("song.wav", size=len(song)).json()
            assert put(announced["upload_url"], song) == 200
            first = client.submit(announced["file_id"])
            client.wait(announced["file_id"], first, "completed")
            store.process.kill()
            store.process.wait()
            until(lambda: client.http.get("/health").json()["status"] == "store_away", what="health to say so")
            assert "demucs_store_up 0.0" in client.http.get("/metrics").text
            waiting = client.submit(announced["file_id"], segments=2)
            client.http.get(
                "/status/" + announced["file_id"]
            )  # a worker that waits is woken by the submit; it gets nothing
            job = client.job(announced["file_id"], waiting)
            assert (job["status"], job["attempt"]) == ("queued", 0)
            store = S3Server(tmp_path / "two", address=f"127.0.0.1:{port}")
            store.bucket("songs")
            until(lambda: client.http.get("/health").json()["status"] == "ok", what="the store to be back")
            assert {line["event"] for line in service.logged()} >= {"store_away", "store_back"}
    finally:
        store.process.kill()
        store.process.wait()
