"""What the decoding process does with a file once it can do nothing else: FFmpeg's frames, put into records.

Imported by `decode_child`, which runs outside this package: so this module imports nothing of it.

Output: records of a kind (one byte), a length (uint32, little-endian) and a body.
``H`` a JSON header, once, after the first frame is decoded; ``B`` samples in the decoder's own format, as
the header names it; ``F`` another format and other channels, in JSON, for all samples that follow (never another rate);
``G`` a gap, a JSON body {samples}: the file says that what follows is heard so much later than what was before;
``E`` the end, with a JSON body; ``X`` an error, a JSON body {code, detail}.
An output that stops without ``E`` or ``X`` means that the process died.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

RECORD = struct.Struct("<cI")
BLOCK = 1 << 16
"""Samples of each channel in a record."""
_TAGS = 64
_TAG_LENGTH = 1024
# fmt: off
_NO_TAGS = {
    "major_brand", "minor_version", "compatible_brands", "encoder", "handler_name", "vendor_id", "language",
    "creation_time", "duration", "itunsmpb", "itunnorm",
}
# fmt: on
"""What FFmpeg reports among the tags and is no tag of the music."""
_DEFAULT, _COVER = 1, 1 << 10
"""FFmpeg's dispositions of a stream: what a player takes, and a picture of the album."""
_CLOCKED = ("mov", "matroska", "mpegts", "flv")
"""Demuxers of containers that say of each packet when it is heard."""
_GAP, _LONGEST_GAP = 0.1, 10.0
"""Seconds: less is a matter of rounding, and more is another clock that begins (files put together, a recorder's restart)."""
_DAMAGED_PART = 20
"""One packet in so many may be damaged before the file is given up."""
_CODECS = (
    "mp3float,mp3,mp2float,mp2,mp1float,mp1,aac,aac_latm,alac,flac,vorbis,opus,libopus,speex,ac3,eac3,dca,truehd,"
    "wavpack,tta,wmav1,wmav2,wmapro,wmalossless,amrnb,amrwb,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,gsm_ms,"
    "pcm_s8,pcm_u8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,"
    "pcm_f64be,pcm_alaw,pcm_mulaw,pcm_s8_planar,pcm_s16le_planar,pcm_s16be_planar,pcm_s24le_planar,"
    "pcm_s32le_planar,pcm_dvd,pcm_bluray"
)


