"""The contract of the blob store, over every adapter; and what is the local one's own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.domain.errors import Conflict, Forbidden, NotFound, StorageFull, TooLarge
from stemwright_server.ports.blobs import BlobStore

NOW = 1000.0


@pytest.fixture(params=["local"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return LocalBlobs(tmp_path / "blobs", secret=b"s" * 32, min_free_bytes=0, clock=lambda: NOW)


@pytest.fixture
def local(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs", secret=b"s" * 32, min_free_bytes=0, clock=lambda: NOW)


def test_what_is_written_is_read(blobs: BlobStore) -> None:
    blobs.write("outputs/t/metadata.json", b"one")
    blobs.write("outputs/t/metadata.json", b"other")
    assert blobs.size("outputs/t/metadata.json") == 5
    assert blobs.head("outputs/t/metadata.json", 3) == b"oth"
    assert blobs.head("outputs/t/metadata.json", 99) == b"other"
    assert blobs.sha256("outputs/t/metadata.json") == hashlib.sha256(b"other").hexdigest()


def test_what_is_absent_is_said_to_be(blobs: BlobStore) -> None:
    assert blobs.size("uploads/none") is None
    for read in (lambda: blobs.head("uploads/none", 1), lambda: blobs.sha256("uploads/none")):
        with pytest.raises(NotFound):
            read()
    blobs.delete("uploads/none")
    blobs.delete_prefix("outputs/none/")


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


def test_urls_are_signed_for_one_key_method_and_time(blobs: BlobStore) -> None:
    urls = {
        blobs.put_url("uploads/a", expires_at=NOW, max_bytes=5),
        blobs.put_url("uploads/b", expires_at=NOW, max_bytes=5),
        blobs.put_url("uploads/a", expires_at=NOW + 1, max_bytes=5),
        blobs.get_url("uploads/a", expires_at=NOW, content_type="", filename=""),
    }
    assert len({url.rpartition("=")[2] for url in urls}) == 4


# Local only


def verify(blobs: LocalBlobs, url: str, method: str = "PUT") -> object:
    parts = urlsplit(url)
    return blobs.verify(method, parts.path.removeprefix("/blobs/"), dict(parse_qsl(parts.query)))


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
        assert local.commit(part, "uploads/a", replace=False) == hashlib.sha256(b"12345").hexdigest()
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
        local.commit(part, "uploads/a", replace=False)
    with local.receive(10) as part:
        part.write(b"other")
        with pytest.raises(Conflict):
            local.commit(part, "uploads/a", replace=False)
    assert local.head("uploads/a", 9) == b"first"


def test_parts_of_a_process_that_died_are_removed(local: LocalBlobs, tmp_path: Path) -> None:
    (tmp_path / "blobs" / ".parts" / "left").write_bytes(b"x")
    local.write("uploads/a", b"kept")
    again = LocalBlobs(tmp_path / "blobs", secret=b"s" * 32, min_free_bytes=0)
    assert again.size("uploads/a") == 4
    assert not list((tmp_path / "blobs" / ".parts").iterdir())


def test_folders_go_with_their_last_blob(local: LocalBlobs, tmp_path: Path) -> None:
    local.write("outputs/t/m/v/j-1/a.wav", b"x")
    local.delete_prefix("outputs/t/m/v/j-1/")
    assert not (tmp_path / "blobs" / "outputs").exists()


def test_a_full_disk_is_said_and_nothing_is_left(local: LocalBlobs, tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")
    with local.receive(1 << 30) as part:
        part._file.close()
        part._file = Path("/dev/full").open("wb")  # noqa: SIM115
        with pytest.raises(StorageFull):
            part.write(b"x" * (1 << 20))
        part._file = (tmp_path / "drain").open("wb")
    (tmp_path / "drain").unlink()
    with pytest.raises(StorageFull):
        LocalBlobs(tmp_path / "blobs", secret=b"s" * 32, min_free_bytes=1 << 60).check_room()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
