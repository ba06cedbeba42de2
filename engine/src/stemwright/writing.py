"""Stems into files, while the separation still runs: one encoder thread each, one joint gain, all or nothing."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, get_args

import numpy as np
from numpy.typing import NDArray

from stemwright.audio import FORMATS, AudioWriter, Resampler, WrittenFile, open_writer, part_path
from stemwright.errors import OptionError, OutputError
from stemwright.options import ClipMode

Block = NDArray[np.float32]

_QUEUED_BLOCKS = 2  # per stem: enough to keep an encoder busy, little enough to hold memory down
_CLAMP = 0.99  # of full scale, as in `demucs.audio.prevent_clip`
_SILENT = 1e-6  # of full scale (-120 dB): raising it would make noise of nothing
_HEADROOM = 0.99  # the highest peak after a joint gain, so that a lossy codec's overshoot stays below full scale


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """How stems are written. Names and meanings are Demucs's where Demucs has them."""

    format: str = "wav"
    bitrate: int | None = None  # bits per second, for lossy formats; None: the format's default
    vbr_quality: int | None = None  # mp3 with variable bit rate: 0 is best, 9 smallest
    preset: int = 5  # mp3: 2 is best, 7 is fastest; 2 takes twice as long as 5
    clip_mode: ClipMode = "rescale"  # a stem above full scale: one gain for all stems, cut off at 0.99, or left alone
    normalize: bool = False  # one gain for all stems, so that the highest peak of any is just under full scale
    filename: str = "{track}/{stem}.{ext}"  # below the output folder; also {trackext}
    keep_rate: bool = False  # stems at the input's sample rate instead of the model's
    tags: Mapping[str, str] = field(default_factory=dict)  # besides the input's own

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"there is no format {self.format!r}: choose one of {', '.join(FORMATS)}")
        if self.clip_mode not in get_args(ClipMode):
            raise OptionError(f"clip_mode is {self.clip_mode!r}: choose rescale, clamp or none")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One stem, written."""

    stem: str
    path: Path
    samples: int
    sample_rate: int
    seconds: float
    size: int  # bytes
    sha256: str


def output_paths(
    source: Path, out: Path, stems: Sequence[str], options: OutputOptions, track: str | None = None
) -> dict[str, Path]:
    """Where each stem goes.

    Raises:
        OptionError: the file name pattern is wrong, leads out of ``out``, or gives two stems one name.
    """
    values = {
        "track": _safe(track if track is not None else source.name.rsplit(".", 1)[0]),
        "trackext": _safe(source.name.rsplit(".", 1)[-1]),
        "ext": FORMATS[options.format].extension,
    }
    paths = {}
    for stem in stems:
        try:
            name = options.filename.format(stem=_safe(stem), **values)
        except (KeyError, IndexError, ValueError):
            raise OptionError(
                f"the file name pattern {options.filename!r} is wrong: it may use {{track}}, {{trackext}}, {{stem}} and {{ext}}"
            ) from None
        relative = Path(name)
        if relative.is_absolute() or ".." in relative.parts or name.endswith(("/", "\\")):
            raise OptionError(f"the file name pattern {options.filename!r} leads out of the output folder")
        paths[stem] = out / relative
    if len(set(paths.values())) < len(paths):
        raise OptionError(
            f"the file name pattern {options.filename!r} gives several stems one name: use {{stem}} in it"
        )
    return paths


class StemFiles:
    """The files of one song. Leaving the context without `finish` removes whatever was begun.

    In ``rescale`` mode the gain is only known at the end. So each stem is encoded as it comes, and kept beside as raw
    samples in an unnamed temporary file; when one would have clipped, all are encoded again with the one gain. With
    ``normalize`` there will be a gain in any case, and nothing is encoded before it is known.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        options: OutputOptions,
        *,
        sample_rate: int,
        channels: int,
        target: tuple[int, int] | None,
        tags: Mapping[str, str],
    ) -> None:
        self.gain = 1.0
        self._paths, self._options = dict(paths), options
        self._sample_rate, self._channels, self._target = sample_rate, channels, target
        self._tags = {**tags, **options.tags}
        self._made_folders = _make_folders([path.parent for path in self._paths.values()])
        self._spools: list[IO[bytes]] = []
        self._threads: list[_EncoderThread] = []
        self._clipped = False
        self._finished = False
        try:
            self._open_all()
        except BaseException:
            self._discard()
            raise

    def __enter__(self) -> StemFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._discard()
        for spool in self._spools:
            spool.close()

    def write(self, stems: Block) -> None:
        """One block of all stems, ``[stems, channels, n]``.

        Raises:
            OutputError: an encoder failed or the disk is full.
        """
        if self._options.clip_mode == "clamp" and not self._options.normalize:
            stems = np.clip(stems, -_CLAMP, _CLAMP)
        for spool, stem in zip(self._spools, stems, strict=False):
            _spool(spool, stem)
        if self._threads and self._spools and not self._clipped and float(np.abs(stems).max(initial=0.0)) > 1:
            self._clipped = True  # what was encoded so far is of no use any more
            self._abort_all()
        for thread, stem in zip(self._threads, stems, strict=False):
            thread.put(stem)

    def finish(self, peak: float) -> tuple[Artifact, ...]:
        """Close all files. ``peak``: the highest value of any stem."""
        if self._options.normalize:
            self.gain = _HEADROOM / peak if peak > _SILENT else 1.0
            self._encode_again()
        elif self._clipped:
            self.gain = _HEADROOM / peak
            self._encode_again()
        written: list[WrittenFile] = []
        try:
            for thread in self._threads:
                written.append(thread.finish())
        except BaseException:
            for file in written:  # all or nothing
                file.path.unlink(missing_ok=True)
            raise
        self._finished = True
        return tuple(
            Artifact(
                stem=stem,
                path=file.path,
                samples=file.samples,
                sample_rate=file.sample_rate,
                seconds=file.seconds,
                size=file.size,
                sha256=file.sha256,
            )
            for stem, file in zip(self._paths, written, strict=True)
        )

    def _open_all(self) -> None:
        rescales = self._options.clip_mode == "rescale" and FORMATS[self._options.format].clips
        if rescales or self._options.normalize:
            for path in self._paths.values():
                self._spools.append(tempfile.TemporaryFile(dir=path.parent))  # noqa: SIM115 (closed in __exit__)
        if not self._options.normalize:
            self._open_encoders()

    def _open_encoders(self) -> None:
        self._threads = []
        for path in self._paths.values():  # one by one, so that an interrupt in between loses none
            self._threads.append(_EncoderThread(self._open(path), self._resampler()))

    def _open(self, path: Path) -> AudioWriter:
        options = self._options
        return open_writer(
            path,
            format=options.format,
            sample_rate=self._target[0] if self._target else self._sample_rate,
            channels=self._channels,
            bitrate=options.bitrate,
            vbr_quality=options.vbr_quality,
            preset=options.preset if options.format == "mp3" else None,
            tags=self._tags,
        )

    def _resampler(self) -> _Exactly | None:
        if self._target is None or self._target[0] == self._sample_rate:
            return None
        return _Exactly(Resampler(self._sample_rate, self._target[0], self._channels), self._target[1])

    def _encode_again(self) -> None:
        self._open_encoders()
        bytes_per_block = 4 * self._channels << 18
        for spool in self._spools:
            spool.seek(0)
        while True:
            blocks = [spool.read(bytes_per_block) for spool in self._spools]
            if not blocks[0]:
                return
            for thread, data in zip(self._threads, blocks, strict=True):
                samples = np.frombuffer(data, dtype=np.float32).reshape(-1, self._channels).T
                thread.put(np.ascontiguousarray(samples * np.float32(self.gain)))

    def _abort_all(self) -> None:
        for thread in self._threads:
            thread.abort()
        self._threads = []

    def _discard(self) -> None:
        self._abort_all()
        for path in self._paths.values():
            part_path(path).unlink(missing_ok=True)  # of one that an interrupt caught while it was opened
        for folder in reversed(self._made_folders):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


