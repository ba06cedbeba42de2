"""What a caller may choose of a separation and of its files, and what a caller is told meanwhile."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from stemwright.audio.formats import FORMATS, check_choices
from stemwright.errors import OptionError

DcOffset = Literal["auto", "each", "shared"]
"""``auto``: as the model was made for."""
Precision = Literal["auto", "exact", "fast"]
ClipMode = Literal["rescale", "clamp", "none"]
OtherMethod = Literal["add", "minus", "none"]

DEFAULT_MODEL = "htdemucs"
_FIELDS = ("track", "trackext", "stem", "ext")  # of a file name pattern
LONGEST_SEGMENT = 3600  # seconds: the memory of a segment is held whatever the length of the song


@dataclass(frozen=True, kw_only=True)
class SeparationOptions:
    """How a mix is separated. Names and meanings are Demucs's where Demucs has them.

    Raises:
        OptionError: A value makes no sense, by itself or with another.
    """

    stems: tuple[str, ...] | None = None  # which stems to give; None: all that the model has
    two_stems: str | None = None  # this stem and everything else, "no_<stem>"
    other_method: OtherMethod = "add"  # "no_<stem>": the other stems added, the mix minus the stem, or not at all
    shifts: int = 0  # passes over the mix at random shifts below half a second, averaged; 0: one pass, unshifted
    seed: int = 0  # where the random shifts come from: the same seed, the same shifts
    overlap: float = 0.25  # share of a segment that the next one covers
    segment: float | None = None  # seconds the network sees at once; None: what the model was made for
    jobs: int = 1  # segments computed side by side; each one costs its memory
    precision: Precision = "auto"
    dc_offset: DcOffset = (
        "auto"  # of the mix: each stem has it, as in Demucs; or its share of it, so that they sum to the mix
    )

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
        if self.dc_offset not in get_args(DcOffset):
            raise OptionError(f"dc_offset is {self.dc_offset!r}: choose one of {', '.join(get_args(DcOffset))}")
        if self.other_method not in get_args(OtherMethod):
            raise OptionError(f"other_method is {self.other_method!r}: choose add, minus or none")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How stems are written. Names and meanings are Demucs's where Demucs has them.

    Raises:
        OptionError: A value makes no sense, by itself or with the format.
    """

    format: str = "wav"
    bitrate: int | None = None  # bits per second, for lossy formats; None: the format's default
    vbr_quality: int | None = None  # mp3 with variable bit rate: 0 is best, 9 smallest
    preset: int = 5  # mp3: 2 is best, 7 is fastest; 2 takes twice as long as 5
    clip_mode: ClipMode = "rescale"  # a stem above full scale: one gain for all stems, cut off at 0.99, or left alone
    normalize: bool = False  # one gain for all stems, so that the highest peak of any is just under full scale
    filename: str = "{track}/{stem}.{ext}"  # below the output folder; also {trackext}
    keep_rate: bool = False  # stems at the input's sample rate instead of the model's
    tags: Mapping[str, str] = field(default_factory=dict)  # besides the input's own

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"there is no format {self.format!r}: choose one of {', '.join(FORMATS)}")
        if self.clip_mode not in get_args(ClipMode):
            raise OptionError(f"clip_mode is {self.clip_mode!r}: choose rescale, clamp or none")
        if self.bitrate is not None and self.vbr_quality is not None:
            raise OptionError("bitrate and vbr_quality exclude each other: choose one")
        check_choices(
            FORMATS[self.format], bitrate=self.bitrate, vbr_quality=self.vbr_quality, preset=self.encoder_preset
        )
        _check_pattern(self.filename)

    @property
    def encoder_preset(self) -> int | None:
        """The preset, where the format has one."""
        return self.preset if self.format == "mp3" else None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a separation is. Segments are counted, so a fraction is never an estimate."""

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


def _check_pattern(pattern: str) -> None:
    """Check a pattern of file names.

    Raises:
        OptionError: It is not a format string, or uses other fields than there are.
    """
    # An attribute or an index of a field would reach into Python's objects. Whether the rest of a format string is right
    # (conversion, width) is tried out.
    with contextlib.suppress(ValueError, LookupError, AttributeError):
        if all(field in (*_FIELDS, None) for _, field, _, _ in string.Formatter().parse(pattern)):
            pattern.format(**dict.fromkeys(_FIELDS, "x"))
            return
    raise OptionError(
        f"the file name pattern {pattern!r} is wrong: it may use {{track}}, {{trackext}}, {{stem}} and {{ext}}"
    )
