"""The S3 service's fifteen methods against a server that checks signatures; its errors, retries and uploads in parts."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from botocore.stub import Stubber
from s3_server import SECRET_KEY, S3Server, flaky_way

from stemwright_server.adapters.blobs.s3 import S3Blobs
from stemwright_server.adapters.blobs.s3_client import S3Options, boto_session, make_client
from stemwright_server.adapters.blobs.s3_service import S3Service
from stemwright_server.settings.storage import LOCALSTACK, StorageSettings
from stemwright_worker.errors import InvalidRequest, NotFound, Unavailable

LATER = datetime.now(UTC) + timedelta(days=1)


def test_a_file_goes_there_and_comes_back(bucket: S3Service, tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(b"bytes of a song")
    name = bucket.options.bucket
    assert bucket.test_connection()
    assert bucket.upload_file(tmp_path / "song.wav", "audio/song.wav") == f"s3://{name}/audio/song.wav"
    assert bucket.file_exists("audio/song.wav")
    assert not bucket.file_exists("audio/other.wav")
    assert bucket.download_file("audio/song.wav", tmp_path / "back.wav") == str(tmp_path / "back.wav")
    assert (tmp_path / "back.wav").read_bytes() == b"bytes of a song"
    assert bucket.get_object("audio/song.wav") == b"bytes of a song"
    found = bucket.get_object_metadata("audio/song.wav")
    assert (found.size, found.content_type) == (15, "audio/x-wav")
    assert abs(found.modified.timestamp() - time.time()) < 600
    assert bucket.copy_object("audio/song.wav", "audio/copy.wav") == f"s3://{name}/audio/copy.wav"
    assert bucket.get_object("audio/copy.wav") == b"bytes of a song"
    assert bucket.upload_fileobj(io.BytesIO(b"{}"), "audio/report.json") == f"s3://{name}/audio/report.json"
    assert bucket.get_object_metadata("audio/report.json").content_type == "application/json"
    assert [(each.key, each.size) for each in bucket.list_objects("audio/")] == [
        ("audio/copy.wav", 15),
        ("audio/report.json", 2),
        ("audio/song.wav", 15),
    ]
    bucket.delete_file("audio/copy.wav")
    assert [each.key for each in bucket.list_objects()] == ["audio/report.json", "audio/song.wav"]
    bucket.delete_objects(["audio/report.json", "audio/song.wav", "audio/never-was"])
    assert bucket.list_objects("audio/") == []
    bucket.delete_file("audio/copy.wav")


def test_a_presigned_url_is_all_that_is_needed(bucket: S3Service) -> None:
    put = bucket.generate_presigned_put_url("a b/é.wav")
    assert httpx2.put(put, content=b"data", headers={"Content-Type": "audio/wav"}, trust_env=False).status_code == 200
    answer = httpx2.get(bucket.generate_presigned_get_url("a b/é.wav", 60), trust_env=False)
    assert (answer.content, answer.headers["content-type"]) == (b"data", "audio/wav")
    assert "X-Amz-Expires=604800" in bucket.generate_presigned_put_url("x", 10**9)  # S3's own limit
    assert SECRET_KEY not in put


def test_what_is_not_there_is_not_found(bucket: S3Service, tmp_path: Path) -> None:
    asked: list[Callable[[], object]] = [
        lambda: bucket.get_object("none"),
        lambda: bucket.get_object_metadata("none"),
        lambda: bucket.download_file("none", tmp_path / "none"),
        lambda: bucket.copy_object("none", "other"),
    ]
    for ask in asked:
        with pytest.raises(NotFound):
            ask()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        bucket.upload_file(tmp_path / "none", "key")


class SmallPages:
    """A client whose listings come in pages of three."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_paginator(self, name: str) -> Any:
        pages = self._client.get_paginator(name)
        return SimpleNamespace(paginate=partial(pages.paginate, PaginationConfig={"PageSize": 3}))


def test_more_than_a_page_is_listed_and_deleted(bucket: S3Service) -> None:
    paged = S3Service(bucket.options, client=SmallPages(make_client(bucket.options)), deleted_at_once=3)
    keys = [f"many/{number:02}" for number in range(8)]
    for key in keys:
        paged.put_object(key, b"x")
    assert [each.key for each in paged.list_objects("many/")] == keys
    paged.delete_objects(keys)
    assert paged.list_objects("many/") == []


# Tags: rclone's server has none, so they are shown against botocore's own stub, which knows their shapes only.


