"""The zip as an HTTP answer: its length is known, it can be resumed, and its end may be remembered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from stemwright_server.http.pools import STORE
from stemwright_server.ports.blobs import attachment
from stemwright_server.usecases.archive import Archive

# What a reader of zips may fetch first, to see what is in one: the directory is at the end, before a comment of 64 KiB at most.
_LOOK = 1 << 17  # bytes
_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


def zip_response(
    request: Request,
    found: Archive,
    filename: str,
    read: Callable[[int, int], Iterator[bytes]],
    ended: Callable[[], None],
) -> Response:
    """Answer GET or HEAD, with one Range if asked. ``ended`` is called once a download has come to its end.

    That is the last byte of a whole answer, or of one from some byte to the end, as resumed downloads ask (``bytes=N-``). A
    request for the last few bytes alone, or for a range with both ends (``bytes=N-M``), ends no download: others may follow.
    """
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": attachment(filename),
        "ETag": f'"{found.tag}"',
    }
    if headers["ETag"] in request.headers.get("If-None-Match", ""):
        return Response(status_code=304, headers=headers)
    start, stop, status, counts = 0, found.size, 200, True
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    fresh = request.headers.get("If-Range", headers["ETag"]) == headers["ETag"]
    if asked is not None and fresh and any(asked.groups()):
        start, stop = _bounds(asked[1], asked[2], found.size)
        if start >= stop:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{found.size}"})
        status, counts = 206, start == 0 or (bool(asked[1]) and not asked[2] and stop - start > _LOOK)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{found.size}"
    headers["Content-Length"] = str(stop - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="application/zip")

    def body() -> Iterator[bytes]:
        yield from read(start, stop)
        if counts and stop == found.size:
            ended()

    return StreamingResponse(STORE.iterate(body()), status_code=status, headers=headers, media_type="application/zip")


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """From and to before which byte; nothing in between: the range cannot be had."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size
