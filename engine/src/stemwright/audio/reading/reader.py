"""Reading audio files: any container, any codec, any rate, as blocks of float32, in constant memory."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO

import numpy as np

from stemwright.audio.channels import mix_channels, mixing_matrix
from stemwright.audio.cover import Cover
from stemwright.audio.info import AudioInfo, InputLimits, InputOptions, shown
from stemwright.audio.reading.declared_length import UNLIMITED, Declared, truncated
from stemwright.audio.reading.decode_process import DecodeProcess
from stemwright.audio.reading.plan import plan
from stemwright.audio.reading.sniff import sniff
from stemwright.audio.resample import Resampler
from stemwright.audio.samples import Samples, to_float
from stemwright.errors import InputError, OptionError

_NO_LIMITS = InputLimits()
_NO_OPTIONS = InputOptions()
_NOTICED = 0.02
"""Seconds that sound may begin after a picture without a word: encoders' delays are of this length."""
_LONGEST_PADDING = 1 << 17
"""Samples beyond the declared end that are still decoded: the decoder then tells what was damaged before."""
_LATEST = 86400
"""Seconds: whoever says that the sound begins later than a day after the picture is not believed."""


def probe(
    path: str | os.PathLike[str], *, limits: InputLimits = _NO_LIMITS, options: InputOptions = _NO_OPTIONS
) -> AudioInfo:
    """Say what an audio file is, from its content. Its first samples are decoded, and no more.

    Raises:
        InputError: As `open_audio`, for what shows at the beginning of the file.
    """
    with open_audio(path, limits=limits, options=options) as reader:
        return reader.info


def open_audio(
    path: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    channels: int = 2,
    limits: InputLimits = _NO_LIMITS,
    options: InputOptions = _NO_OPTIONS,
    block: int = 65536,
) -> AudioReader:
    """Open an audio file, or an audio track of a video file, for reading as a stream.

    Args:
        path: The file. Its name does not matter, its content does.
        sample_rate: Samples a second wanted; None keeps the file's.
        channels: 2, or 1 for the mean of both. Mono becomes two equal channels, surround is mixed down.
        limits: The largest and the longest file that will do.
        options: Which track, and whether on the clock of a film.
        block: The most samples (of each channel) in one array.

    Raises:
        InputError: With code ``not_found``, ``not_readable``, ``empty``, ``too_large``, ``not_audio``, ``playlist``,
            ``no_audio_stream``, ``no_samples``, ``truncated``, ``too_long`` or ``decode_failed``, for what shows at
            the beginning of the file; the reader raises the rest, and ``non_finite``, as it gets there.
        OptionError: If ``sample_rate``, ``channels`` or ``block`` makes no sense.
    """
    if channels not in (1, 2) or block < 1 or (sample_rate is not None and sample_rate < 1):
        raise OptionError(f"cannot read as {channels} channels at {sample_rate} Hz in blocks of {block}; give 1 or 2")
    name = os.fspath(path)
    with _open(name) as file:
        size = os.fstat(file.fileno()).st_size
        _check_size(size, limits, name)
        kind = sniff(file, name)
        planned = plan(file, size, kind, name)
        process = DecodeProcess(file, kind, size, name, plan=planned, track=options.track, nice=limits.nice)
    try:
        _, body = process.record()
        header = json.loads(body)
        length = planned.declared.at(header["sample_rate"], header["track_id"])
        # Of several parts the decoder's header knows the first.
        said = header["duration"] if len(planned.parts) == 1 else None
        info = AudioInfo(
            container=kind.container,
            codec=header["codec"],
            sample_rate=header["sample_rate"],
            channels=len(header["channels"]),
            duration=length.samples / header["sample_rate"] if length.samples else said,
            bit_rate=header["bit_rate"],
            tags=MappingProxyType(header["tags"]),
            cover=_cover(header["cover"]),
            size=size,
            track=header["track"],
            tracks=header["tracks"],
            late=header["late"] if header["late"] <= _LATEST else 0.0,
        )
        info = replace(info, notes=(*planned.notes, *_notes(info, options, header["cover"])))
        if limits.max_seconds is not None and info.duration is not None and info.duration > limits.max_seconds + 1:
            raise _too_long(name, limits.max_seconds)
        return AudioReader(
            process,
            header,
            info,
            length,
            name=name,
            sample_rate=sample_rate,
            channels=channels,
            limits=limits,
            block=block,
            silence=round(info.late * info.sample_rate) if options.video_clock else 0,
            fill=options.video_clock,
        )
    except BaseException:
        process.close()
        raise


