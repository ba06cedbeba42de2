"""Which pages may open a WebSocket: browsers ask nobody before they do."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from stemwright_worker.errors import Forbidden


def check_origin(connection: HTTPConnection, allowed: Collection[str]) -> None:
    """Let programs, our own pages and those of ``allowed`` origins pass; "*" stands for all.

    Source: RFC 6455, section 10.2.

    Raises:
        Forbidden: a page of another origin has the browser connect (``foreign_origin``).
    """
    origin = connection.headers.get("Origin")
    if origin is None or "*" in allowed:
        return
    origin, host = origin.lower(), connection.headers.get("Host", "").lower()
    if origin not in {each.rstrip("/").lower() for each in allowed} and urlsplit(origin).netloc != host:
        raise Forbidden(
            "A page of another origin may not connect: name the origin in API_CORS_ORIGINS.", code="foreign_origin"
        )
