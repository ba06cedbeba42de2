"""``stemwright storage check``: what it says of a bucket that works, and of one that does not."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

from origin import body, serving
from s3_server import SECRET_KEY, S3Server
from service import COMMAND, environment

from stemwright_server.adapters.blobs.s3_check import Tried, check_bucket
from stemwright_server.adapters.blobs.s3_service import S3Service

# The S3 service as its document lists it.
METHODS = [
    "test_connection",
    "upload_file",
    "download_file",
    "file_exists",
    "delete_file",
    "delete_objects",
    "list_objects",
    "get_object_metadata",
    "get_object",
    "upload_fileobj",
    "copy_object",
    "get_object_tags",
    "set_object_tags",
    "generate_presigned_put_url",
    "generate_presigned_get_url",
]


def test_every_operation_is_tried_and_nothing_is_left(bucket: S3Service) -> None:
    bucket.put_object("already/here", b"x")
    tried = list(check_bucket(bucket, outside=bucket))
    assert [each for each in tried if each.error is not None and each.needed] == []
    named = {word for each in tried for word in each.operation.split(", ")}
    assert set(METHODS) <= named
    assert all(callable(getattr(bucket, name)) for name in METHODS)
    assert [each.key for each in bucket.list_objects()] == ["already/here"]


def test_a_store_that_takes_tags_for_an_upload_is_found_out(bucket: S3Service) -> None:
    """As rclone's does."""
    tags = next(each for each in check_bucket(bucket, outside=bucket) if "tags" in each.operation)
    assert tags == Tried(
        operation="set_object_tags, get_object_tags",
        error="this store has no tags, and overwrites an object that is given some: never set any there",
        needed=False,
    )


def test_a_store_that_checks_no_signatures_is_found_out(bucket: S3Service) -> None:
    with serving() as careless:
        careless.other = body(b"whatever was asked for")
        outside = S3Service(replace(bucket.options, endpoint=careless.url))
        said = {each.operation: each.error for each in check_bucket(bucket, outside=outside)}
    assert "checks no signatures" in str(said["a changed URL is refused"])
    assert "something else" in str(said["generate_presigned_get_url"])


def _command(settings: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "storage", "check", *arguments],
        env=environment(folder, settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_creates_the_bucket_and_says_what_works(s3_server: S3Server, tmp_path: Path) -> None:
    settings = s3_server.settings("made-by-check")
    missing = _command(settings, tmp_path)
    assert missing.returncode == 1
    assert "FAILED    test_connection: There is no bucket 'made-by-check'" in missing.stdout
    made = _command(settings, tmp_path, "--create")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines()[0].startswith("bucket 'made-by-check' at 127.0.0.1:")
    assert made.stdout.splitlines()[-1] == "The bucket can be used."
    assert "  ok        generate_presigned_put_url\n" in made.stdout
    assert SECRET_KEY not in made.stdout + missing.stdout


def test_without_a_bucket_there_is_nothing_to_check(tmp_path: Path) -> None:
    settings = {name: "" for name in os.environ if name.startswith("S3_")}
    ended = _command(settings, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "stemwright: error: S3_BUCKET is not set: files lie in the data folder\n"