class AudioReader:
    """A stream of float32 arrays ``[channels, n]``, 1 <= n <= block, once through; see `open_audio`.

    A context manager: leaving it ends the decoding process. Full scale is 1.0; a 16-bit sample s is s/32768.
    Values beyond full scale are kept as they are.
    """

    def __init__(
        self,
        process: DecodeProcess,
        header: dict[str, Any],
        info: AudioInfo,
        length: Declared,
        *,
        name: str,
        sample_rate: int | None,
        channels: int,
        limits: InputLimits,
        block: int,
        silence: int,
        fill: bool,
    ) -> None:
        self.info = info
        self.sample_rate = sample_rate or info.sample_rate
        self.channels = channels
        self.damaged_packets = 0  # packets that could not be decoded and were left out; known at the end
        self.gap_samples = 0  # samples so far of silence that the file means between two sounds
        self.native_samples = 0  # samples so far at the file's own rate: what went into the conversion
        self._process, self._silence, self._fill = process, silence, fill
        self._declared, self._name, self._limits, self._block = length, name, limits, block
        self._take_format(header)
        self._blocks = self._run()

    def __iter__(self) -> Iterator[Samples]:
        return self._blocks

    def __next__(self) -> Samples:
        return next(self._blocks)

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # half-built, or at interpreter exit
            self._process.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the file was read; complete when it was read to its end."""
        notes = list(self.info.notes)
        if self.damaged_packets:
            notes.append(f"{self.damaged_packets} damaged packets were left out: what follows them may come earlier")
        if self.gap_samples:
            seconds = self.gap_samples / self.info.sample_rate
            notes.append(
                f"gaps in the sound, {seconds:.3f} s in all, were {'kept as silence' if self._fill else 'left out'}"
            )
        return tuple(notes)

    @property
    def child_pid(self) -> int:
        """Process id of the decoder."""
        return self._process.pid

    def close(self) -> None:
        """End the decoding process. May be called again, and at any point."""
        self._process.close()

    def _run(self) -> Iterator[Samples]:
        resampler = Resampler(self.info.sample_rate, self.sample_rate, self.channels)
        try:
            for decoded in self._decoded():
                yield from self._pieces(resampler.process(decoded))
            yield from self._pieces(resampler.flush())
        finally:
            self._process.close()

    def _pieces(self, samples: Samples) -> Iterator[Samples]:
        for at in range(0, samples.shape[1], self._block):
            yield samples[:, at : at + self._block]

    def _decoded(self) -> Iterator[Samples]:
        """Blocks ``[channels, n]`` at the file's rate: checked, counted and cut to what the file declares."""
        rate, longest = self.info.sample_rate, self._limits.max_seconds
        count = -self._silence
        for decoded in itertools.chain(self._silent_blocks(), self._without_padding()):
            count += decoded.shape[1]
            self.native_samples += decoded.shape[1]
            if longest is not None and self.native_samples > longest * rate:
                raise _too_long(self._name, longest)
            if not np.isfinite(decoded).all():
                raise InputError(
                    f"{shown(self._name)} holds samples that are not numbers (NaN or infinity), near "
                    f"{count / rate:.1f} s; repair or export it anew",
                    code="non_finite",
                )
            yield decoded
        expected = self._declared.samples
        if not self._fill:
            count += self.gap_samples
        if expected is not None and count < expected - self._declared.tolerance:
            raise truncated(self._name, f"it declares {expected / rate:.3f} s and holds {count / rate:.3f} s")
        if not count:
            raise InputError(f"{shown(self._name)} holds no samples", code="no_samples")

    def _silent_blocks(self) -> Iterator[Samples]:
        for at in range(0, self._silence, self._block):
            yield np.zeros((self.channels, min(self._block, self._silence - at)), dtype=np.float32)

    def _without_padding(self) -> Iterator[Samples]:
        """The decoder's blocks, without what it gives beyond the declared end: if that is as little as padding is."""
        left, slack, grain = self._declared.samples, self._declared.slack, self._declared.grain
        beyond: list[Samples] = []
        more = 0
        for decoded, is_gap in self._received():
            heard = not is_gap or self._fill
            if left is None or not slack:
                if heard:
                    yield decoded
                continue
            if left and heard:
                yield decoded[:, :left]
            if decoded.shape[1] > left:
                beyond.append(decoded[:, left:])
                more += decoded.shape[1] - left
            left = max(0, left - decoded.shape[1])
            if slack == UNLIMITED and more > grain:
                beyond = []
                if more > _LONGEST_PADDING:
                    return
            elif more > slack:
                yield from beyond
                left, beyond = None, []
        if more <= grain:
            yield from beyond

    def _received(self) -> Iterator[tuple[Samples, bool]]:
        """The decoder's blocks, in the channels that are wanted, and whether each is only the silence of a gap."""
        while True:
            kind, body = self._process.record()
            if kind == b"F":
                self._take_format(json.loads(body))
            elif kind == b"G":
                silent = int(json.loads(body)["samples"])
                self.gap_samples += silent
                yield np.zeros((self.channels, silent), dtype=np.float32), True
            elif kind == b"E":
                self.damaged_packets = int(json.loads(body)["damaged"])
                return
            else:
                decoded = to_float(body, self._format, planar=self._planar, channels=self._channels_in)
                yield mix_channels(decoded, self._matrix), False

    def _take_format(self, said: dict[str, Any]) -> None:
        self._format, self._planar, self._channels_in = said["format"], said["planar"], len(said["channels"])
        self._matrix = mixing_matrix(said["channels"], self.channels)


