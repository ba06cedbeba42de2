"""The words of a run: the files that it makes, and how far it is."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The role of an output is a word that the service gives. These two are known here because dialects treat them apart.
STEM = "stem"  # what a separation was asked for
PEAKS = "peaks"  # waveforms of the stems, to be drawn

# Names become parts of storage keys and of URLs, so they are plain from the start.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def plain(name: str, what: str) -> str:
    """``name`` itself if it is safe in a storage key; ValueError names ``what`` otherwise."""
    if PLAIN_NAME.fullmatch(name) is None:
        raise ValueError(
            f"{what} {name!r} has to be 1 to 100 letters, digits, '_', '-' and '.', none of the last two first"
        )
    return name


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """One file that a run will make, known before the run so that its upload URL can be signed ahead."""

    name: str  # for example "vocals"; unique within a run
    filename: str  # for example "vocals.flac"; the last part of its storage key
    content_type: str
    role: str = STEM  # the studio API lists every output; those for separation take the stems for the results

    def __post_init__(self) -> None:
        plain(self.name, "output")
        plain(self.filename, "output file")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is: ``done`` of ``total`` segments, and what is being done."""

    done: int
    total: int  # 0 while not known yet
    stage: str  # a short word: fetching, loading, uploading, or one of the service's own
    message: str = ""
    eta_seconds: float | None = None  # left empty by a model: the worker measures it

    @property
    def percent(self) -> float:
        """0 to 100, one decimal."""
        return round(100 * min(self.done, self.total) / self.total, 1) if self.total else 0.0
