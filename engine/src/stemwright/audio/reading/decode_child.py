"""The process that decodes: it reads one audio file from its standard input and writes samples to its output.

Untrusted files are decoded here and nowhere else. The process has no file but its input, limits on memory and time,
no environment, and dies with its parent. On Linux it gives up, before it reads a byte, every system call that it does
not need (`system_calls`): even one that an untrusted file has taken over can open no file or socket, start no process
and make no memory executable. Elsewhere a limit on open files stands in the way, which such a process can get around.
It is run as a script in isolated mode (``python -I -S decode_child.py``) so that it starts fast, and imports nothing of
this package but the module beside it, and no numpy.

Output: records of a kind (one byte), a length (uint32, little-endian) and a body.
``H`` a JSON header, once, after the first frame is decoded; ``B`` samples in the decoder's own format, as
the header names it; ``F`` another format and other channels, in JSON, for all samples that follow (never another rate);
``E`` the end, with a JSON body; ``X`` an error, a JSON body {code, detail}.
An output that stops without ``E`` or ``X`` means that the process died.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
from contextlib import suppress
from typing import Any

RECORD = struct.Struct("<cI")
BLOCK = 1 << 16
"""Samples of each channel in a record."""
_MEMORY = 1 << 30
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


def main(job: dict[str, Any]) -> int:
    """Decode standard input as `job` says.

    packages: the folder that PyAV is installed in.
    demuxer: FFmpeg's name of the one demuxer that may be used.
    parts: the stretches of the file that are decoded one after the other, each as `plan.Part` says.
    codec: FFmpeg's name of the codec where FFmpeg would take another one, or None.
    track: which of the audio tracks, from 1; None for the first that can be decoded.
    nice: by how much this process gives way to others.
    cpu_seconds: seconds of processor time after which the system ends this process.
    """
    _ignore_interrupt()
    os.nice(job["nice"])
    _limit(job["cpu_seconds"])
    sys.path.append(job["packages"])
    import av
    import av.error

    _import_the_rest()
    die_with_parent()
    forbid_opening()
    try:
        _decode(av, job)
    except Refused as error:
        _send_json(b"X", {"code": error.code, "detail": str(error)})
    except MemoryError:
        _send_json(b"X", {"code": "decode_failed", "detail": "it needs more memory than a decoder may have"})
    except av.error.FFmpegError as error:
        _send_json(b"X", {"code": "decode_failed", "detail": f"the decoder says: {error.strerror}"})
    except BrokenPipeError:
        return 1
    except Exception as error:  # the boundary of the process: whatever an untrusted file did to the decoder
        _send_json(b"X", {"code": "decode_failed", "detail": f"it confuses the decoder ({type(error).__name__})"})
    return 0


def _import_the_rest() -> None:
    """Import what is imported only when a file holds it (a kind of stream, text in Latin-1): by then no file can be opened."""
    for name in (
        "encodings.cp1252",
        "av.audio.codeccontext",
        "av.audio.stream",
        "av.subtitles.codeccontext",
        "av.subtitles.stream",
        "av.video.codeccontext",
        "av.video.stream",
    ):
        importlib.import_module(name)


def _ignore_interrupt() -> None:
    """Ctrl-C is the parent's to answer; it ends this process as it sees fit."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _limit(cpu_seconds: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    wanted = {
        "RLIMIT_AS": _MEMORY,
        "RLIMIT_CPU": cpu_seconds,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
    }
    for name, limit in wanted.items():
        _set_limit(resource, name, limit)


def _set_limit(resource: Any, name: str, limit: int) -> None:
    kind = getattr(resource, name, None)
    if kind is None:
        return
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    try:
        resource.setrlimit(kind, (limit, limit))
    except (ValueError, OSError):  # a system that knows the name and not the thing (macOS and RLIMIT_AS)
        return


def die_with_parent() -> None:
    """End this process when its output is no longer read, even in the middle of a packet."""
    try:
        from select import poll
    except ImportError:
        return
    import threading

    def watch() -> None:
        watcher = poll()
        watcher.register(1, 0)
        watcher.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def forbid_opening() -> None:
    """From here on no file and no socket can be opened: by the kernel's filter of system calls where it has one.

    Everywhere by a limit on descriptors: the one that is left is for FFmpeg's own copy of 0.
    """
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120 - pathlib costs as much time as the rest of the start
    import system_calls  # type: ignore[import-not-found]

    sys.path.pop()
    with suppress(ImportError):  # not on Windows
        import resource

        _set_limit(resource, "RLIMIT_NOFILE", 4)
    system_calls.only_decode()


def _decode(av: Any, job: dict[str, Any]) -> None:
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
        for packet in container.demux(stream):
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
                    sender.header({**_header(av, container, stream, decoder, frame), "track": track}, frame)
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
        _send_json(b"H", header)

    def add(self, frame: Any) -> None:
        """Take the next frame."""
        if self._skip_frames:
            self._skip_frames -= 1
            return
        frame.pts = None
        for same in self._at_one_rate(frame):
            self._take(same)

    def end(self) -> None:
        """End the part: what was held back is padding."""
        for same in self._at_one_rate(None):
            self._take(same)
        self._flush(drop=self._drop)

    def finish(self, damaged: int) -> None:
        """End the file."""
        if not self.has_begun:
            raise Refused("no_samples", "it holds no samples")
        _send_json(b"E", {"samples": self._samples, "damaged": damaged})

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

    def _block(self, frame: Any) -> None:
        count = frame.samples if self._left is None else min(frame.samples, self._left)
        if not count:
            return
        if self._left is not None:
            self._left -= count
        self._samples += count
        if _shape(frame) != self._shape:
            self._shape = _shape(frame)
            _send_json(b"F", _format(frame))
        channels = frame.layout.nb_channels
        planes, interleaved = (channels, 1) if frame.format.is_planar else (1, channels)
        width = frame.format.bytes * count * interleaved
        # PyAV lists a plane too many of a frame of 8 channels.
        _send(b"B", *(memoryview(plane)[:width] for plane in frame.planes[:planes]))


def _shape(frame: Any) -> tuple[str, str]:
    return frame.format.name, frame.layout.name


def _send_json(kind: bytes, body: dict[str, Any]) -> None:
    _send(kind, memoryview(json.dumps(body).encode()))


def _send(kind: bytes, *parts: memoryview) -> None:
    for part in (memoryview(RECORD.pack(kind, sum(part.nbytes for part in parts))), *parts):
        rest = part.cast("B")
        while rest:
            rest = rest[os.write(1, rest) :]


if __name__ == "__main__":
    code = main(json.loads(sys.argv[1]))
    # Nothing to tidy: the buffers of FFmpeg go with the process, faster than by hand.
    os._exit(code)
