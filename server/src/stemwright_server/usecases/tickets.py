"""Tickets for browsers, which can send no token with an event stream: each lets its holder connect once, within a minute.

A ticket may stand in a URL, where a token must not: what a log or a history keeps of it opens nothing any more.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.deps import Deps
from stemwright_worker.errors import TooManyRequests, Unauthenticated

SECONDS = 60.0
_MOST = 100  # of one subject that nobody used yet


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """What its holder shows. Nothing that is stored leads back to it."""

    text: str
    expires_at: float  # unix seconds


def issue_ticket(deps: Deps, caller: Principal) -> Ticket:
    """A ticket for events as this caller sees them.

    Raises:
        TooManyRequests: the caller has a hundred that nobody used.
    """
    now = deps.clock()
    if deps.repository.tickets_of(caller.subject, now) >= _MOST:
        raise TooManyRequests(
            f"{_MOST} of your tickets are unused; use them, or wait a minute.",
            code="too_many_tickets",
            retry_after=int(SECONDS),
        )
    ticket = Ticket(text=secrets.token_urlsafe(32), expires_at=now + SECONDS)
    deps.repository.add_ticket(_digest(ticket.text), owner=caller.subject, until=ticket.expires_at)
    return ticket


def redeem_ticket(deps: Deps, text: str) -> Principal:
    """Who got the ticket; it holds no more after this.

    Raises:
        Unauthenticated: it was used, is too old, or was never given out.
    """
    owner = deps.repository.take_ticket(_digest(text), deps.clock())
    if owner is None:
        raise Unauthenticated("The ticket was used or is too old; get a new one by POST /events/ticket.")
    return Principal(subject=owner)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
