"""Tokens of workers: a key that signs for some services and for some time, made of the API's secret without being it.

    swt1.<base64url of {"exp": ..., "services": [...]}>.<hex of HMAC-SHA256(secret, "worker-token|" + the middle part)>

The last part is the key that the worker signs bodies with. It stays with the worker, which sends the middle part in
``X-Worker-Token``; the API makes the key again from that and from its own secret. So nothing has to be stored, and what the
middle part says cannot be changed: another one has another key.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from stemwright_worker.errors import Forbidden, Unsigned

WORKER_TOKEN = "X-Worker-Token"  # noqa: S105  # the name of a header
PREFIX = "swt1."
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SAID = re.compile(r"[A-Za-z0-9_-]{1,4096}")


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What the signer of a request may do."""

    services: frozenset[str] | None = None  # those it works for; None: all

    def check(self, *services: str) -> None:
        """Raise Forbidden (code ``service_not_allowed``) unless all of them are allowed."""
        if self.services is not None and (others := sorted(set(services) - self.services)):
            raise Forbidden(
                f"The worker's token is for {', '.join(sorted(self.services))}, not for {', '.join(others)}.",
                code="service_not_allowed",
            )


ALL_SERVICES = Credential()


def mint(secret: str, *, services: Sequence[str], expires_at: float) -> str:
    """A token for workers of these services. Raises ValueError for a name that is none."""
    wrong = [each for each in services if _SERVICE.fullmatch(each) is None]
    if wrong or not services:
        raise ValueError(f"{wrong[0]!r} is no name of a service" if wrong else "name a service")
    claims = json.dumps({"exp": int(expires_at), "services": sorted(set(services))}, separators=(",", ":"))
    said = base64.urlsafe_b64encode(claims.encode()).rstrip(b"=").decode()
    return f"{PREFIX}{said}.{token_key(secret, said)}"


def token_key(secret: str, said: str) -> str:
    """What a worker signs with whose token says this."""
    return hmac.new(secret.encode(), b"worker-token|" + said.encode(), "sha256").hexdigest()


def signing_key(secret: str) -> tuple[str, dict[str, str]]:
    """What a worker signs with, of what it was given: a secret, or a token. And the headers that say so."""
    if not secret.startswith(PREFIX):
        return secret, {}
    said, _, key = secret.removeprefix(PREFIX).partition(".")
    return key, {WORKER_TOKEN: said}


def credential(said: str, *, now: float) -> Credential:
    """What a token says, which holds once the body's signature does.

    Raises:
        Unsigned: codes ``token_malformed``, ``token_expired``.
    """
    try:
        if _SAID.fullmatch(said) is None:
            raise ValueError
        claims = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
        expires_at, services = int(claims["exp"]), frozenset(str(each) for each in claims["services"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise Unsigned(
            f"{WORKER_TOKEN} is not what `stemwright workers token` prints.", code="token_malformed"
        ) from error
    if now >= expires_at:
        raise Unsigned("The worker's token is over; make one with: stemwright workers token", code="token_expired")
    return Credential(services=services)