class _Exactly:
    """A resampler whose output has a given length: rounding there and back may be one sample off."""

    def __init__(self, resampler: Resampler, length: int) -> None:
        self._resampler, self._left = resampler, length

    def process(self, block: Block) -> Block:
        return self._cut(self._resampler.process(block))

    def flush(self) -> Block:
        tail = self._cut(self._resampler.flush())
        missing = np.zeros((tail.shape[0], self._left), dtype=np.float32)
        return np.concatenate([tail, missing], axis=-1)

    def _cut(self, block: Block) -> Block:
        block = block[:, : self._left]
        self._left -= block.shape[-1]
        return block


class _EncoderThread:
    """Encodes one stem beside the model. An error shows at the next call."""

    def __init__(self, writer: AudioWriter, resampler: _Exactly | None) -> None:
        self._writer, self._resampler = writer, resampler
        self._queue: queue.Queue[Block | None] = queue.Queue(_QUEUED_BLOCKS)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._encode, name=f"encode {writer.path.name}", daemon=True)
        self._thread.start()

    def put(self, block: Block) -> None:
        self._queue.put(block)
        self._raise_error()

    def finish(self) -> WrittenFile:
        self._end()
        self._raise_error()
        return self._writer.close()

    def abort(self) -> None:
        self._error = self._error or OutputError("aborted")  # the thread drops what is queued
        self._end()
        self._writer.abort()

    def _end(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _encode(self) -> None:
        while (block := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._writer.write(self._resampler.process(block) if self._resampler else block)
            except Exception as error:  # carried to the caller's thread, which raises it
                self._error = error
        if self._error is None and self._resampler is not None:
            try:
                self._writer.write(self._resampler.flush())
            except Exception as error:
                self._error = error


def _spool(file: IO[bytes], stem: Block) -> None:
    try:
        file.write(np.ascontiguousarray(stem.T).tobytes())
    except OSError as error:
        raise OutputError(
            f"the temporary copy of a stem cannot be written: {error.strerror}; free some space", code="disk_full"
        ) from None


def _make_folders(folders: Sequence[Path]) -> list[Path]:
    """Make folders and say which ones were new, outermost first."""
    made: list[Path] = []
    for folder in dict.fromkeys(folders):
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder {folder} cannot be made: {error.strerror}; choose another with -o") from None
        made.extend(reversed(missing))
    return made


def _safe(part: str) -> str:
    """A piece of a file name: no separators, and nothing that means a folder."""
    cleaned = part.replace("/", "_").replace("\\", "_").replace("\0", "_")
    return cleaned if cleaned.strip(". ") else "track"
