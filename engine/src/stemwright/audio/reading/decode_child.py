"""The process that decodes: it reads one audio file from its standard input and writes samples to its output.

Untrusted files are decoded here and nowhere else. The process has no file but its input, limits on memory and time,
no environment, and dies with its parent. On Linux it gives up, before it reads a byte, every system call that it does
not need (`system_calls`): even one that an untrusted file has taken over can open no file or socket, start no process
and make no memory executable. Elsewhere a limit on open files stands in the way, which such a process can get around.
It is run as a script in isolated mode (``python -I -S decode_child.py``) so that it starts fast, and imports nothing of
this package but the module beside it, and no numpy.

Output: records of a kind (one byte), a length (uint32, little-endian) and a body.
``H`` a JSON header, once, after the first frame is decoded; ``B`` samples in the decoder's own format, as
the header names it; ``E`` the end, with a JSON body; ``X`` an error, a JSON body {code, detail}.
An output that stops without ``E`` or ``X`` means that the process died.
"""

from __future__ import annotations

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
    skip_bytes: garbage before the first byte that the demuxer is to see.
    nice: by how much this process gives way to others.
    cpu_seconds: seconds of processor time after which the system ends this process.
    single_page: the input is Ogg Vorbis on a single page. FFmpeg cannot tell its beginning from its end and would
        cut the wrong one: it is told to cut nothing, and the first frame, which Vorbis decodes only to prepare the
        next, is left out here.
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
    """Import what PyAV imports only when a file holds a stream of that kind: by then no file can be opened."""
    import av.audio.codeccontext
    import av.audio.stream
    import av.subtitles.codeccontext
    import av.subtitles.stream
    import av.video.codeccontext
    import av.video.stream  # noqa: F401


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
    options = {
        "fd": "0",
        "protocol_whitelist": "fd",
        "format_whitelist": job["demuxer"],
        "skip_initial_bytes": str(job["skip_bytes"]),
        "codec_whitelist": _CODECS,
    }
    try:
        container = av.open("fd:", format=job["demuxer"], options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise Refused("decode_failed", f"it is damaged or cut short ({_reason(error)})") from error
    stream = container.streams.best("audio")
    if stream is None:
        raise Refused("no_audio_stream", "it holds no audio stream")
    if stream.codec_context is None or stream.codec_context.name not in _CODECS.split(","):
        raise Refused("decode_failed", "its audio codec is not supported")
    stream.codec_context.thread_count = 1
    if job["single_page"]:
        stream.codec_context.flags2 |= int(av.codec.context.Flags2.skip_manual)
    sender = _Sender(av, container, stream, skip=int(job["single_page"]))
    packets = damaged = 0
    for packet in container.demux(stream):
        packets += 1
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            if isinstance(error, av.error.MemoryError):
                raise
            damaged += 1
            if damaged > 8 + packets // _DAMAGED_PART:
                raise Refused("decode_failed", f"it is damaged ({_reason(error)})") from error
            continue
        for frame in frames:
            sender.add(frame)
    sender.finish(damaged)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


class _Sender:
    """Gathers decoded frames into blocks and writes them out."""

    def __init__(self, av: Any, container: Any, stream: Any, *, skip: int) -> None:
        self._av, self._container, self._stream = av, container, stream
        self._fifo = av.AudioFifo()
        self._shape: tuple[Any, ...] | None = None
        self._adapters: dict[tuple[Any, ...], Any] = {}
        self._samples = 0
        self._skip = skip

    def add(self, frame: Any) -> None:
        if self._skip:
            self._skip -= 1
            return
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._shape is None:
            self._shape = shape
            self._header(frame)
            self._time_base = frame.time_base
        frame.pts = None
        for same in [frame] if shape == self._shape else self._adapted(frame, shape):
            same.pts, same.time_base = None, self._time_base
            self._fifo.write(same)
        while self._fifo.samples >= BLOCK:
            self._block(self._fifo.read(BLOCK))

    def _adapted(self, frame: Any, shape: tuple[Any, ...]) -> list[Any]:
        """A stream may change in mid-way (mono frames in a stereo mp3): bring it to what it began as."""
        assert self._shape is not None
        adapter = self._adapters.get(shape)
        if adapter is None:
            adapter = self._adapters[shape] = self._av.AudioResampler(*self._shape)
        return list(adapter.resample(frame))

    def finish(self, damaged: int) -> None:
        if self._shape is None:
            raise Refused("no_samples", "it holds no samples")
        if self._fifo.samples:
            self._block(self._fifo.read(self._fifo.samples))
        _send_json(b"E", {"samples": self._samples, "damaged": damaged})

    def _block(self, frame: Any) -> None:
        self._samples += frame.samples
        channels = frame.layout.nb_channels
        planes, interleaved = (channels, 1) if frame.format.is_planar else (1, channels)
        width = frame.format.bytes * frame.samples * interleaved
        # PyAV lists a plane too many of a frame of 8 channels.
        _send(b"B", *(memoryview(plane)[:width] for plane in frame.planes[:planes]))

    def _header(self, frame: Any) -> None:
        stream, container = self._stream, self._container
        duration = float(stream.duration * stream.time_base) if stream.duration is not None else None
        if duration is None and container.duration is not None:
            duration = container.duration / self._av.time_base
        tags = {key.lower(): value[:_TAG_LENGTH] for key, value in {**container.metadata, **stream.metadata}.items()}
        _send_json(
            b"H",
            {
                "codec": stream.codec_context.codec.canonical_name,
                "format": frame.format.name,
                "planar": frame.format.is_planar,
                "sample_rate": frame.sample_rate,
                "channels": [channel.name for channel in frame.layout.channels],
                "duration": duration if duration is not None and duration > 0 else None,
                "bit_rate": stream.codec_context.bit_rate or container.bit_rate or None,
                "tags": dict([(key, tags[key]) for key in tags if key not in _NO_TAGS and len(key) <= 64][:_TAGS]),
            },
        )


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
