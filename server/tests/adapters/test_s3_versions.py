"""A bucket that keeps versions: what is removed is removed for good, or it is said that it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws
from structlog.testing import capture_logs

from stemwright_server.adapters.blobs.s3 import S3Blobs
from stemwright_server.adapters.blobs.s3_check import check_bucket
from stemwright_server.adapters.blobs.s3_client import S3Options, make_client
from stemwright_server.adapters.blobs.s3_service import S3Service
from stemwright_worker.errors import Unavailable

OPTIONS = S3Options(bucket="songs", access_key_id="test", secret_access_key="test")


@pytest.fixture
def client() -> Iterator[Any]:
    """Of a store with versions, in this process: rclone's, which the other tests run against, has none."""
    with mock_aws():
        client = make_client(OPTIONS)
        client.create_bucket(Bucket="songs")
        yield client


def versioning(client: Any, status: str = "Enabled") -> None:
    client.put_bucket_versioning(Bucket="songs", VersioningConfiguration={"Status": status})


def left(client: Any) -> list[tuple[str, str]]:
    """Everything in the bucket, hidden or not."""
    found = client.list_object_versions(Bucket="songs")
    return [(kind, each["Key"]) for kind in ("Versions", "DeleteMarkers") for each in found.get(kind, ())]


def filled(client: Any) -> S3Service:
    service = S3Service(OPTIONS, client=client)
    for key in ("outputs/a/x.wav", "outputs/a/y.wav", "outputs/a/y.wav", "outputs/ab.wav", "outputs/a/y.wav.old"):
        service.put_object(key, b"song")
    return service


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_every_version_of_an_object_goes_and_nothing_of_its_neighbours(client: Any, status: str) -> None:
    versioning(client)
    service = filled(client)
    versioning(client, status)
    service.delete_file("outputs/a/y.wav")
    keys = ["outputs/a/x.wav", "outputs/a/y.wav.old", "outputs/ab.wav"]
    assert sorted(left(client)) == [("Versions", key) for key in keys]
    service.delete_objects(["outputs/a/x.wav", "not there"])
    assert sorted(left(client)) == [("Versions", key) for key in keys[1:]]
    assert not service.keeps_versions()


def test_what_was_hidden_before_goes_with_its_prefix(client: Any, tmp_path: Path) -> None:
    versioning(client)
    service = filled(client)
    client.delete_object(Bucket="songs", Key="outputs/a/x.wav")  # as the version before did
    S3Blobs(service, tmp_path).delete_prefix("outputs/a/")
    assert left(client) == [("Versions", "outputs/ab.wav")]


def test_more_versions_than_a_page_lists_go(client: Any) -> None:
    versioning(client)
    service = S3Service(OPTIONS, client=client, deleted_at_once=10)
    for _ in range(25):
        client.put_object(Bucket="songs", Key="metadata.json", Body=b"{}")
    service.delete_file("metadata.json")
    assert left(client) == []


def test_a_bucket_without_versions_is_asked_for_none(client: Any) -> None:
    asked: list[str] = []
    client.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))
    service = filled(client)
    service.delete_file("outputs/a/x.wav")
    service.delete_prefix("outputs/")
    assert "ListObjectVersions" not in asked
    assert left(client) == []


class Refusing:
    """A client whose key may not remove versions."""

    def __init__(self, client: Any, operations: Sequence[str], code: str) -> None:
        self.asked = 0
        self._code = code
        for operation in operations:
            client.meta.events.register(f"before-call.s3.{operation}", self._refuse)

    def _refuse(self, params: dict[str, Any], **_: Any) -> Any:
        if params["method"] == "POST" and b"VersionId" not in params["body"]:
            return None
        self.asked += 1
        error = {"Error": {"Code": self._code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return SimpleNamespace(status_code=403), error


@pytest.mark.parametrize("operation", ["ListObjectVersions", "DeleteObjects"])
def test_where_the_key_may_not_that_is_said_once_and_the_delete_holds(client: Any, operation: str) -> None:
    versioning(client)
    service = filled(client)
    refusing = Refusing(client, [operation], "AccessDenied")
    with capture_logs() as logged:
        service.delete_file("outputs/a/x.wav")
        service.delete_file("outputs/a/y.wav")
    assert not service.file_exists("outputs/a/x.wav")
    (line,) = [each for each in logged if each["event"] == "versions_kept"]
    assert "s3:DeleteObjectVersion" in line["error"]
    assert "lifecycle rule" in line["error"]
    assert refusing.asked == 1
    assert service.keeps_versions()


def test_a_store_that_fails_meanwhile_is_asked_again(client: Any) -> None:
    versioning(client)
    service = filled(client)
    Refusing(client, ["ListObjectVersions"], "InternalError")
    with pytest.raises(Unavailable):
        service.delete_file("outputs/a/x.wav")
    assert not service.keeps_versions()


def test_the_check_says_what_the_key_may_not(client: Any) -> None:
    versioning(client)
    outside = S3Service(replace(OPTIONS, endpoint="http://127.0.0.1:1"))  # no URL is of use here

    def said() -> str | None:
        tried = check_bucket(S3Service(OPTIONS, client=client), outside=outside)
        return next(each.error for each in tried if "gone for good" in each.operation)

    assert said() is None
    Refusing(client, ["ListObjectVersions"], "AccessDenied")
    assert "s3:ListBucketVersions" in str(said())
