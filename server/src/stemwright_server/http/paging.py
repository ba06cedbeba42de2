"""Where a page of jobs or songs ends, as a word that a client gives back for the next one."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Query

from stemwright_server.domain.job import Job
from stemwright_server.domain.track import Track
from stemwright_server.ports.jobs import Place
from stemwright_worker.errors import InvalidRequest

_WORD = re.compile(r"([0-9.e+]{1,30})_([0-9A-Za-z-]{1,64})")

Before = Annotated[str | None, Query(max_length=100, description="`next` of the page before: jobs older than it.")]


def next_of(last: Job | Track) -> str:
    """The word for what is older than this. Seventeen digits are a float to the last bit."""
    return f"{last.created_at!r}_{last.id}"


def place_of(before: str | None) -> Place | None:
    """The place that such a word names.

    Raises:
        InvalidRequest: it is none.
    """
    if before is None:
        return None
    said = _WORD.fullmatch(before)
    try:
        return float(said[1] if said else ""), said[2] if said else ""
    except ValueError as error:
        raise InvalidRequest("That is no `next` of a page.", code="bad_before") from error
