"""The contract of the blob store, over files and over a real S3 server alike; and what is the local one's own."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from loops import in_loop

from stemwright_server.adapters.blobs.incoming_file import Part
from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.adapters.blobs.s3 import S3Blobs
from stemwright_server.adapters.blobs.s3_client import S3Options
from stemwright_server.adapters.blobs.s3_service import S3Service
from stemwright_server.http.errors import add_error_handlers
from stemwright_server.ports.blobs import BlobStore
from stemwright_server.routes.blobs.router import blobs_router
from stemwright_worker.errors import Conflict, Forbidden, NotFound, StorageFull, TooLarge

NOW = 1000.0


class World:
    """A store, and how a stranger uses the URLs that it signs."""

    def __init__(self, blobs: BlobStore, app: FastAPI | None = None) -> None:
        self.blobs = blobs
        self._app = app

    def ask(self, method: str, url: str, data: bytes | None = None) -> httpx2.Response:
        """By HTTP; a relative URL is the API's own."""

        async def once() -> httpx2.Response:
            transport = httpx2.ASGITransport(self._app) if self._app is not None else None
            async with httpx2.AsyncClient(
                base_url="http://api", transport=transport, trust_env=False, timeout=60.0
            ) as client:
                return await client.request(method, url, content=data, headers={"Content-Type": "audio/wav"})

        return in_loop(once())


