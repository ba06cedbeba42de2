"""How the errors of a dialect look. Light to import: it is part of what a dialect says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ErrorShape:
    """The errors on ``prefix`` and on all paths below it, those that no route has included. The longest prefix counts."""

    prefix: str
    body: Callable[[int, str, str, Mapping[str, Any]], Mapping[str, Any]]  # of status, code, message, context: the JSON
    statuses: Mapping[int, int] = field(default_factory=dict)  # what is answered in place of the usual statuses
