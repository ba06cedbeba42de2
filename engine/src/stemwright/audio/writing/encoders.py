"""The encoders behind the writer: each takes float blocks and writes a container to an open file."""

from __future__ import annotations

import os
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stemwright.audio.containers.mpeg import mpeg_header
from stemwright.audio.containers.ogg import set_numbers, with_comments
from stemwright.audio.cover import Cover, picture_comment
from stemwright.audio.formats import AudioFormat
from stemwright.audio.resample import Resampler
from stemwright.audio.samples import Samples, to_integers
from stemwright.audio.writing.sink import Sink
from stemwright.errors import MissingExtraError

OPUS_RATE = 48000
_DEFAULT_VORBIS_QUALITY = 6
_SERIAL = 1
_SKIP_SAMPLES = 11  # AV_PKT_DATA_SKIP_SAMPLES
_PICTURE = "METADATA_BLOCK_PICTURE"
_WITH_PICTURES = ("flac", "mp3", "mp4")  # muxers of FFmpeg; that of WAV has no place for one
_IMAGE_CODECS = {"image/jpeg": "mjpeg", "image/png": "png"}
_LAYOUTS = ("mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What to write: a format, and the choices it leaves."""

    format: AudioFormat
    sample_rate: int
    channels: int
    bitrate: int | None = None
    vbr_quality: int | None = None
    preset: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cover: Cover | None = None


class Encoder(ABC):
    """Writes to a file that it does not own: `close` ends the container, not the file."""

    @abstractmethod
    def write(self, block: Samples) -> None:
        """Encode a block ``[channels, n]``."""

    @abstractmethod
    def close(self) -> None:
        """Write what is pending, and the container's end."""


def encoder_for(file: Sink, encoding: Encoding) -> Encoder:
    """The encoder of a format, writing to ``file`` (open for reading and writing, at its beginning)."""
    if encoding.format.name == "ogg":
        return VorbisEncoder(file, encoding)
    if encoding.format.name == "opus":
        return OpusEncoder(file, encoding)
    if encoding.format.name == "mp3":
        return Mp3Encoder(file, encoding)
    return FFmpegEncoder(file, encoding)


@dataclass(frozen=True, kw_only=True)
class _FFmpegFormat:
    """How FFmpeg is asked for a format."""

    muxer: str
    codec: str
    sample_format: str
    container: Mapping[str, str] = field(default_factory=dict)


# RF64 when the file grows beyond what RIFF can say.
_WAV = {"rf64": "auto"}
_FFMPEG_FORMATS = {
    "wav": _FFmpegFormat(muxer="wav", codec="pcm_s16le", sample_format="s16", container=_WAV),
    "wav24": _FFmpegFormat(muxer="wav", codec="pcm_s24le", sample_format="s32", container=_WAV),
    "wav-float": _FFmpegFormat(muxer="wav", codec="pcm_f32le", sample_format="flt", container=_WAV),
    "flac": _FFmpegFormat(muxer="flac", codec="flac", sample_format="s16"),
    "flac24": _FFmpegFormat(muxer="flac", codec="flac", sample_format="s32"),
    "mp3": _FFmpegFormat(muxer="mp3", codec="libmp3lame", sample_format="fltp", container={"id3v2_version": "3"}),
    "m4a": _FFmpegFormat(muxer="mp4", codec="aac", sample_format="fltp", container={"brand": "M4A "}),
    "opus": _FFmpegFormat(muxer="ogg", codec="libopus", sample_format="flt"),
}


class FFmpegEncoder(Encoder):
    """Everything but Vorbis and mp3, through PyAV."""

    def __init__(self, file: Sink, encoding: Encoding) -> None:
        import av

        self._av = av
        self._rate, self._bits = encoding.sample_rate, encoding.format.bits
        self._form = form = _FFMPEG_FORMATS[encoding.format.name]
        # Bit-exact: no version, no clock and no random number in the file. The same samples, the same bytes.
        options = {"fflags": "+bitexact", **form.container}
        if form.muxer == "mp4":
            # The edit list counts in the movie's time scale: at the sample rate it is exact to the sample.
            options["movie_timescale"] = str(self._rate)
        # PyAV's own types do not know which kind of stream they hold.
        self._container = cast("Any", av.open(file, "w", format=form.muxer, options=options))
        self._container.metadata.update(encoding.tags)
        if encoding.cover is not None and form.muxer == "ogg":
            self._container.metadata[_PICTURE] = picture_comment(encoding.cover)
        self._layout = _LAYOUTS[encoding.channels - 1]
        options = _options(encoding)
        self._stream = self._container.add_stream(
            form.codec, rate=self._rate, layout=self._layout, format=form.sample_format, options=options
        )
        if encoding.bitrate is not None and encoding.vbr_quality is None:
            self._stream.bit_rate = encoding.bitrate
        self._stream.time_base = Fraction(1, self._rate)
        self._at = 0
        if encoding.cover is not None and form.muxer in _WITH_PICTURES:
            self._add(encoding.cover)

    def _add(self, cover: Cover) -> None:
        """The picture is a stream of one packet to FFmpeg; of the image itself it looks at nothing."""
        codec = _IMAGE_CODECS[cover.mime]
        picture = self._container.add_mux_stream(codec, width=cover.width, height=cover.height)
        picture.disposition = self._av.stream.Disposition.attached_pic
        picture.metadata["comment"] = "Cover (front)"
        packet = self._av.Packet(cover.data)
        packet.stream, packet.is_keyframe = picture, True
        packet.pts = packet.dts = 0
        self._container.mux(packet)

    def write(self, block: Samples) -> None:
        """See `Encoder`."""
        frame = self._av.AudioFrame.from_ndarray(
            self._samples(block), format=self._form.sample_format, layout=self._layout
        )
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._at, Fraction(1, self._rate)
        self._at += block.shape[1]
        self._container.mux(self._stream.encode(frame))

    def _samples(self, block: Samples) -> NDArray[Any]:
        """The block as FFmpeg wants it: planar ``[channels, n]``, or packed ``[1, n * channels]``."""
        if self._bits == 16:
            ready: NDArray[Any] = to_integers(block, 16).astype(np.int16)
        elif self._bits is not None:
            ready = to_integers(block, self._bits) << (32 - self._bits)
        else:
            ready = block
        if self._form.sample_format.endswith("p"):
            return np.ascontiguousarray(ready)
        return np.ascontiguousarray(ready.T).reshape(1, -1)

    def close(self) -> None:
        """See `Encoder`."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


class Mp3Encoder(FFmpegEncoder):
    """LAME as `lameenc` brings it, in FFmpeg's container: a third of the time of the LAME in PyAV's wheel.

    FFmpeg's own encoder of the stream is there for what it says of it in the header, and encodes nothing.
    """

    _DELAY = 576 + 529  # samples that LAME, and a decoder, put before the first
    _VARIABLE = 4  # LAME's newer way to a variable bit rate

    def __init__(self, file: Sink, encoding: Encoding) -> None:
        import lameenc

        super().__init__(file, encoding)
        self._lame = lameenc.Encoder()
        self._lame.silence()
        self._lame.set_in_sample_rate(encoding.sample_rate)
        self._lame.set_out_sample_rate(encoding.sample_rate)
        self._lame.set_channels(encoding.channels)
        if encoding.vbr_quality is not None:
            self._lame.set_vbr(self._VARIABLE)
            self._lame.set_vbr_quality(encoding.vbr_quality)
        elif encoding.bitrate is not None:
            self._lame.set_bit_rate(encoding.bitrate // 1000)
        if encoding.preset is not None:
            self._lame.set_quality(encoding.preset)
        self._bytes = b""  # that are not a whole frame yet
        self._next = -self._DELAY  # where the next frame begins
        self._last: Any = None  # packet, which may be the last of all: that one says how much of it is padding

    def write(self, block: Samples) -> None:
        """See `Encoder`."""
        self._bytes += self._lame.encode(to_integers(block, 16).astype("<i2").T.tobytes())
        self._at += block.shape[1]
        self._mux_frames()

    def close(self) -> None:
        """See `Encoder`."""
        self._bytes += self._lame.flush()
        self._mux_frames()
        if self._bytes:
            raise RuntimeError("LAME ended within a frame")
        if self._last is not None:
            self._skip(self._last, end=self._next - self._at)
            self._container.mux(self._last)
        self._container.close()

    def _skip(self, packet: Any, *, start: int = 0, end: int = 0) -> None:
        """Tell the muxer how many samples of a packet are not of the song."""
        numbers = struct.pack("<IIBB", start, end, 0, 0)
        skip = cast("Any", self._av.packet.PacketSideData)(_SKIP_SAMPLES, len(numbers))
        skip.update(numbers)
        packet.set_sidedata(skip)

    def _mux_frames(self) -> None:
        at = 0
        while (header := mpeg_header(self._bytes, at)) is not None and at + header.size <= len(self._bytes):
            packet = self._av.Packet(self._bytes[at : at + header.size])
            at += header.size
            packet.stream, packet.time_base = self._stream, Fraction(1, self._rate)
            packet.pts = packet.dts = self._next
            packet.duration = header.samples
            self._next += header.samples
            if self._last is None:
                self._skip(packet, start=self._DELAY)
            else:
                self._container.mux(self._last)
            self._last = packet
        self._bytes = self._bytes[at:]


class OpusEncoder(Encoder):
    """Opus works at 48 kHz whatever comes in: resampled here, to the sample."""

    def __init__(self, file: Sink, encoding: Encoding) -> None:
        self._resampler = Resampler(encoding.sample_rate, OPUS_RATE, encoding.channels)
        self._encoder = FFmpegEncoder(file, replace(encoding, sample_rate=OPUS_RATE))

    def write(self, block: Samples) -> None:
        """See `Encoder`."""
        self._pass_on(self._resampler.process(block))

    def _pass_on(self, block: Samples) -> None:
        if block.shape[1]:
            self._encoder.write(np.clip(block, -1, 1))

    def close(self) -> None:
        """See `Encoder`."""
        self._pass_on(self._resampler.flush())
        self._encoder.close()


class VorbisEncoder(Encoder):
    """Vorbis, through libsndfile: PyAV's wheel has no encoder of it worth using.

    libsndfile knows few tags and no picture. So its headers are held back until they are whole, and written with ours.
    """

    _STEP = 1 << 12  # samples handed over at once: libvorbis keeps what it is given on its stack
    _NAMES: Mapping[str, str] = {
        "album_artist": "ALBUMARTIST",
        "track": "TRACKNUMBER",
        "disc": "DISCNUMBER",
        "comment": "DESCRIPTION",
    }  # as FFmpeg has them; https://wiki.xiph.org/VorbisComment

    def __init__(self, file: Sink, encoding: Encoding) -> None:
        try:
            import soundfile
        except ImportError as error:
            raise MissingExtraError("writing ogg needs soundfile; install it with: pip install soundfile") from error
        quality = _DEFAULT_VORBIS_QUALITY if encoding.vbr_quality is None else encoding.vbr_quality
        comments = [(self._NAMES.get(name, name.upper()), text) for name, text in encoding.tags.items()]
        if encoding.cover is not None:
            comments.append((_PICTURE, picture_comment(encoding.cover)))
        self._sink = file
        self._headers = _VorbisHeaders(file, comments)
        self._file = soundfile.SoundFile(
            self._headers,
            "w",
            samplerate=encoding.sample_rate,
            channels=encoding.channels,
            format="OGG",
            subtype="VORBIS",
            compression_level=1 - quality / 10,
        )

    def write(self, block: Samples) -> None:
        """See `Encoder`."""
        for at in range(0, block.shape[1], self._STEP):
            self._file.write(np.ascontiguousarray(block[:, at : at + self._STEP].T))

    def close(self) -> None:
        """See `Encoder`."""
        self._file.close()
        # libsndfile takes the serial number from the clock, so that no two files would be equal.
        set_numbers(self._sink, _SERIAL)


class _VorbisHeaders:
    """A file for libsndfile, which writes it from its beginning to its end: the headers get other comments on the way."""

    def __init__(self, file: Sink, comments: Sequence[tuple[str, str]]) -> None:
        self._file, self._comments = file, comments
        self._held: bytes | None = b""  # None: the headers are written
        self._at = 0

    def write(self, data: bytes) -> int:
        """Write at the end."""
        self._at += len(data)
        if self._held is None:
            return self._file.write(data)
        self._held += bytes(data)
        if (changed := with_comments(self._held, self._comments)) is not None:
            self._held = None
            self._file.write(changed)
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """There is nothing behind the end."""
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """The position is the end, whatever is asked for: libsndfile asks for the length of a file in this way."""
        return self._at

    def tell(self) -> int:
        """The end, as libsndfile knows it."""
        return self._at


def _options(encoding: Encoding) -> dict[str, str]:
    """Options of the codec."""
    options = {"flags": "+bitexact"}
    if encoding.format.name == "mp3":
        if encoding.vbr_quality is not None:
            options |= {"flags": "+bitexact+qscale", "global_quality": str(118 * encoding.vbr_quality)}
        if encoding.preset is not None:
            options["compression_level"] = str(encoding.preset)
    return options
