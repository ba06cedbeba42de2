"""GET of the page's files: built from ``web/``, shipped inside this package, and held in memory."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from stemwright_worker.errors import NotFound

BUILT = Path(__file__).parents[2] / "web"

# Said here, not guessed: what the system's table has for them differs from machine to machine.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# The build puts a hash of the content into the names below assets/, so these may be kept; the rest is asked for again.
_KEPT = "public, max-age=31536000, immutable"
_CHECKED = "no-cache"


@dataclass(frozen=True, kw_only=True)
class _File:
    plain: bytes
    zipped: bytes
    etag: str
    media_type: str
    cache: str


def page_router(connect: Sequence[str] = ()) -> APIRouter:
    """``connect``: origins beside our own that the page may fetch stems from, as of an object store."""
    router = APIRouter(include_in_schema=False)
    headers = {
        "Content-Security-Policy": content_security_policy(connect),
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }

    def file(request: Request) -> Response:
        return _answer(request, headers)

    for path in ("/", "/favicon.svg", "/assets/{name}"):
        router.add_api_route(path, file, methods=["GET", "HEAD"])
    return router


def content_security_policy(connect: Sequence[str] = ()) -> str:
    """Everything from our own origin; WebAssembly for the pitch shifter; no inline script or style, no frame around us."""
    own = "'self'"
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {own} 'wasm-unsafe-eval'",
            f"style-src {own}",
            f"img-src {own}",
            f"connect-src {' '.join([own, *connect])}",
            f"form-action {own}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _answer(request: Request, always: Mapping[str, str]) -> Response:
    file = _files().get(request.url.path)
    if file is None:
        raise NotFound("The page has no such file.", code="file_not_found")
    headers = {**always, "ETag": file.etag, "Cache-Control": file.cache, "Vary": "Accept-Encoding"}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("If-None-Match", "").split(",")]
    if file.etag in known:
        return Response(status_code=304, headers=headers)
    body = file.plain
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body = file.zipped
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=file.media_type, headers=headers)


@cache
def _files() -> Mapping[str, _File]:
    """By URL path. Only these names are answered, so no path of a request ever reaches the disk."""
    found = {f"/{path.relative_to(BUILT).as_posix()}": _read(path) for path in BUILT.rglob("*") if path.is_file()}
    return {**found, "/": found.pop("/index.html")}


def _read(path: Path) -> _File:
    plain = path.read_bytes()
    return _File(
        plain=plain,
        zipped=gzip.compress(plain, 9, mtime=0),
        etag=f'"{hashlib.sha256(plain).hexdigest()[:32]}"',
        media_type=_TYPES[path.suffix],
        cache=_KEPT if path.parent.name == "assets" else _CHECKED,
    )
