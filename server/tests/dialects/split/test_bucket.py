"""The split dialect with a bucket, ours and the caller's, at a store that checks every signature."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from s3_server import S3Server, flaky_way
from service import Service, running, until, wav
from track_tree import TOKEN, Backend, Receiver

from stemwright_server.adapters.blobs.s3_service import S3Service


@pytest.fixture(scope="module")
def product(s3_server: S3Server) -> S3Service:
    """The product's own bucket: its mixes, and where it wants stems."""
    return s3_server.bucket("product")


@pytest.fixture(scope="module")
def service(
    s3_server: S3Server, receiver: Receiver, product: S3Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    s3_server.bucket("stems")
    given = {"DEMUCSSVC_TOKEN": TOKEN, "API_WEBHOOK_URL_ALLOWLIST": receiver.url, "STEMWRIGHT_MAX_ATTEMPTS": "1"}
    settings = s3_server.settings("stems") | given | {"SOURCE_ORIGIN_ALLOWLIST": s3_server.url}
    with running(tmp_path_factory.mktemp("split") / "data", settings) as service:
        yield service


def fields(product: S3Service, receiver: Receiver, seed: int) -> dict[str, object]:
    product.put_object(f"mixes/{seed}.wav", wav(seed=seed))
    return {
        "versionId": f"version-{seed}",
        "audioUrl": product.generate_presigned_get_url(f"mixes/{seed}.wav"),
        "aiModel": "half",
        "webhook": receiver.url,
    }


def told(service: Service, receiver: Receiver, **asked: Any) -> dict[str, Any]:
    answer = Backend(service.url).split(**asked)
    assert answer.status_code == 202, answer.text
    came = until(lambda: receiver.of(answer.json()["jobId"]), what="the webhook")
    came[0].check()
    return dict(came[0].json())


def test_stems_lie_in_the_services_bucket_under_the_version(
    service: Service, s3_server: S3Server, receiver: Receiver, product: S3Service, seed: int
) -> None:
    document = told(service, receiver, **fields(product, receiver, seed))
    assert document["status"] == "completed", document
    ours = S3Service(s3_server.options("stems"))
    for stem in document["stems"]:
        assert stem["url"] == f"s3://stems/version-{seed}/{stem['type']}.wav"
        data = ours.get_object(f"version-{seed}/{stem['type']}.wav")
        assert stem["checksum"] == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_second_job_of_a_version_replaces_the_stems_of_the_first(
    service: Service, s3_server: S3Server, receiver: Receiver, product: S3Service, seed: int
) -> None:
    first = told(service, receiver, **fields(product, receiver, seed))
    other = fields(product, receiver, seed + 1) | {"versionId": f"version-{seed}"}
    second = told(service, receiver, **other)
    ours = S3Service(s3_server.options("stems"))
    lie_there = [ours.get_object(f"version-{seed}/{stem}.wav") for stem in ("quiet", "rest")]
    assert sums(second) == [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in lie_there]
    assert sums(first) != sums(second)
    assert [stem["url"] for stem in first["stems"]] == [stem["url"] for stem in second["stems"]]


def sums(document: dict[str, Any]) -> list[str]:
    return [stem["checksum"] for stem in document["stems"]]


def test_presigned_urls_of_the_caller_take_the_stems_and_ours_keeps_nothing(
    service: Service, s3_server: S3Server, receiver: Receiver, product: S3Service, seed: int
) -> None:
    keys = {stem: f"stems/{seed}/{stem}.wav" for stem in ("quiet", "rest")}
    urls = {stem: product.generate_presigned_put_url(key) for stem, key in keys.items()}
    document = told(service, receiver, **fields(product, receiver, seed), uploadUrls=urls)
    assert document["status"] == "completed", document
    for stem in document["stems"]:
        assert stem["url"] == urls[stem["type"]].partition("?")[0]
        assert stem["checksum"] == f"sha256:{hashlib.sha256(product.get_object(keys[stem['type']])).hexdigest()}"
    assert S3Service(s3_server.options("stems")).list_objects(f"version-{seed}/") == []


@pytest.mark.parametrize("spoil", ["tampered", "expired"])
def test_a_mix_behind_a_url_that_does_not_hold_is_said_so(
    service: Service, receiver: Receiver, product: S3Service, seed: int, spoil: str
) -> None:
    asked = fields(product, receiver, seed)
    if spoil == "tampered":
        url = str(asked["audioUrl"])
        asked["audioUrl"] = url[:-1] + ("0" if url[-1] != "0" else "1")
    else:
        asked["audioUrl"] = product.generate_presigned_get_url(f"mixes/{seed}.wav", 1.0)
        time.sleep(2.1)  # the store counts whole seconds
    document = told(service, receiver, **asked)
    assert document["status"] == "failed"
    assert "the URL has expired or does not allow reading; sign a new one" in str(document["error"])
    assert urlsplit(str(asked["audioUrl"])).query not in service.log.read_text()


def test_a_store_that_refuses_the_stems_is_said_so(
    service: Service, receiver: Receiver, product: S3Service, seed: int, tmp_path: Path
) -> None:
    urls = {
        stem: product.generate_presigned_put_url(f"stems/{seed}/{stem}.wav").replace(
            "X-Amz-Signature=", "X-Amz-Signature=0"
        )
        for stem in ("quiet", "rest")
    }
    document = told(service, receiver, **fields(product, receiver, seed), uploadUrls=urls)
    assert document["status"] == "failed"
    assert "answered 403 to the upload of quiet" in str(document["error"])
    assert product.list_objects(f"stems/{seed}/") == []


def test_a_bucket_of_ours_that_refuses_the_stems_is_said_so(
    s3_server: S3Server, receiver: Receiver, product: S3Service, seed: int, tmp_path: Path
) -> None:
    """It let us in at the start; since then somebody changed what the key may do."""
    s3_server.bucket("refusing")
    given = {"DEMUCSSVC_TOKEN": TOKEN, "API_WEBHOOK_URL_ALLOWLIST": receiver.url, "STEMWRIGHT_MAX_ATTEMPTS": "1"}
    with flaky_way(s3_server, share=0.0, seed=1) as way:
        settings = s3_server.settings("refusing", endpoint=way.url) | given | {"SOURCE_ORIGIN_ALLOWLIST": s3_server.url}
        way.forbidden = r"^PUT /refusing/outputs/"
        with running(tmp_path / "data", settings) as service:
            document = told(service, receiver, **fields(product, receiver, seed))
    assert (document["status"], document["stems"]) == ("failed", [])
    assert document["error"] == "Gave up after 4 tries: The store answered 403 to quiet."
