"""The zip: stored, of known length, the same every time, resumable."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from loops import in_loop
from service import wav
from webserver import Uploader

from stemwright_server.dialects.webserver.download import zip_response
from stemwright_server.usecases.archive import Archive
from stemwright_server.usecases.zip_layout import Member, cut, layout


@pytest.fixture(scope="module")
def job(request: pytest.FixtureRequest) -> str:
    uploader = Uploader(request.getfixturevalue("webserver"))
    job_id = uploader.job(wav(3.0, seed=4711))
    uploader.wait(job_id)
    return job_id


def test_the_zip_holds_the_stems_as_they_are(uploader: Uploader, job: str) -> None:
    answer = uploader.download(job)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="stems_{job}.zip"'
    assert answer.headers["content-length"] == str(len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.testzip() is None
        assert found.namelist() == ["quiet.wav", "rest.wav"]
        assert {each.compress_type for each in found.infolist()} == {zipfile.ZIP_STORED}
        for stem in uploader.status(job)["stems"]:
            assert found.read(f"{stem['name']}.wav") == uploader.http.get(stem["url"]).content


def test_it_is_the_same_every_time_and_any_part_can_be_had(uploader: Uploader, job: str) -> None:
    whole = uploader.download(job)
    size = len(whole.content)
    assert uploader.download(job).content == whole.content
    for asked, first, last in (
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, size - 1),
        (f"bytes=20000-{size + 5}", 20000, size - 1),
        ("bytes=-500", size - 500, size - 1),
        (f"bytes={size - 1}-", size - 1, size - 1),
    ):
        part = uploader.download(job, {"Range": asked})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert part.content == whole.content[first : last + 1]
        assert part.headers["etag"] == whole.headers["etag"]
    beyond = uploader.download(job, {"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_a_part_of_another_zip_is_not_mixed_in(uploader: Uploader, job: str) -> None:
    tag = uploader.download(job).headers["etag"]
    assert uploader.download(job, {"Range": "bytes=5-", "If-Range": tag}).status_code == 206
    assert uploader.download(job, {"Range": "bytes=5-", "If-Range": '"other"'}).status_code == 200
    assert uploader.download(job, {"If-None-Match": tag}).status_code == 304
    assert uploader.download(job, {"Range": "bytes=0-1,4-5"}).status_code == 200  # several at once: all of it instead
    head = uploader.http.head(f"/api/download/{job}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(uploader.download(job).content))


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        ("", True),
        ("bytes=0-", True),
        ("bytes=0-999999", True),
        ("bytes=600000-", True),  # a download that is resumed
        ("bytes=0-999998", False),
        ("bytes=999000-", False),  # what is in it?
        ("bytes=-65557", False),
        ("bytes=-1000000", True),
        ("bytes=500000-999999", False),  # one of several pieces
    ],
)
def test_a_look_at_the_end_is_no_download(asked: str, counts: bool) -> None:
    headers = [(b"range", asked.encode())] if asked else []
    sent: list[tuple[int, int]] = []
    ends: list[bool] = []

    def read(start: int, stop: int) -> Iterator[bytes]:
        sent.append((start, stop))
        yield b"bytes"

    request = Request({"type": "http", "method": "GET", "headers": headers})
    found = Archive(pieces=(), size=1_000_000, tag="t", whole=True)
    answer = zip_response(request, found, "a.zip", read, lambda: ends.append(True))

    async def receive(answer: StreamingResponse) -> list[Any]:
        return [chunk async for chunk in answer.body_iterator]

    assert isinstance(answer, StreamingResponse)
    assert in_loop(receive(answer)) == [b"bytes"]
    assert len(sent) == 1
    assert ends == [True] * counts


def test_some_stems_can_be_chosen(uploader: Uploader, job: str) -> None:
    answer = uploader.download(job, stems="rest")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.namelist() == ["rest.wav"]
    refused = uploader.download(job, stems="kazoo")
    assert refused.status_code == 400
    assert refused.json() == {"error": "The job has no stem 'kazoo'; it has: quiet, rest.", "code": "unknown_stem"}


def test_a_single_stem_can_be_resumed_too(uploader: Uploader, job: str) -> None:
    stem = uploader.status(job)["stems"][0]
    whole = uploader.http.get(stem["url"])
    assert len(whole.content) == stem["size"]
    part = uploader.http.get(stem["url"], headers={"Range": "bytes=1000-"})
    assert (part.status_code, part.content) == (206, whole.content[1000:])


def test_there_is_nothing_to_download_before_the_end(uploader: Uploader, seed: int) -> None:
    job_id = uploader.job(wav(seed=seed), "slow.wav", model="loud")
    answer = uploader.download(job_id)
    if answer.status_code != 200:  # it may have ended already
        assert (answer.status_code, answer.json()["code"]) == (409, "not_completed")
    uploader.wait(job_id)


# The layout itself


@given(files=st.lists(st.tuples(st.text(st.characters(categories=["L", "N"]), min_size=1), st.binary()), max_size=4))
def test_any_files_make_an_archive_that_others_read(files: list[tuple[str, bytes]]) -> None:
    contents = dict(files)
    data = _assembled(contents)
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == contents


@given(start=st.integers(0, 700), stop=st.integers(0, 700))
def test_any_cut_is_a_part_of_the_whole(start: int, stop: int) -> None:
    contents = {"a": bytes(range(100)), "b": b"", "c": b"xyz"}
    assert _assembled(contents, start, stop) == _assembled(contents)[start:stop]


def test_more_than_four_gigabytes_are_laid_out_as_zip64(tmp_path: Path) -> None:
    """A real archive of 5 GB and another file behind it; the big one is a hole in the file."""
    size = 5 << 30
    path = tmp_path / "big.zip"
    members = [
        Member(name="big.wav", key="big", size=size, crc32=0),
        Member(name="small.wav", key="small", size=5, crc32=0x3610A686),
    ]
    pieces = layout(members)
    with path.open("wb") as file:
        for piece in pieces:
            if piece.key == "big":
                file.seek(piece.size, io.SEEK_CUR)
            else:
                file.write(b"hello" if piece.key else piece.data)
    assert path.stat().st_size == sum(piece.size for piece in pieces)
    with zipfile.ZipFile(path) as found:
        assert [each.file_size for each in found.infolist()] == [size, 5]
        assert found.getinfo("small.wav").header_offset > size
        assert found.read("small.wav") == b"hello"
        with found.open("big.wav") as big:
            assert big.read(10) == bytes(10)
    tail = _tail(path, 98)
    assert tail[:4] == b"PK\6\6"
    assert struct.unpack("<Q", tail[24:32]) == (2,)


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-count, io.SEEK_END)
        return file.read()


def _assembled(contents: dict[str, bytes], start: int = 0, stop: int | None = None) -> bytes:
    from zlib import crc32

    pieces = layout([Member(name=name, key=name, size=len(data), crc32=crc32(data)) for name, data in contents.items()])
    size = sum(piece.size for piece in pieces)
    found = b""
    for piece in cut(pieces, start, size if stop is None else stop):
        found += contents[piece.key][piece.offset : piece.offset + piece.size] if piece.key else piece.data
    return found
