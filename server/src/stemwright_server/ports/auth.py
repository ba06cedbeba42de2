"""Who calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

ANONYMOUS = "anonymous"  # the subject of everybody where nobody has to say who they are
ADMIN = "admin"  # the role of those who see to everybody's jobs
RESERVED = "hmac:"  # how subjects begin that no token can name: callers who sign instead
ISSUED = "oidc:"  # how subjects of fetched keys begin: ISSUED, the issuer, "|", the token's own subject


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller. What a subject uploads is seen by that subject only."""

    subject: str
    roles: frozenset[str] = frozenset()  # what its token says it is beside a user; nobody without a token has any


class Authenticator(Protocol):
    """Finds out who calls from the Authorization header."""

    def preparation(self, authorization: str | None) -> Callable[[], None] | None:
        """What to call before ``authenticate``, in a thread, since it may wait for others; None: nothing."""
        ...

    def authenticate(self, authorization: str | None) -> Principal:
        """Who sent a request with this token. It waits for nobody.

        Raises:
            Unauthenticated: the token is missing, expired or not ours.
            Unavailable: whether it holds cannot be known now.
        """
        ...