class Refused(Exception):
    """The input cannot be used; carries the code of an InputError."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def decode(av: Any, pictures: Any, values: Any, job: dict[str, Any]) -> None:
    """Decode standard input with PyAV, as the job says (`decode_child.main`), and write the records to the output.

    Args:
        av: PyAV.
        pictures: The module `picture`.
        values: The module `several_values`.
        job: What to do.

    Raises:
        Refused: The input cannot be used.
    """
    sender = _Sender(av)
    packets = damaged = 0
    for part in job["parts"]:
        container = _open(av, job["demuxer"], part)
        stream, track = _choose(container, job["track"], any_codec=job["codec"] is not None)
        decoder = stream.codec_context
        if job["codec"] is not None:
            decoder = av.CodecContext.create(job["codec"], "r")
            decoder.sample_rate, decoder.layout = stream.codec_context.sample_rate, stream.codec_context.layout
        decoder.thread_count = 1
        if part["own_padding"]:
            decoder.flags2 |= int(av.codec.context.Flags2.skip_manual)
        sender.begin(part)
        heard: float | None = None  # until when
        cover, shown = pictures.stream_of(container), None
        for packet in container.demux(*(each for each in (stream, cover) if each is not None)):
            if packet.stream_index != stream.index:
                shown = shown or (pictures.described(bytes(packet)) if packet.size else None)
                continue
            if part["sound_end"] and packet.pos is not None and part["start"] + packet.pos >= part["sound_end"]:
                break
            packets += 1
            try:
                frames = decoder.decode(packet)
            except av.error.FFmpegError as error:
                if isinstance(error, av.error.MemoryError):
                    raise
                damaged += 1
                if damaged > 8 + packets // _DAMAGED_PART:
                    raise Refused("decode_failed", f"it is damaged ({_reason(error)})") from error
                continue
            for frame in frames:
                if not sender.has_begun:
                    header = _header(av, container, stream, decoder, frame)
                    header["tags"] |= values.several_values(job["demuxer"], part["start"], part["end"])
                    sender.header({**header, "track": track, "cover": shown}, frame)
                if frame.time is not None and job["demuxer"] in _CLOCKED:
                    if heard is not None and _GAP <= frame.time - heard <= _LONGEST_GAP:
                        sender.gap(frame.time - heard)
                    heard = frame.time + frame.samples / frame.sample_rate
                sender.add(frame)
        sender.end()
        container.close()
    sender.finish(damaged)


def _open(av: Any, demuxer: str, part: dict[str, Any]) -> Any:
    options = {
        "fd": "0",
        "protocol_whitelist": "subfile,fd",
        "format_whitelist": demuxer,
        "codec_whitelist": _CODECS,
    }
    try:
        return av.open(
            f"subfile,,start,{part['start']},end,{part['end']},,:fd:",
            format=demuxer,
            options=options,
            metadata_errors="surrogateescape",
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise Refused("decode_failed", f"it is damaged or cut short ({_reason(error)})") from error


def _choose(container: Any, wanted: int | None, *, any_codec: bool) -> tuple[Any, int]:
    """The track that was asked for, or the first that can be decoded, of those that the file would play before others."""
    tracks = list(enumerate(container.streams.audio, 1))
    if not tracks:
        raise Refused("no_audio_stream", "it holds no audio stream")
    if wanted is not None and wanted > len(tracks):
        raise Refused("no_audio_stream", f"it holds {len(tracks)} audio tracks, and none of number {wanted}")
    if wanted is not None:
        tracks = [tracks[wanted - 1]]
    for number, stream in sorted(tracks, key=lambda track: not int(track[1].disposition) & _DEFAULT):
        if stream.codec_context is not None and (any_codec or stream.codec_context.name in _CODECS.split(",")):
            return stream, number
    raise Refused("decode_failed", "its audio codec is not supported")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _header(av: Any, container: Any, stream: Any, decoder: Any, frame: Any) -> dict[str, Any]:
    """What is known of the file when its first frame is decoded."""
    duration = float(stream.duration * stream.time_base) if stream.duration is not None else None
    if duration is None and container.duration is not None:
        duration = container.duration / av.time_base
    said = {**container.metadata, **stream.metadata}
    tags = {_text(key).lower(): _text(value)[:_TAG_LENGTH] for key, value in said.items()}
    return {
        **_format(frame),
        "codec": decoder.codec.canonical_name,
        "sample_rate": frame.sample_rate,
        "duration": duration if duration is not None and duration > 0 else None,
        "bit_rate": decoder.bit_rate or stream.codec_context.bit_rate or container.bit_rate or None,
        "track_id": stream.id,
        "tracks": len(container.streams.audio),
        "late": _late(container, frame),
        "tags": dict([(key, tags[key]) for key in tags if key not in _NO_TAGS and len(key) <= 64][:_TAGS]),
    }


def _format(frame: Any) -> dict[str, Any]:
    return {
        "format": frame.format.name,
        "planar": frame.format.is_planar,
        "channels": [channel.name for channel in frame.layout.channels],
    }


def _late(container: Any, frame: Any) -> float:
    """Seconds from the first picture to the first sample; 0 if the sound begins first, or there is no film."""
    films = [each for each in container.streams.video if not int(each.disposition) & _COVER]
    starts = [float(each.start_time * each.time_base) for each in films if each.start_time is not None]
    if not starts or frame.time is None:
        return 0.0
    return max(0.0, float(frame.time) - min(starts))


def _text(value: str) -> str:
    """A tag as text: ID3v1 and RIFF have bytes, in UTF-8 if these are, and else in Latin-1, as the standard of ID3 has it."""
    raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # Fields of 30 bytes may end inside a character.
        if error.end == len(raw) and error.reason == "unexpected end of data" and not raw[: error.start].isascii():
            return raw[: error.start].decode("utf-8")
        return raw.decode("cp1252", "replace")


class _Sender:
    """Gathers decoded frames into blocks, without their padding, and writes them out."""

    def __init__(self, av: Any) -> None:
        self._av = av
        self._rate: int | None = None
        self._time_base: Any = None
        self._shape: tuple[str, str] | None = None  # of what was sent last
        self._samples = 0
        self._adapter: Any = None
        self._adapted_from: tuple[Any, ...] | None = None

    def begin(self, part: dict[str, Any]) -> None:
        """Begin a part."""
        self._skip_frames, self._skip, self._drop = part["skip_frames"], part["skip"], part["drop"]
        self._left: int | None = part["samples"]
        self._fifo: Any = None
        self._fifo_shape: tuple[str, str] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the header was written."""
        return self._rate is not None

    def header(self, header: dict[str, Any], frame: Any) -> None:
        """Write the header; all that follows comes at the rate of its frame."""
        self._rate, self._time_base, self._shape = frame.sample_rate, frame.time_base, _shape(frame)
        send_json(b"H", header)

    def add(self, frame: Any) -> None:
        """Take the next frame."""
        if self._skip_frames:
            self._skip_frames -= 1
            return
        frame.pts = None
        for same in self._at_one_rate(frame):
            self._take(same)

    def gap(self, seconds: float) -> None:
        """What was added so far is followed by a gap."""
        assert self._rate is not None
        for same in self._at_one_rate(None):
            self._take(same)
        self._flush(drop=0)
        send_json(b"G", {"samples": round(seconds * self._rate)})

    def end(self) -> None:
        """End the part: what was held back is padding."""
        for same in self._at_one_rate(None):
            self._take(same)
        self._flush(drop=self._drop)

    def finish(self, damaged: int) -> None:
        """End the file."""
        if not self.has_begun:
            raise Refused("no_samples", "it holds no samples")
        send_json(b"E", {"samples": self._samples, "damaged": damaged})

    def _at_one_rate(self, frame: Any) -> list[Any]:
        """The frame at the rate that the file began with; None: what is still on the way there."""
        given = None if frame is None else (*_shape(frame), frame.sample_rate)
        frames: list[Any] = []
        if self._adapter is not None and given != self._adapted_from:
            frames = list(self._adapter.resample(None))
            self._adapter = None
        if frame is None:
            return frames
        if frame.sample_rate == self._rate:
            return [*frames, frame]
        if self._adapter is None:
            self._adapter = self._av.AudioResampler(frame.format.name, frame.layout.name, self._rate)
            self._adapted_from = given
        return [*frames, *self._adapter.resample(frame)]

    def _take(self, frame: Any) -> None:
        """A stream may change in mid-way (stereo frames in a mono mp3): what follows has another shape."""
        shape = _shape(frame)
        if self._fifo is None or shape != self._fifo_shape:
            self._flush(drop=0)
            self._fifo, self._fifo_shape = self._av.AudioFifo(), shape
        frame.pts, frame.time_base = None, self._time_base
        self._fifo.write(frame)
        if self._skip and (skipped := min(self._skip, self._fifo.samples)):
            self._fifo.read(skipped)
            self._skip -= skipped
        while self._fifo.samples >= BLOCK + self._drop:
            self._block(self._fifo.read(BLOCK))

    def _flush(self, *, drop: int) -> None:
        if self._fifo is not None and self._fifo.samples > drop:
            self._block(self._fifo.read(self._fifo.samples - drop))
        self._fifo = None

    def _block(self, frame: Any) -> None:
        count = frame.samples if self._left is None else min(frame.samples, self._left)
        if not count:
            return
        if self._left is not None:
            self._left -= count
        self._samples += count
        if _shape(frame) != self._shape:
            self._shape = _shape(frame)
            send_json(b"F", _format(frame))
        channels = frame.layout.nb_channels
        planes, interleaved = (channels, 1) if frame.format.is_planar else (1, channels)
        width = frame.format.bytes * count * interleaved
        # PyAV lists a plane too many of a frame of 8 channels.
        _send(b"B", *(memoryview(plane)[:width] for plane in frame.planes[:planes]))


def _shape(frame: Any) -> tuple[str, str]:
    return frame.format.name, frame.layout.name


def send_json(kind: bytes, body: dict[str, Any]) -> None:
    """Write a record whose body is JSON."""
    _send(kind, memoryview(json.dumps(body).encode()))


def _send(kind: bytes, *parts: memoryview) -> None:
    for part in (memoryview(RECORD.pack(kind, sum(part.nbytes for part in parts))), *parts):
        rest = part.cast("B")
        while rest:
            rest = rest[os.write(1, rest) :]
