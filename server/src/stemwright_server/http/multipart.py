"""Forms with files (multipart/form-data), read as they stream in: a file goes to the disk, never into memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from stemwright_server.http.pools import STORE
from stemwright_worker.errors import InvalidRequest, UnusableInput

_BUFFER = 1 << 20  # bytes gathered before a write goes to a thread
_MAX_FIELDS = 64
_MAX_BOUNDARY = 70  # RFC 2046, section 5.1.1
_MAX_FIELD_BYTES = 1 << 16


class Sink(Protocol):
    """Where the bytes of a file go; blobs' ``Part`` is one."""

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            TooLarge: the file is over the cap.
            StorageFull: there is no room.
        """
        ...


async def read_form(request: Request, open_file: Callable[[str, str], Sink]) -> dict[str, str]:
    """The fields of the form in the request's body. Every file is written to a sink while it comes.

    ``open_file(field, filename)`` gives the sink of a file that begins; it may raise to refuse it.

    Raises:
        InvalidRequest: the body is no form, or not a whole one.
        UnusableInput: the caller closed the connection.
        ServiceError: a sink refused a file.
    """
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise InvalidRequest("Send a form: multipart/form-data, as `curl -F` does.", code="not_a_form")
    if len(boundary) > _MAX_BOUNDARY:
        raise InvalidRequest(f"The form's boundary is over {_MAX_BOUNDARY} characters.", code="bad_form")
    reader = _Reader(boundary, open_file)
    try:
        async for chunk in request.stream():
            reader.feed(chunk)
            if reader.pending_bytes >= _BUFFER:
                await STORE.run(reader.flush)
        await STORE.run(reader.flush)
    except ClientDisconnect as error:
        raise UnusableInput("The upload was cut off; send it again.", code="upload_cut_off") from error
    except FormParserError as error:
        raise InvalidRequest("The body is no well-formed multipart form.", code="bad_form") from error
    if not reader.ended:
        raise InvalidRequest("The form ends before its last boundary; send it again.", code="bad_form")
    return reader.fields


class _Reader:
    """Callbacks of the parser: it says what it saw, this keeps it."""

    def __init__(self, boundary: bytes, open_file: Callable[[str, str], Sink]) -> None:
        self.fields: dict[str, str] = {}
        self.pending_bytes = 0
        self.ended = False
        self._open_file = open_file
        self._pending: list[tuple[Sink, bytes]] = []
        self._header = b""
        self._disposition = b""
        self._name = ""
        self._value: bytearray | None = None  # of a plain field
        self._sink: Sink | None = None  # of a file
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_header_end": self._header_end,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse; what belongs to files is kept until ``flush``."""
        if chunk:
            self._parser.write(chunk)

    def flush(self) -> None:
        """Write what belongs to files."""
        for sink, data in self._pending:
            sink.write(data)
        self._pending, self.pending_bytes = [], 0

    def _part_begin(self) -> None:
        self._disposition, self._name, self._value, self._sink = b"", "", None, None

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition += data[start:end]

    def _header_end(self) -> None:
        self._header = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        if not self._name:
            raise InvalidRequest("A part of the form has no name.", code="bad_form")
        if b"filename" in options:
            self._sink = self._open_file(self._name, plain_filename(options[b"filename"].decode(errors="replace")))
            return
        if self._name in self.fields or len(self.fields) >= _MAX_FIELDS:
            raise InvalidRequest(f"The field {self._name!r} is given twice, or there are too many.", code="bad_form")
        self._value = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._pending.append((self._sink, data[start:end]))
            self.pending_bytes += end - start
            return
        assert self._value is not None  # the headers come first
        self._value += data[start:end]
        if len(self._value) > _MAX_FIELD_BYTES:
            raise InvalidRequest(f"The field {self._name!r} is over {_MAX_FIELD_BYTES} bytes.", code="bad_form")

    def _part_end(self) -> None:
        if self._value is None:
            return
        try:
            self.fields[self._name] = self._value.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"The field {self._name!r} is not UTF-8.", code="bad_form") from error

    def _end(self) -> None:
        self.ended = True


def plain_filename(given: str) -> str:
    """The name a file has at its sender: without folders and control characters; to be shown, never a path."""
    shown = "".join(character for character in re.split(r"[/\\]", given)[-1] if character.isprintable()).strip()
    return shown[-255:] or "upload"  # the end, for the sake of its extension
