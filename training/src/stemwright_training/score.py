"""What a composed song is made of: plain frozen values, no sound yet."""

from dataclasses import dataclass
from typing import Literal

Stem = Literal["drums", "bass", "other", "vocals"]
STEMS: tuple[Stem, ...] = ("drums", "bass", "other", "vocals")
SAMPLE_RATE = 44100


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """One note. Times are in seconds from the start of the song, so that swing and rubato are already in them."""

    start: float
    duration: float
    pitch: int  # MIDI note number; for drums the General MIDI drum key
    velocity: int  # 1 to 127
    syllable: str = ""  # what is sung on it; empty for instruments


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The notes of one instrument and how it sounds."""

    stem: Stem
    instrument: str  # "gm:<program>", "kit:<bank 128 program>", "synth:<name>" or "voice:<name>"
    notes: tuple[Note, ...]
    gain_db: float = 0.0  # against the other parts of its stem
    pan: float = 0.0  # -1 left to 1 right
    reverb: float = 0.1  # share of the wet sound


@dataclass(frozen=True, kw_only=True, slots=True)
class Song:
    """A composed song, ready to render."""

    seed: int
    style: str
    seconds: float
    tempo: float  # quarter notes a minute
    beats_per_bar: float  # in quarter notes: 4.0, or 3.0 for 3/4 and 6/8
    key: str
    parts: tuple[Part, ...]