@pytest.fixture(params=["local", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "s3":
        return World(S3Blobs(request.getfixturevalue("bucket"), tmp_path / "fetched", part_bytes=5 << 20))
    blobs = LocalBlobs(tmp_path / "blobs", tmp_path / "parts", secret=b"s" * 32, min_free_bytes=0)
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(blobs_router(blobs, lambda track_id, sha256: None))  # type: ignore[arg-type,return-value]
    return World(blobs, app)


@pytest.fixture
def blobs(world: World) -> BlobStore:
    return world.blobs


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs", tmp_path / "parts", secret=b"s" * 32, min_free_bytes=0, clock=lambda: NOW)


def read(blobs: BlobStore, key: str) -> bytes:
    with blobs.local(key) as path:
        return path.read_bytes()


def test_what_is_written_is_read(blobs: BlobStore) -> None:
    blobs.write("outputs/t/metadata.json", b"one")
    blobs.write("outputs/t/metadata.json", b"other")
    assert blobs.size("outputs/t/metadata.json") == 5
    assert read(blobs, "outputs/t/metadata.json") == b"other"
    blobs.write("outputs/t/empty", b"")
    assert blobs.size("outputs/t/empty") == 0
    assert read(blobs, "outputs/t/empty") == b""


def test_what_comes_in_parts_is_seen_once_it_is_put_together(world: World) -> None:
    blobs = world.blobs
    if blobs.multipart_over is None:
        with pytest.raises(Conflict):
            blobs.begin_multipart("outputs/t/a/x.wav", size=1, expires_at=time.time() + 60)
        return
    size = 2 * blobs.multipart_over + 7
    data = os.urandom(size)
    plan = blobs.begin_multipart("outputs/t/a/x.wav", size=size, expires_at=time.time() + 60)
    assert (len(plan.urls), plan.part_bytes) == (3, blobs.multipart_over)
    pieces = [data[begin : begin + plan.part_bytes] for begin in range(0, size, plan.part_bytes)]
    etags = [world.ask("PUT", url, piece).headers["ETag"] for url, piece in zip(plan.urls, pieces, strict=True)]
    assert blobs.size("outputs/t/a/x.wav") is None
    blobs.finish_multipart("outputs/t/a/x.wav", plan.upload_id, etags)
    assert read(blobs, "outputs/t/a/x.wav") == data
    with pytest.raises(NotFound):
        blobs.finish_multipart("outputs/t/a/x.wav", plan.upload_id, etags)
    changed = plan.urls[0].replace("partNumber=1", "partNumber=2")
    assert world.ask("PUT", changed, b"x").status_code == 403


def test_parts_that_are_never_put_together_go_with_their_prefix(world: World) -> None:
    blobs = world.blobs
    if blobs.multipart_over is None:
        return
    plans = {
        key: blobs.begin_multipart(key, size=1 + blobs.multipart_over, expires_at=time.time() + 60)
        for key in ("outputs/t/a/x.wav", "outputs/t/b/x.wav")
    }
    etags = {key: world.ask("PUT", plan.urls[0], b"x" * 10).headers["ETag"] for key, plan in plans.items()}
    blobs.delete_prefix("outputs/t/a/")
    gone, kept = plans
    with pytest.raises(NotFound):
        blobs.finish_multipart(gone, plans[gone].upload_id, [etags[gone]])
    blobs.finish_multipart(kept, plans[kept].upload_id, [etags[kept]])
    assert (blobs.size(gone), blobs.size(kept)) == (None, 10)


def test_any_part_of_a_blob_can_be_read(blobs: BlobStore) -> None:
    data = os.urandom(1_000_000)
    blobs.write("outputs/t/a.wav", data)
    assert b"".join(blobs.read("outputs/t/a.wav")) == data
    assert b"".join(blobs.read("outputs/t/a.wav", offset=600_000)) == data[600_000:]
    assert b"".join(blobs.read("outputs/t/a.wav", offset=5, count=300_000)) == data[5:300_005]
    assert b"".join(blobs.read("outputs/t/a.wav", offset=999_999, count=50)) == data[999_999:]
    assert max(len(chunk) for chunk in blobs.read("outputs/t/a.wav")) < 1_000_000  # never all of it at once
    with pytest.raises(NotFound):
        next(blobs.read("outputs/t/none.wav"))


def test_a_copy_is_a_blob_of_its_own(blobs: BlobStore) -> None:
    blobs.write("outputs/t/j-1/a.wav", b"one")
    blobs.write("outputs/t/k-1/a.wav", b"old")
    blobs.copy("outputs/t/j-1/a.wav", "outputs/t/k-1/a.wav")
    blobs.copy("outputs/t/j-1/a.wav", "outputs/t/k-1/a.wav")  # again is as well
    blobs.delete("outputs/t/j-1/a.wav")
    assert b"".join(blobs.read("outputs/t/k-1/a.wav")) == b"one"
    with pytest.raises(NotFound):
        blobs.copy("outputs/t/j-1/a.wav", "outputs/t/k-1/a.wav")


def test_what_is_absent_is_said_to_be(blobs: BlobStore) -> None:
    assert blobs.size("uploads/none") is None
    with pytest.raises(NotFound):
        read(blobs, "uploads/none")
    blobs.delete("uploads/none")
    blobs.delete_prefix("outputs/none/")
    blobs.end_abandoned(time.time())
    blobs.check_room()


def test_a_prefix_is_deleted_whole_and_alone(blobs: BlobStore) -> None:
    for key in ("outputs/t/j-1/a.wav", "outputs/t/j-1/b/c.wav", "outputs/t/j-10/a.wav", "outputs/t/metadata.json"):
        blobs.write(key, b"x")
    blobs.delete_prefix("outputs/t/j-1/")
    assert blobs.size("outputs/t/j-1/a.wav") is None
    assert blobs.size("outputs/t/j-1/b/c.wav") is None
    assert blobs.size("outputs/t/j-10/a.wav") == 1
    assert blobs.size("outputs/t/metadata.json") == 1
    blobs.delete("outputs/t/metadata.json")
    assert blobs.size("outputs/t/metadata.json") is None


def test_a_file_that_comes_through_the_process_is_a_blob_once_it_is_committed(blobs: BlobStore) -> None:
    with blobs.receive(10) as part:
        part.write(b"123")
        part.write(b"45")
        assert part.size == 5
        assert blobs.size("uploads/a") is None
        assert part.commit("uploads/a", replace=False) == hashlib.sha256(b"12345").hexdigest()
    assert read(blobs, "uploads/a") == b"12345"
    with pytest.raises(TooLarge), blobs.receive(3) as part:
        part.write(b"1234")
    with blobs.receive(10) as part:
        part.write(b"other")
        with pytest.raises(Conflict):
            part.commit("uploads/a", replace=False)
        part.commit("uploads/a", replace=True)
    assert read(blobs, "uploads/a") == b"other"


def test_urls_are_signed_for_one_key_method_and_time(blobs: BlobStore) -> None:
    now = time.time()
    urls = {
        blobs.put_url("uploads/a", expires_at=now, max_bytes=5),
        blobs.put_url("uploads/b", expires_at=now, max_bytes=5),
        blobs.put_url("uploads/a", expires_at=now + 100, max_bytes=5),
        blobs.get_url("uploads/a", expires_at=now, content_type="", filename=""),
    }
    assert len({url.rpartition("=")[2] for url in urls}) == 4


def test_the_origin_is_that_of_the_urls_for_callers(blobs: BlobStore) -> None:
    url = urlsplit(blobs.get_url("outputs/a", expires_at=time.time() + 100, content_type="", filename=""))
    assert blobs.origin() == (f"{url.scheme}://{url.netloc}" if url.netloc else None)


def test_the_origin_is_the_bucket_as_callers_reach_it(tmp_path: Path) -> None:
    def service(endpoint: str | None) -> S3Service:
        keys: dict[str, Any] = {"access_key_id": "AKID", "secret_access_key": "secret"}
        return S3Service(S3Options(bucket="stems", endpoint=endpoint, region="eu-west-1", **keys))

    inside, outside = service("http://minio:9000"), service("https://files.example:8443/path")
    assert S3Blobs(inside, tmp_path / "one").origin() == "http://minio:9000"
    assert S3Blobs(inside, tmp_path / "two", outside=outside).origin() == "https://files.example:8443"
    assert S3Blobs(service(None), tmp_path / "three").origin() == "https://stems.s3.eu-west-1.amazonaws.com"


def test_what_a_url_takes_another_gives(world: World) -> None:
    """Twice, as after a lost answer; of an attempt, whose worker may send again what it had."""
    soon = time.time() + 600
    put = world.blobs.put_url("outputs/t/j-1/a.wav", expires_at=soon, max_bytes=5, inside=True)
    for _ in range(2):
        assert world.ask("PUT", put, b"bytes").is_success
    assert world.blobs.size("outputs/t/j-1/a.wav") == 5
    get = world.blobs.get_url("outputs/t/j-1/a.wav", expires_at=soon, content_type="audio/x-wav", filename="a b.wav")
    answer = world.ask("GET", get)
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-type"] == "audio/x-wav"
    assert answer.headers["content-disposition"] in (
        'attachment; filename="a b.wav"',
        "attachment; filename*=utf-8''a%20b.wav",
    )
    named = world.blobs.get_url("outputs/t/j-1/a.wav", expires_at=soon, content_type="", filename='é"\n.wav')
    disposition = world.ask("GET", named).headers["content-disposition"]
    assert disposition.lower().endswith("filename*=utf-8''%c3%a9%22%0a.wav")


@pytest.mark.parametrize("change", ["key", "signature", "method", "nothing signed"])
def test_a_url_that_was_changed_opens_nothing(world: World, change: str) -> None:
    world.blobs.write("uploads/a", b"first")
    soon = time.time() + 600
    url = world.blobs.put_url("uploads/a", expires_at=soon, max_bytes=5)
    changed = {
        "key": url.replace("uploads/a", "uploads/b"),
        "signature": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "method": world.blobs.get_url("uploads/a", expires_at=soon, content_type="", filename=""),
        "nothing signed": url.partition("?")[0],
    }[change]
    assert changed != url
    assert world.ask("PUT", changed, b"other").status_code in (400, 403)
    assert read(world.blobs, "uploads/a") == b"first"
    assert world.blobs.size("uploads/b") is None


def test_a_url_ends(world: World) -> None:
    world.blobs.write("uploads/a", b"first")
    url = world.blobs.get_url("uploads/a", expires_at=time.time() + 1, content_type="", filename="")
    deadline = time.monotonic() + 30.0
    while (answer := world.ask("GET", url)).is_success:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.status_code in (400, 403)


# Local only


def verify(blobs: LocalBlobs, url: str, method: str = "PUT") -> object:
    deps = urlsplit(url)
    return blobs.verify(method, deps.path.removeprefix("/blobs/"), dict(parse_qsl(deps.query)))


def test_a_signed_url_says_what_it_allows(local: LocalBlobs) -> None:
    put = verify(local, local.put_url("uploads/a", expires_at=NOW + 1, max_bytes=5))
    assert vars(put) == {"max_bytes": 5, "content_type": "", "filename": ""}
    url = local.get_url("uploads/a", expires_at=NOW + 1, content_type="audio/wav", filename="a b&é.wav")
    assert vars(verify(local, url, "GET")) == {"max_bytes": 0, "content_type": "audio/wav", "filename": "a b&é.wav"}


@pytest.mark.parametrize("change", [("max=5", "max=6"), ("uploads/a", "uploads/b"), ("expires=1001", "expires=9001")])
def test_a_changed_url_does_not_hold(local: LocalBlobs, change: tuple[str, str]) -> None:
    url = local.put_url("uploads/a", expires_at=NOW + 1, max_bytes=5)
    assert change[0] in url
    with pytest.raises(Forbidden):
        verify(local, url.replace(*change))
    with pytest.raises(Forbidden):
        verify(local, url, "GET")


def test_a_url_ends_with_its_time(local: LocalBlobs) -> None:
    with pytest.raises(Forbidden) as caught:
        verify(local, local.put_url("uploads/a", expires_at=NOW - 1, max_bytes=5))
    assert caught.value.code == "url_expired"


@pytest.mark.parametrize("key", ["../a", "a/../b", "/etc/passwd", "a//b", ".parts/x", "a/.b", "", "a/", "a\0b", "a\n"])
def test_what_is_no_key_is_not_found(local: LocalBlobs, key: str) -> None:
    with pytest.raises(NotFound):
        local.path(key)


def test_nothing_is_seen_before_it_is_committed_and_nothing_is_left_otherwise(
    local: LocalBlobs, tmp_path: Path
) -> None:
    with local.receive(10) as part:
        part.write(b"12345")
        assert local.size("uploads/a") is None
        assert part.commit("uploads/a", replace=False) == hashlib.sha256(b"12345").hexdigest()
    assert local.size("uploads/a") == 5
    with local.receive(3) as part:
        part.write(b"12")
        with pytest.raises(TooLarge):
            part.write(b"34")
    with pytest.raises(ZeroDivisionError), local.receive(3) as part:
        raise ZeroDivisionError
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "blobs" / "uploads" / "a"]


def test_a_blob_is_taken_once_unless_it_may_be_replaced(local: LocalBlobs) -> None:
    local.write("uploads/a", b"first")
    with local.receive(10) as part:
        part.write(b"first")
        part.commit("uploads/a", replace=False)
    with local.receive(10) as part:
        part.write(b"other")
        with pytest.raises(Conflict):
            part.commit("uploads/a", replace=False)
    assert read(local, "uploads/a") == b"first"


def test_folders_go_with_their_last_blob(local: LocalBlobs, tmp_path: Path) -> None:
    local.write("outputs/t/m/v/j-1/a.wav", b"x")
    local.delete_prefix("outputs/t/m/v/j-1/")
    assert not (tmp_path / "blobs" / "outputs").exists()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("wb", buffering=0) as full:
        part = Part(cast(BinaryIO, full), tmp_path / "part", 1 << 30, lambda *_: "")
        with pytest.raises(StorageFull):
            part.write(b"x" * (1 << 20))
    with pytest.raises(StorageFull):
        LocalBlobs(tmp_path / "blobs", tmp_path / "parts", secret=b"s" * 32, min_free_bytes=1 << 60).check_room()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
