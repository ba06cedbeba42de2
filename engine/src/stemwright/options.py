"""What a caller may choose, and what a caller is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from stemwright.errors import OptionError

Precision = Literal["auto", "exact", "fast"]
ClipMode = Literal["rescale", "clamp", "none"]
OtherMethod = Literal["add", "minus", "none"]

DEFAULT_MODEL = "htdemucs"
LONGEST_SEGMENT = 3600  # seconds: the memory of a segment is held whatever the length of the song


@dataclass(frozen=True, kw_only=True)
class SeparationOptions:
    """How a mix is separated. Names and meanings are Demucs's where Demucs has them."""

    stems: tuple[str, ...] | None = None  # which stems to give; None: all that the model has
    two_stems: str | None = None  # this stem and everything else, "no_<stem>"
    other_method: OtherMethod = "add"  # "no_<stem>": the other stems added, the mix minus the stem, or not at all
    shifts: int = 0  # passes over the mix at random shifts below half a second, averaged; 0: one pass, unshifted
    seed: int = 0  # where the random shifts come from: the same seed, the same shifts
    overlap: float = 0.25  # share of a segment that the next one covers
    segment: float | None = None  # seconds the network sees at once; None: what the model was made for
    jobs: int = 1  # segments computed side by side; each one costs its memory
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.stems is not None and not self.stems:
            raise OptionError("no stem was asked for: name at least one, or leave the option out for all")
        if self.stems is not None and self.two_stems is not None:
            raise OptionError("stems and two_stems exclude each other: two_stems gives one stem and everything else")
        if not 0 <= self.overlap < 1:
            raise OptionError(f"overlap is {self.overlap}: it must be at least 0 and below 1")
        if not 0 <= self.shifts <= 100:
            raise OptionError(f"shifts is {self.shifts}: it must be between 0 and 100")
        if self.segment is not None and not 0 < self.segment <= LONGEST_SEGMENT:
            raise OptionError(f"segment is {self.segment} s: it must be above 0 and at most {LONGEST_SEGMENT}")
        if self.jobs < 1:
            raise OptionError(f"jobs is {self.jobs}: it must be at least 1")
        if self.precision not in get_args(Precision):
            raise OptionError(f"precision is {self.precision!r}: choose one of {', '.join(get_args(Precision))}")
        if self.other_method not in get_args(OtherMethod):
            raise OptionError(f"other_method is {self.other_method!r}: choose add, minus or none")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a separation is. Segments are what is counted, so it never lies."""

    segments_done: int
    segments_total: int
    elapsed: float  # seconds since the first segment began
    remaining: float | None  # seconds still to go at the pace so far; None before the first segment is done

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return self.segments_done / self.segments_total


OnProgress = Callable[[Progress], None]
ShouldStop = Callable[[], bool]