def test_tags_are_set_and_got(s3_server: S3Server) -> None:
    client = make_client(s3_server.options("any"))
    service = S3Service(s3_server.options("any"), client=client)
    with Stubber(client) as stub:
        where = {"Bucket": "any", "Key": "a.wav"}
        tags = [{"Key": "type", "Value": "audio"}, {"Key": "processed", "Value": "true"}]
        stub.add_response("put_object_tagging", {}, where | {"Tagging": {"TagSet": tags}})
        stub.add_response("get_object_tagging", {"TagSet": tags}, where)
        service.set_object_tags("a.wav", {"type": "audio", "processed": "true"})
        assert service.get_object_tags("a.wav") == {"type": "audio", "processed": "true"}
        stub.add_client_error("put_object_tagging", "NotImplemented", http_status_code=501)
        with pytest.raises(Unavailable, match="NotImplemented"):
            service.set_object_tags("a.wav", {"a": "b"})
        stub.assert_no_pending_responses()


# Parts


def test_much_goes_in_parts_and_comes_back_whole(s3_server: S3Server, bucket: S3Service, tmp_path: Path) -> None:
    data = random.Random(1).randbytes((12 << 20) + 7)
    (tmp_path / "stem.wav").write_bytes(data)
    with flaky_way(s3_server, share=0.0, seed=0) as way:
        watched = S3Service(s3_server.options(bucket.options.bucket, endpoint=way.url))
        watched.upload_file(tmp_path / "stem.wav", "outputs/stem.wav")
        assert sum("partNumber=" in asked for asked in way.asked) == 3  # of 5 MiB
    bucket.download_file("outputs/stem.wav", tmp_path / "back.wav")
    assert (tmp_path / "back.wav").read_bytes() == data
    assert bucket.end_uploads("", LATER) == 0


def test_the_parts_of_an_upload_that_fails_are_removed(bucket: S3Service) -> None:
    class Broken(io.RawIOBase):
        left = 11 << 20

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            if self.left < 0:
                raise RuntimeError("the disk is gone")
            return bytes(size)

    with pytest.raises(RuntimeError):
        bucket.upload_fileobj(Broken(), "outputs/stem.wav")  # type: ignore[arg-type]
    assert not bucket.file_exists("outputs/stem.wav")
    assert bucket.end_uploads("", LATER) == 0


def test_uploads_that_a_dead_process_left_are_ended_ours_and_old_ones_only(bucket: S3Service, tmp_path: Path) -> None:
    client = make_client(bucket.options)
    for key in ("outputs/a.wav", "uploads/b.wav", "elsewhere/c.wav"):
        begun = client.create_multipart_upload(Bucket=bucket.options.bucket, Key=key)
        part = {"Bucket": bucket.options.bucket, "Key": key, "UploadId": begun["UploadId"], "PartNumber": 1}
        client.upload_part(Body=bytes(5 << 20), **part)
    now = [time.time()]
    blobs = S3Blobs(bucket, tmp_path / "fetched", clock=lambda: now[0])
    blobs.end_abandoned(now[0] - 3600)
    assert _begun(bucket) == ["elsewhere/c.wav", "outputs/a.wav", "uploads/b.wav"]
    blobs.end_abandoned(now[0] + 3600)  # an hour has not passed since the last look
    assert len(_begun(bucket)) == 3
    now[0] += 3601
    blobs.end_abandoned(now[0])
    assert _begun(bucket) == ["elsewhere/c.wav"]
    assert bucket.end_uploads("elsewhere/", LATER) == 1


def _begun(bucket: S3Service) -> list[str]:
    found = make_client(bucket.options).list_multipart_uploads(Bucket=bucket.options.bucket)
    return sorted(each["Key"] for each in found.get("Uploads", ()))


# Failures


