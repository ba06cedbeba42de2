"""Where a page of a list that is sorted by time ends, as text that a caller gives back."""

from __future__ import annotations

import re

from stemwright_worker.errors import InvalidRequest

Place = tuple[float, str]
"""When the last thing of a page was made, and its id."""


def cursor_of(place: Place) -> str:
    """Seventeen digits are a float to the last bit."""
    return f"{place[0]!r}_{place[1]}"


def read_cursor(cursor: str | None) -> Place | None:
    """The place that a cursor stands for; None for none.

    Raises:
        InvalidRequest: it was never given out (``bad_cursor``).
    """
    if cursor is None:
        return None
    said = re.fullmatch(r"([0-9.e+]{1,30})_([0-9a-zA-Z_-]{1,64})", cursor)
    try:
        return float(said[1] if said else ""), said[2] if said else ""
    except ValueError as error:
        raise InvalidRequest("The cursor is no `next` of a page.", code="bad_cursor") from error
