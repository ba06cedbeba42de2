"""Forms with files, read as they stream in."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import Request
from loops import in_loop

from stemwright_server.http.multipart import read_form
from stemwright_worker.errors import InvalidRequest, TooLarge, UnusableInput

BODY = (
    b'--xyz\r\nContent-Disposition: form-data; name="model"\r\n\r\nhtdemucs\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="C:\\songs\\a \xe2\x80\x9csong\xe2\x80\x9d.mp3"\r\n'
    b"Content-Type: audio/mpeg\r\n\r\n--xy\r\n\r\n--xyZ\r\n\x00\xff\r\n"
    b'--xyz\r\nContent-Disposition: form-data; name="normalize"\r\n\r\n\xc3\xbc\r\n--xyz--\r\n'
)


class Collected:
    def __init__(self) -> None:
        self.files: dict[tuple[str, str], bytearray] = {}

    def open(self, field: str, filename: str) -> Any:
        data = self.files[field, filename] = bytearray()
        return _Sink(data)


class _Sink:
    def __init__(self, data: bytearray) -> None:
        self._data = data

    def write(self, data: bytes) -> None:
        self._data += data


def read(
    body: bytes, *, size: int = 1 << 16, kind: str = "multipart/form-data; boundary=xyz", cut: bool = False
) -> Any:
    """The fields and files of a body that comes in chunks of ``size``; ``cut``: the caller hangs up at the end."""
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Any:
        return messages.pop(0)

    request = Request({"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}, receive)
    collected = Collected()
    fields = in_loop(read_form(request, collected.open))
    return fields, {name: bytes(data) for name, data in collected.files.items()}


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 16])
def test_fields_and_files_come_out_whole_however_the_body_is_cut(size: int) -> None:
    fields, files = read(BODY, size=size)
    assert fields == {"model": "htdemucs", "normalize": "ü"}
    assert files == {("file", "a “song”.mp3"): b"--xy\r\n\r\n--xyZ\r\n\x00\xff"}


def test_a_large_file_is_passed_on_while_it_comes() -> None:
    written: list[int] = []

    class Counting:
        def write(self, data: bytes) -> None:
            written.append(len(data))

    head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    sent = 0

    async def receive() -> Any:
        nonlocal sent
        sent += 1
        assert sum(written) >= (sent - 20) * (1 << 18)  # never more than some chunks behind
        if sent == 1:
            return {"type": "http.request", "body": head, "more_body": True}
        if sent < 80:
            return {"type": "http.request", "body": bytes(1 << 18), "more_body": True}
        return {"type": "http.request", "body": b"\r\n--xyz--\r\n", "more_body": False}

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=xyz")]}
    in_loop(read_form(Request(scope, receive), lambda field, filename: Counting()))
    assert sum(written) == 78 << 18


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{}", "application/json", "not_a_form"),
        (BODY, "multipart/form-data", "not_a_form"),
        (b"hello", "multipart/form-data; boundary=xyz", "bad_form"),
        (BODY[:-20], "multipart/form-data; boundary=xyz", "bad_form"),
        (b"", "multipart/form-data; boundary=xyz", "bad_form"),
        (BODY.replace(b"normalize", b"model"), "multipart/form-data; boundary=xyz", "bad_form"),
        (BODY.replace(b'name="model"', b"x=1"), "multipart/form-data; boundary=xyz", "bad_form"),
        (BODY.replace(b"htdemucs", b"\xff"), "multipart/form-data; boundary=xyz", "bad_form"),
        (BODY.replace(b"htdemucs", b"x" * 70000), "multipart/form-data; boundary=xyz", "bad_form"),
    ],
)
def test_what_is_no_form_is_said_to_be_none(body: bytes, kind: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(body, kind=kind)
    assert refused.value.code == code


def test_a_caller_who_hangs_up_leaves_a_word() -> None:
    with pytest.raises(UnusableInput) as refused:
        read(BODY[:150], cut=True)
    assert refused.value.code == "upload_cut_off"


def test_a_sink_that_is_full_ends_the_form() -> None:
    class Full:
        def write(self, data: bytes) -> None:
            raise TooLarge("full")

    head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    messages = [{"type": "http.request", "body": head + bytes(1 << 21), "more_body": True}]

    async def receive() -> Any:
        return messages.pop(0)  # an IndexError here would mean that more was asked for

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"multipart/form-data; boundary=xyz")]}
    with pytest.raises(TooLarge):
        in_loop(read_form(Request(scope, receive), lambda field, filename: Full()))
