"""Which route answered a request: its template, never the path, which may hold an id, a signature or a stranger's words."""

from __future__ import annotations

from starlette.types import Scope

UNMATCHED = "unmatched"


def route_of(scope: Scope) -> str:
    """For example ``/api/v1/jobs/{job_id}``, once the router has seen the request."""
    # FastAPI's routers within routers keep their own, shorter paths; the whole one is in what it keeps for itself.
    whole = getattr(scope.get("fastapi", {}).get("effective_route_context"), "path", None)
    return str(whole or getattr(scope.get("route"), "path", None) or UNMATCHED)
