"""PUT and GET on signed URLs: what S3 would answer itself, for blobs on the local disk."""

import base64
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from stemwright_server.adapters.blobs.incoming_file import Part
from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.domain.track import Track
from stemwright_server.http.errors import Problem
from stemwright_server.http.pools import STORE
from stemwright_worker.errors import InvalidRequest, NotFound, TooLarge, UnusableInput

_BUFFER = 1 << 20  # bytes gathered before a write goes to a thread


def blobs_router(blobs: LocalBlobs, received: Callable[[str, str], Track]) -> APIRouter:
    """``received(track_id, sha256)`` is called at the end of an upload and may refuse it."""
    router = APIRouter(prefix="/blobs", tags=["blobs"])
    refusals: dict[int | str, dict[str, Any]] = {s: {"model": Problem} for s in (403, 404, 409, 413, 422, 507)}

    @router.put("/{key:path}", responses=refusals)
    async def put_blob(key: str, request: Request) -> Response:
        """Take the bytes of a signed upload URL.

        A `Content-Digest: sha-256=:...:` header is checked. The end of an upload of a song answers
        `{file_id, size, sha256, content_type}`.
        """
        grant = blobs.verify("PUT", key, request.query_params)
        upload = key.startswith("uploads/")
        if int(request.headers.get("Content-Length") or 0) > grant.max_bytes:
            raise TooLarge(f"More than the {grant.max_bytes} bytes allowed.")
        if upload:
            await STORE.run(blobs.check_room)
        with blobs.receive(grant.max_bytes) as part:
            await _take(part, request)
            digest = await STORE.run(_commit, part, key, request.headers.get("Content-Digest"))
        if not upload:
            return Response(status_code=201)
        track = await STORE.run(received, key.removeprefix("uploads/"), digest)
        answer = {"file_id": track.id, "size": track.size, "sha256": track.sha256, "content_type": track.media_type}
        return JSONResponse(answer, status_code=201)

    @router.head("/{key:path}", include_in_schema=False)
    @router.get("/{key:path}", responses={403: {"model": Problem}, 404: {"model": Problem}})
    def get_blob(key: str, request: Request) -> FileResponse:
        """Answer a signed download URL; Range requests are honoured."""
        grant = blobs.verify("GET", key, request.query_params)
        path = blobs.path(key)
        try:
            file = path.open("rb")
        except FileNotFoundError as error:
            raise NotFound("It is not here any more.", code="blob_not_found") from error
        return OpenFileResponse(
            file,
            media_type=grant.content_type or "application/octet-stream",
            filename=grant.filename or path.name,
            headers={"Cache-Control": "private, max-age=3600"},
        )

    return router


class OpenFileResponse(FileResponse):
    """A file that was opened before: it is sent whole, also when it is deleted after its headers were."""

    def __init__(self, file: BinaryIO, **options: Any) -> None:
        """See `FileResponse` for the options."""
        path = f"/proc/self/fd/{file.fileno()}" if sys.platform == "linux" else file.name
        super().__init__(path, stat_result=os.fstat(file.fileno()), **options)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, and close it however that ends."""
        with self._file:
            await super().__call__(scope, receive, send)


async def _take(part: Part, request: Request) -> None:
    pending: list[bytes] = []
    try:
        async for chunk in request.stream():
            pending.append(chunk)
            if sum(map(len, pending)) >= _BUFFER:
                await STORE.run(_write, part, pending)
                pending = []
        await STORE.run(_write, part, pending)
    except ClientDisconnect as error:
        raise UnusableInput("The upload was cut off; send it again.", code="upload_cut_off") from error


def _write(part: Part, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        part.write(chunk)


def _commit(part: Part, key: str, declared: str | None) -> str:
    if declared is not None:
        digest = part.close(durable=False)
        expected = f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:"
        if expected not in [each.strip() for each in declared.split(",")]:
            raise InvalidRequest(
                "The bytes do not have the Content-Digest they were sent with.", code="checksum_mismatch"
            )
    # Outputs of an attempt may be sent again after a lost answer; an upload is taken once.
    return part.commit(key, replace=not key.startswith("uploads/"))
