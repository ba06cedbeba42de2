"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

ANONYMOUS = "anonymous"  # the subject of everybody where nobody has to say who they are
ADMIN = "admin"  # the role of those who see to everybody's jobs
RESERVED = "hmac:"  # how subjects begin that no token can name: callers who sign instead


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A caller. What a subject uploads is seen by that subject only."""

    subject: str
    roles: frozenset[str] = frozenset()  # what its token says it is beside a user; nobody without a token has any


class Authenticator(Protocol):
    """Finds out who calls from the Authorization header."""

    def authenticate(self, authorization: str | None) -> Principal:
        """Who sent a request with this token.

        Raises:
            Unauthenticated: the token is missing, expired or not ours.
        """
        ...
