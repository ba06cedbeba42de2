"""The formats that stems are written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stemwright.errors import OptionError

LEAST_BITRATE, MOST_BITRATE = 6_000, 512_000
"""Bits a second that may be asked of a format that has a choice."""


@dataclass(frozen=True, kw_only=True)
class AudioFormat:
    """One format of output and what it can hold."""

    name: str
    extension: str
    mime: str
    lossless: bool
    clips: bool = True  # whether values beyond full scale are clamped; only 32-bit float keeps them
    rates: frozenset[int] | None = None  # sample rates (Hz) that it can hold; None is any
    most_rate: int | None = None  # the highest of them, where any up to it will do
    bitrate: int | None = None  # default bits a second, where bits a second are a choice
    most_bitrate: int = MOST_BITRATE  # highest of them that may be asked for
    vbr_qualities: range | None = None  # qualities of variable bit rate, where they are a choice
    bits: int | None = None  # bits of an integer sample; None for float and for lossy formats


_MP3_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_FLAC_RATE = 1_048_575  # what its header can say
_AAC_RATES = _MP3_RATES | {7350, 64000, 88200, 96000}

_ALL = (
    AudioFormat(name="wav", extension="wav", mime="audio/wav", lossless=True, bits=16),
    AudioFormat(name="wav24", extension="wav", mime="audio/wav", lossless=True, bits=24),
    AudioFormat(name="wav-float", extension="wav", mime="audio/wav", lossless=True, clips=False),
    AudioFormat(name="flac", extension="flac", mime="audio/flac", lossless=True, most_rate=_FLAC_RATE, bits=16),
    AudioFormat(name="flac24", extension="flac", mime="audio/flac", lossless=True, most_rate=_FLAC_RATE, bits=24),
    # V0 is the best of mp3's qualities, 9 the smallest.
    AudioFormat(
        name="mp3",
        extension="mp3",
        mime="audio/mpeg",
        lossless=False,
        rates=_MP3_RATES,
        bitrate=320_000,
        most_bitrate=320_000,
        vbr_qualities=range(10),
    ),
    AudioFormat(name="m4a", extension="m4a", mime="audio/mp4", lossless=False, rates=_AAC_RATES, bitrate=256_000),
    # 10 is the best of Vorbis' qualities, 0 the smallest.
    # Above this rate libvorbis has no mode, and libsndfile crashes.
    AudioFormat(
        name="ogg", extension="ogg", mime="audio/ogg", lossless=False, most_rate=200_000, vbr_qualities=range(11)
    ),
    # Opus knows 48 kHz only: any other rate is brought to it on the way in.
    AudioFormat(name="opus", extension="opus", mime="audio/ogg", lossless=False, bitrate=192_000),
)

FORMATS: Mapping[str, AudioFormat] = MappingProxyType({one.name: one for one in _ALL})
"""Every format, by name."""


def check_choices(
    form: AudioFormat, *, bitrate: int | None = None, vbr_quality: int | None = None, preset: int | None = None
) -> None:
    """See that a format has what is chosen; nothing has to be known of the audio for it.

    Raises:
        OptionError: It has not.
    """
    if bitrate is not None and form.bitrate is None:
        having = ", ".join(one.name for one in FORMATS.values() if one.bitrate is not None)
        raise OptionError(f"{form.name} has no choice of bits a second: {having} have")
    if bitrate is not None and not LEAST_BITRATE <= bitrate <= form.most_bitrate:
        raise OptionError(
            f"{form.name} cannot be written at {bitrate} bits a second: choose {LEAST_BITRATE} to {form.most_bitrate}"
        )
    if vbr_quality is not None and (form.vbr_qualities is None or vbr_quality not in form.vbr_qualities):
        raise OptionError(f"{form.name} has no variable bit rate of quality {vbr_quality}")
    if preset is not None and (form.name != "mp3" or not 0 <= preset <= 9):
        raise OptionError(f"{form.name} has no preset {preset}")