def _cover(said: dict[str, Any] | None) -> Cover | None:
    if said is None or "data" not in said:
        return None
    return Cover(**{**said, "data": base64.b64decode(said["data"])})


def _notes(info: AudioInfo, options: InputOptions, cover: dict[str, Any] | None) -> tuple[str, ...]:
    notes = []
    if cover is not None and "refused" in cover:
        notes.append(f"the picture of the album was left out: {cover['refused']}")
    if info.tracks > 1:
        notes.append(f"audio track {info.track} of {info.tracks} was read")
    if info.late >= _NOTICED:
        begin = "as much silence" if options.video_clock else "the sound"
        notes.append(f"the sound begins {info.late:.3f} s after the picture: the stems begin with {begin}")
    return tuple(notes)


def _open(name: str) -> BinaryIO:
    try:
        # Not blocking, so that a pipe in place of a file cannot hold us up.
        handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{shown(name)} does not exist; check the name", code="not_found") from error
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(f"{shown(name)} cannot be opened: {reason}", code="not_readable") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
        raise InputError(f"{shown(name)} is {what}; give an audio file", code="not_readable")
    return os.fdopen(handle, "rb")


def _check_size(size: int, limits: InputLimits, name: str) -> None:
    if size == 0:
        raise InputError(f"{shown(name)} is empty: it has no bytes at all", code="empty")
    if limits.max_bytes is not None and size > limits.max_bytes:
        raise InputError(
            f"{shown(name)} is too large: {size} bytes, and {limits.max_bytes} are allowed", code="too_large"
        )


def _too_long(name: str, seconds: float) -> InputError:
    return InputError(f"{shown(name)} is too long: at most {seconds:g} s are allowed", code="too_long")
