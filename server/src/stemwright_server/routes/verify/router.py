"""``GET /auth/verify``: the question of a gateway that asks before it passes a request on to something else."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import Problem
from stemwright_server.ports.auth import ANONYMOUS, Principal
from stemwright_worker.errors import Unauthenticated

_PLAIN = "!#$&'()*+-./:;=?@^_`|~"  # with letters and digits; the rest, commas among it, is percent-encoded


def verify_router(callers: Callers) -> APIRouter:
    """The one route of it."""
    router = APIRouter(prefix="/auth", tags=["verify"])
    caller_of = Depends(callers.caller)

    @router.get("/verify", status_code=204, responses={401: {"model": Problem}, 503: {"model": Problem}})
    async def verify(caller: Annotated[Principal, caller_of]) -> Response:
        """204 if the request's bearer token holds, with who it is of in `X-User` and its roles in `X-Roles`; else 401.

        Both are percent-encoded, so that no name is more than a name in a header.
        """
        if caller.subject == ANONYMOUS:
            raise Unauthenticated("Nobody signs in here: set JWT_ISSUER or JWT_SECRET, then tokens can be verified.")
        roles = ",".join(quote(role, safe=_PLAIN) for role in sorted(caller.roles))
        said = {"X-User": quote(caller.subject, safe=_PLAIN), "X-Roles": roles, "Cache-Control": "no-store"}
        return Response(status_code=204, headers=said)

    return router
