"""An upload as it streams in: files to the disk, fields into memory, and nothing is left if it is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from stemwright_server.http.multipart import Sink, read_form
from stemwright_server.http.pools import STORE
from stemwright_server.ports.blobs import BlobStore, Part
from stemwright_worker.errors import InvalidRequest, ServiceError, TooLarge, UnusableInput
from stemwright_worker.ports.probe import HEAD_BYTES, Probe

FILE = "audio_file"
_SLACK = 1 << 18  # bytes of a form beside its files
_DRAIN_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file of the form: its name at the sender, and its bytes."""

    filename: str
    part: Part
    media_type: str | None = None  # by its first bytes, if they were enough to tell


@dataclass(frozen=True, kw_only=True)
class Form:
    """What came."""

    fields: Mapping[str, str]
    files: tuple[Upload, ...]


@asynccontextmanager
async def received(
    request: Request, blobs: BlobStore, probe: Probe | None, *, max_bytes: int, max_files: int
) -> AsyncIterator[Form]:
    """The form in the request's body. Its files are gone at the end, unless they were committed.

    Raises InvalidRequest, UnusableInput, TooLarge (a file is over ``max_bytes``), StorageFull.
    """
    files: list[_Checked] = []
    with ExitStack() as parts:

        def open_file(field: str, filename: str) -> Sink:
            if field != FILE:
                raise InvalidRequest(f"Send the file as the field {FILE!r}, not as {field!r}.", code="unknown_field")
            if len(files) >= max_files:
                raise InvalidRequest(f"At most {max_files} files are taken at once.", code="too_many_files")
            part = parts.enter_context(blobs.receive(max_bytes))
            files.append(_Checked(part, filename, probe, max_bytes))
            return files[-1]

        try:
            if int(request.headers.get("Content-Length") or 0) > max_bytes * max_files + _SLACK:
                raise TooLarge(f"The body is over the {max_bytes * max_files} bytes allowed.")
            await STORE.run(blobs.check_room)
            fields = await read_form(request, open_file)
        except ServiceError:
            await _drain(request)
            raise
        yield Form(fields=fields, files=tuple(file.upload() for file in files))


class _Checked:
    """Refuses what is no audio as soon as it can be told, and says which file it was."""

    def __init__(self, part: Part, filename: str, probe: Probe | None, max_bytes: int) -> None:
        self._part = part
        self._filename = filename
        self._probe = probe
        self._media_type: str | None = None
        self._max_bytes = max_bytes
        self._head = b""

    def write(self, data: bytes) -> None:
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES and self._probe is not None:
                self._media_type = self._probe.sniff(self._head)
                if self._media_type is None:
                    raise UnusableInput(f"{self._filename!r} is not audio, judging by its content.", code="not_audio")
        if self._part.size + len(data) > self._max_bytes:
            raise TooLarge(f"{self._filename!r} is over the {self._max_bytes} bytes allowed.")
        self._part.write(data)

    def upload(self) -> Upload:
        """The file, now that it is whole."""
        return Upload(filename=self._filename, part=self._part, media_type=self._media_type)


async def _drain(request: Request) -> None:
    """Take the rest of a refused upload for a while: a client that is still sending may not look for the answer."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        return  # it waits for leave, and gets the answer instead
    with suppress(ClientDisconnect, RuntimeError), anyio.move_on_after(_DRAIN_SECONDS):
        async for _ in request.stream():
            pass
