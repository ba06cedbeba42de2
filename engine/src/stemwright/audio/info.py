"""What is known of an audio file, and what a caller allows one to be."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from stemwright.audio.cover import Cover
from stemwright.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What the file says of itself, found by its content and not by its name."""

    container: str  # wav, mp3, flac, ogg, m4a, mp4, mov, matroska, webm and so on
    codec: str  # FFmpeg's name of the codec: pcm_s16le, mp3, aac and so on
    sample_rate: int  # samples a second of each channel, as decoded
    channels: int
    duration: float | None  # seconds, as declared by the file; None where it declares nothing (a raw stream)
    bit_rate: int | None  # bits a second of the audio stream, or of the file if the stream does not say
    # title, artist, album, date, track and so on, by lower-case names
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cover: Cover | None = None  # the picture of the album
    size: int  # bytes of the file
    track: int = 1  # which of its audio tracks is read, from 1
    tracks: int = 1  # how many audio tracks there are
    late: float = 0.0  # seconds that the picture of a film begins before the sound
    notes: tuple[str, ...] = ()  # what a user should know of how it is read, as far as it shows at the beginning


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """What of an input is read.

    Raises:
        OptionError: There can be no such track.
    """

    track: int | None = None  # which of its audio tracks, from 1; None: the first that can be decoded
    # Whether the silence stays that the file means: before a sound that begins after the picture, and in gaps
    video_clock: bool = False

    def __post_init__(self) -> None:
        if self.track is not None and self.track < 1:
            raise OptionError(f"track is {self.track}: audio tracks are counted from 1")


@dataclass(frozen=True, kw_only=True)
class InputLimits:
    """What an input may cost; None is no limit."""

    max_bytes: int | None = None  # largest file, in bytes
    # Longest audio, in seconds: of what the file declares, and of what really comes out of it
    max_seconds: float | None = None
    nice: int = 0  # by how much the decoding process gives way to others, as `os.nice` has it; 19 is most

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:  # NaN, which nothing is longer than, among them
                raise OptionError(f"{name} is {value}: a number over 0 is meant, or None for no limit")


def shown(path: str | os.PathLike[str]) -> str:
    """The path on one line, quoted, whatever characters it holds."""
    return repr(os.fspath(path))
