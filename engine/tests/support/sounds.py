"""Sounds, and files of every kind made of them, by PyAV alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

from stemwright.audio import open_audio

_SUBTITLE_STYLES = b"""[Script Info]
ScriptType: v4.00+
[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,16
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
LAYOUTS = {1: "mono", 2: "stereo", 4: "quad", 6: "5.1", 8: "7.1"}


def sound(rate: int, samples: int, channels: int = 2, seed: int = 0) -> NDArray[np.float32]:
    """Tones that rise, differently in each channel, over a little noise: [channels, samples], peak below 0.6."""
    time = np.arange(samples) / rate
    chance = np.random.default_rng(seed)
    rows = [0.45 * np.sin(2 * np.pi * (220 * (i + 1) + 300 * time) * time + 0.5) for i in range(channels)]
    return (np.stack(rows) + 0.01 * chance.standard_normal((channels, samples))).astype(np.float32)


def read(path: Path, **choices: int) -> NDArray[np.float32]:
    """The whole file."""
    with open_audio(path, **choices) as reader:  # type: ignore[arg-type]
        return np.concatenate(list(reader), axis=1)


def encode(
    path: Path,
    samples: NDArray[np.float32],
    rate: int,
    *,
    codec: str,
    muxer: str,
    layout: str | None = None,
    video: bool = False,
    subtitles: str | None = None,
    attachment: bool = False,
    tags: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
    bit_rate: int = 192_000,
    begins_at: int = 0,
    more_tracks: tuple[NDArray[np.float32], ...] = (),
) -> Path:
    """Write samples [channels, n] with any codec into any container, with a picture, subtitles of a codec, a file or
    more tracks beside them if wanted. The sound begins so many samples after the picture.
    """
    with av.open(str(path), "w", format=muxer, options=muxer_options or {}) as container:
        container.metadata.update(tags or {})
        picture = container.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p") if video else None
        tracks = [
            (_audio_stream(container, codec, rate, each, layout, bit_rate), each) for each in (samples, *more_tracks)
        ]
        text = container.add_stream(subtitles) if subtitles else None
        if text is not None:
            text.codec_context.subtitle_header = _SUBTITLE_STYLES  # type: ignore[union-attr]
        if attachment:
            container.add_attachment("letter.txt", "text/plain", b"hello")
        if text is not None:
            said = av.Packet(b"Hello")
            said.stream, said.pts, said.dts, said.duration, said.time_base = text, 0, 0, 500, Fraction(1, 1000)
            container.mux(said)
        if picture is not None:
            for index in range(3):
                image = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 80 * index, np.uint8), format="rgb24")
                container.mux(picture.encode(image))
            container.mux(picture.encode(None))
        for stream, each in tracks:
            for at in range(0, each.shape[1], 4000):
                packed = np.ascontiguousarray(each[:, at : at + 4000].T).reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=stream.layout.name)
                frame.sample_rate, frame.pts, frame.time_base = rate, begins_at + at, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def _audio_stream(
    container: OutputContainer, codec: str, rate: int, samples: NDArray[np.float32], layout: str | None, bit_rate: int
) -> av.AudioStream:
    stream = container.add_stream(codec, rate=rate, layout=layout or LAYOUTS[len(samples)])
    assert isinstance(stream, av.AudioStream)
    stream.bit_rate = bit_rate
    stream.time_base = Fraction(1, rate)
    return stream


def lag(got: NDArray[np.float32], wanted: NDArray[np.float32], longest: int = 2000) -> int:
    """By how many samples `got` comes later than `wanted`, by cross-correlation of the first channel."""
    size = 1 << (max(got.shape[1], wanted.shape[1]) * 2 - 1).bit_length()
    product = np.fft.rfft(got[0], size) * np.conj(np.fft.rfft(wanted[0], size))
    correlation = np.fft.irfft(product, size)
    around = np.concatenate([correlation[-longest:], correlation[: longest + 1]])
    return int(np.argmax(around)) - longest
