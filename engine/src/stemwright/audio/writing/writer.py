"""Writing audio files: a stream of blocks in, a complete file out, or no file at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from stemwright.audio.cover import Cover
from stemwright.audio.formats import FORMATS, check_choices
from stemwright.audio.info import shown
from stemwright.audio.samples import Samples
from stemwright.audio.writing.encoders import Encoder, Encoding, encoder_for
from stemwright.audio.writing.sink import Claim, InUseError, Sink
from stemwright.errors import DISK_FULL, OptionError, OutputError, StemwrightError

_MAX_CHANNELS = 8


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """A file that is complete and in its place."""

    path: Path
    samples: int  # samples of each channel that were given to the writer, and that a decoder gives back
    sample_rate: int  # of the samples given. An Opus file itself is always at 48000 Hz; read it at this rate
    seconds: float
    size: int
    sha256: str


def open_writer(
    path: str | os.PathLike[str],
    *,
    format: str,
    sample_rate: int,
    channels: int,
    bitrate: int | None = None,
    vbr_quality: int | None = None,
    preset: int | None = None,
    tags: Mapping[str, str] | None = None,
    cover: Cover | None = None,
    claim: Claim | None = None,
) -> AudioWriter:
    """Open a file for writing; it appears under its name only when it is complete.

    Args:
        path: Where; its folder must exist. The name's ending is not looked at.
        format: A key of `FORMATS`.
        sample_rate: Samples a second of what will be written; see `AudioFormat.rates`.
        channels: 1 to 8 (mp3, m4a, ogg and opus: 1 or 2).
        bitrate: Bits a second (mp3, m4a, opus); None is the format's default.
        vbr_quality: Variable bit rate instead: 0 (best) to 9 for mp3, 0 to 10 (best) for ogg.
        preset: Work that the mp3 encoder puts in, 2 (most) to 7 (fastest); None is the encoder's own, about 5.
        tags: ``title``, ``artist``, ``album``, ``date``, ``track``, ..., as `AudioInfo.tags`.
        cover: The picture of the album; a WAV file cannot hold one.
        claim: From `claim_output` of this path, where the caller has one; it stays the caller's.

    Raises:
        OptionError: For a format that is not known, or a choice that the format does not have.
        OutputError: ``not_writable`` if the file cannot be made, ``in_use``, ``disk_full``.
    """
    encoding = _checked(format, sample_rate, channels, bitrate, vbr_quality, preset, tags, cover)
    return AudioWriter(Path(path), encoding, claim)


def claim_output(path: Path) -> Claim:
    """Keep everybody else from writing a file of this name until the claim is released.

    Raises:
        OutputError: ``in_use`` if somebody writes it, ``not_writable``, ``disk_full``.
    """
    try:
        return Claim(part_path(path))
    except (InUseError, OSError) as error:
        raise _output_error(path, error) from error


def _checked(
    name: str,
    sample_rate: int,
    channels: int,
    bitrate: int | None,
    vbr_quality: int | None,
    preset: int | None,
    tags: Mapping[str, str] | None,
    cover: Cover | None,
) -> Encoding:
    form = FORMATS.get(name)
    if form is None:
        raise OptionError(f"{name!r} is no format; choose one of {', '.join(FORMATS)}")
    if not 1 <= channels <= (_MAX_CHANNELS if form.lossless else 2):
        raise OptionError(f"{name} cannot hold {channels} channels")
    if sample_rate < 1 or (form.rates is not None and sample_rate not in form.rates):
        known = f"; choose one of {', '.join(map(str, sorted(form.rates)))}" if form.rates else ""
        raise OptionError(f"{name} cannot hold {sample_rate} Hz{known}")
    if form.most_rate is not None and sample_rate > form.most_rate:
        raise OptionError(f"{name} cannot hold {sample_rate} Hz: {form.most_rate} at most")
    check_choices(form, bitrate=bitrate, vbr_quality=vbr_quality, preset=preset)
    return Encoding(
        format=form,
        sample_rate=sample_rate,
        channels=channels,
        bitrate=form.bitrate if bitrate is None else bitrate,
        vbr_quality=vbr_quality,
        preset=preset,
        tags=dict(tags or {}),
        cover=cover,
    )


def part_path(path: Path) -> Path:
    """Where a file grows until it is complete."""
    return path.with_name(path.name + ".part")


class AudioWriter:
    """Writes blocks of float32 ``[channels, n]`` to a ``.part`` file, and renames it when it is complete.

    A context manager: leaving it in good order closes it, leaving it by an exception aborts it. One thread
    at a time; several writers may run on several threads.
    """

    def __init__(self, path: Path, encoding: Encoding, claim: Claim | None = None) -> None:
        self.path = path
        self.written: WrittenFile | None = None  # the result, once closed
        self._encoding = encoding
        self._part = part_path(path)
        self._samples = 0
        self._done = False
        self._sink: Sink | None = None
        self._encoder: Encoder | None = None
        with self._errors():
            self._sink = Sink(self._part, claim)
            self._encoder = encoder_for(self._sink, encoding)

    def __enter__(self) -> AudioWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif not self._done:
            self.close()

    def write(self, block: Samples) -> None:
        """Encode a block ``[channels, n]`` of float samples; full scale is 1.0.

        Integers are rounded to the nearest and clamped, lossy formats are clamped; the block is not changed.

        Raises:
            OutputError: ``non_finite_output`` for NaN or infinity, ``disk_full``, ``not_writable``. The part
                file is gone then, and the writer is of no more use.
        """
        if self._done:
            raise OutputError(f"{shown(self.path)} is closed", code="closed")
        if block.ndim != 2 or block.shape[0] != self._encoding.channels:
            raise OptionError(f"a block has to be [{self._encoding.channels}, n], this one is {list(block.shape)}")
        if not block.shape[1]:
            return
        block = np.asarray(block, dtype=np.float32)
        if not np.isfinite(block).all():
            self.abort()
            raise OutputError(
                f"{shown(self.path)} was given samples that are not numbers (NaN or infinity)", code="non_finite_output"
            )
        if self._encoding.format.clips and self._encoding.format.bits is None:
            block = np.clip(block, -1.0, 1.0)
        assert self._encoder is not None
        with self._errors():
            self._encoder.write(block)
            self._samples += block.shape[1]

    def close(self) -> WrittenFile:
        """Finish the file, put it in its place and say what it is.

        Raises:
            OutputError: As `write`; ``nothing_written`` if there was no sample.
        """
        if self.written is not None:
            return self.written
        if self._done:
            raise OutputError(f"{shown(self.path)} was aborted", code="closed")
        if not self._samples:
            self.abort()
            raise OutputError(f"{shown(self.path)} was given no samples", code="nothing_written")
        assert self._encoder is not None
        assert self._sink is not None
        with self._errors():
            self._encoder.close()
            sha256, size = self._sink.finish()
            self._part.replace(self.path)
            self._sink.placed()
        self._done = True
        rate = self._encoding.sample_rate
        self.written = WrittenFile(
            path=self.path,
            samples=self._samples,
            sample_rate=rate,
            seconds=self._samples / rate,
            size=size,
            sha256=sha256,
        )
        return self.written

    def abort(self) -> None:
        """Give up: nothing is left on disk. May be called again, and after `close`, where it does nothing."""
        if self._done:
            return
        self._done = True
        if self._sink is not None:
            self._sink.discard()
        if self._encoder is not None:
            with contextlib.suppress(Exception):  # it may well complain of what was left half-done
                self._encoder.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what the system or an encoder raises into OutputError, with nothing left on disk."""
        try:
            yield
            if self._sink is not None and self._sink.error is not None:
                raise self._sink.error
        except StemwrightError:
            self.abort()
            raise
        except Exception as error:
            self.abort()
            cause = self._sink.error if self._sink is not None else None
            raise _output_error(self.path, cause or error) from error


def _output_error(path: Path, cause: Exception) -> OutputError:
    if isinstance(cause, InUseError):
        return OutputError(
            f"{shown(path)} is being written by another process: wait for it, or choose another folder with -o",
            code="in_use",
        )
    number = cause.errno if isinstance(cause, OSError) else None
    if number in DISK_FULL:
        return OutputError(f"{shown(path)} cannot be written: no space is left; free some", code="disk_full")
    reason = os.strerror(number) if number else str(cause) or type(cause).__name__
    code = "not_writable" if isinstance(cause, OSError) else "output_failed"
    return OutputError(f"{shown(path)} cannot be written: {reason}", code=code)