def test_a_fifth_of_all_requests_refused_is_not_noticed(s3_server: S3Server, bucket: S3Service, tmp_path: Path) -> None:
    songs = {f"outputs/{number}.wav": random.Random(number).randbytes(20_000) for number in range(8)}
    songs["outputs/large.wav"] = random.Random(99).randbytes(11 << 20)
    with flaky_way(s3_server, share=0.2, seed=3) as way:
        flaky = S3Service(s3_server.options(bucket.options.bucket, endpoint=way.url, tries=8))
        for key, data in songs.items():
            flaky.upload_fileobj(io.BytesIO(data), key)
        for key, data in songs.items():
            flaky.download_file(key, tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == data
        assert {each.key for each in flaky.list_objects()} == set(songs)
        assert way.refused >= 2
    assert {key: bucket.get_object(key) for key in songs} == songs
    assert bucket.end_uploads("", LATER) == 0


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"secret_access_key": "wrong"}, "storage_denied", "S3_SECRET_ACCESS_KEY"),
        ({"access_key_id": "AKIAUNKNOWNUNKNOWN"}, "storage_denied", "S3_ACCESS_KEY_ID"),
        ({"bucket": "no-such-bucket"}, "storage_no_bucket", "There is no bucket 'no-such-bucket' at 127.0.0.1:"),
        ({"endpoint": "http://user:pass@127.0.0.1:9"}, "storage_unreachable", "does not answer"),
    ],
    ids=["secret", "key", "bucket", "endpoint"],
)
def test_what_is_wrong_with_the_bucket_is_one_line_and_no_secret(
    s3_server: S3Server, bucket: S3Service, tmp_path: Path, change: dict[str, Any], code: str, words: str
) -> None:
    options = replace(s3_server.options(bucket.options.bucket, tries=2), **change)
    service = S3Service(options)
    blobs = S3Blobs(service, tmp_path / "fetched")
    asked: list[Callable[[], object]] = [
        service.connect,
        lambda: blobs.write("uploads/a", b"x"),
        lambda: blobs.delete_prefix("outputs/t/"),
        lambda: blobs.end_abandoned(0.0),
    ]
    for ask in asked:
        with pytest.raises(Unavailable) as caught:
            ask()
        assert caught.value.code == code
        assert words in str(caught.value)
        assert caught.value.retryable
        for secret in ("\n", SECRET_KEY, "wrong", "pass", "AKIA"):
            assert secret not in str(caught.value)
    assert not service.test_connection()
    assert "secret" not in repr(options).replace("secret_access_key", "")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("PermanentRedirect", "storage_denied"),  # another region
        ("ExpiredToken", "storage_denied"),
        ("NoSuchBucket", "storage_no_bucket"),
        ("EntityTooLarge", "storage_failed"),
    ],
)
def test_what_other_stores_answer_has_its_code_too(s3_server: S3Server, said: str, code: str) -> None:
    client = make_client(s3_server.options("any"))
    service = S3Service(s3_server.options("any"), client=client)
    with Stubber(client) as stub:
        stub.add_client_error("put_object", said, http_status_code=400)
        with pytest.raises(Unavailable) as caught:
            service.put_object("a", b"x")
    assert caught.value.code == code


def test_no_credentials_at_all_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    boto_session.cache_clear()
    with pytest.raises(Unavailable, match="set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY") as caught:
        S3Service(S3Options(bucket="b", endpoint="http://127.0.0.1:9")).connect()
    assert caught.value.code == "storage_denied"
    boto_session.cache_clear()


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    boto_session.cache_clear()
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'stemwright-server\[s3\]'") as caught:
        S3Service(S3Options(bucket="b"))
    assert caught.value.code == "extra_missing"


def test_nothing_heavy_is_imported_before_a_bucket_is_used() -> None:
    code = (
        "import sys, stemwright_server.processes.serve, stemwright_server.adapters.blobs.s3, stemwright_server.settings\n"
        "stemwright_server.settings.Settings(s3_bucket='b').s3_options()\n"
        "print(sorted({'boto3', 'botocore', 's3transfer'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# Settings


@pytest.mark.parametrize(
    ("given", "endpoint", "key"),
    [
        ({"environment": "local"}, LOCALSTACK, "test"),
        ({}, LOCALSTACK, "test"),  # local is the default
        ({"s3_access_key_id": "K", "s3_secret_access_key": "S"}, None, "K"),  # a key of its own: not LocalStack's
        ({"environment": "local", "s3_access_key_id": "K"}, LOCALSTACK, "K"),
        ({"environment": "local", "s3_endpoint": "http://minio:9000"}, "http://minio:9000", None),
        ({"environment": "prod"}, None, None),  # Amazon's, with the role of the machine
        (
            {"environment": "prod", "s3_endpoint": "https://r2.example"},
            "https://r2.example",
            None,
        ),
    ],
)
def test_where_the_bucket_is(given: dict[str, Any], endpoint: str | None, key: str | None) -> None:
    options = StorageSettings(s3_bucket="b", **given).s3_options()
    assert options is not None
    assert (options.endpoint, options.access_key_id, options.region) == (endpoint, key, "us-east-1")
    assert StorageSettings(**given).s3_options() is None


def test_callers_get_urls_of_the_public_address_and_workers_of_the_inner_one(tmp_path: Path) -> None:
    options = S3Options(bucket="b", endpoint="http://minio:9000", access_key_id="K", secret_access_key="S")
    outside = S3Service(replace(options, endpoint="https://files.example"))
    blobs = S3Blobs(S3Service(options), tmp_path / "fetched", outside=outside)
    soon = time.time() + 60
    assert blobs.put_url("uploads/a", expires_at=soon, max_bytes=1).startswith("https://files.example/b/uploads/a?")
    inner = blobs.put_url("uploads/a", expires_at=soon, max_bytes=1, inside=True)
    assert inner.startswith("http://minio:9000/b/uploads/a?")
    amazon = S3Service(S3Options(bucket="stems", region="eu-west-1", access_key_id="K", secret_access_key="S"))
    assert amazon.generate_presigned_get_url("a").startswith("https://stems.s3.")
