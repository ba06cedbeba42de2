"""Stems into files, while the separation still runs: one encoder thread each, one joint gain, all or nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from stemwright.audio import FORMATS, AudioWriter, Resampler, claim_output, open_writer
from stemwright.audio.cover import Cover
from stemwright.audio.samples import SILENT, Samples
from stemwright.audio.writing.sink import Claim
from stemwright.errors import OutputError
from stemwright.options import OutputOptions
from stemwright.stems.encoder_thread import EncoderThread, ExactResampler
from stemwright.stems.spool import Spool

_CLAMP = 0.99  # of full scale, as in `demucs.audio.prevent_clip`
_OF_THE_MIX = ("replaygain_", "mp3gain_", "r128_", "itunnorm", "acoustid_", "musicbrainz_trackid", "isrc", "tsrc")
"""How tags begin that say how loud the mix is, or that a file is this very recording: a stem is neither."""
_HEADROOM = 0.99  # the highest peak after a joint gain, so that a lossy codec's overshoot stays below full scale


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


class StemWriter:
    """Writes the stems of one song. Leaving the context without `finish` removes what was begun.

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
        cover: Cover | None = None,
    ) -> None:
        """Make the folders and open the files.

        Args:
            paths: Where each stem goes, in the order in which `write` is given them.
            options: Format of the files, and what is done when a stem clips.
            sample_rate: Of the stems as they are given, in Hz.
            channels: Of each stem.
            target: Sample rate and samples of the files; None: those of the stems as they are given.
            tags: Of the input; those of the options go before them.
            cover: Of the input.

        Raises:
            OutputError: A folder or a file cannot be made; what was made is removed.
            OptionError: The format cannot hold this rate or these channels.
        """
        self.gain = 1.0  # what every stem was multiplied with; known after `finish`
        self._paths, self._options = dict(paths), options
        self._sample_rate, self._channels, self._target = sample_rate, channels, target
        self._tags = {**{name: tags[name] for name in tags if not name.startswith(_OF_THE_MIX)}, **options.tags}
        self._cover = cover
        self._made_folders = _make_folders([path.parent for path in self._paths.values()])
        self._spools: list[Spool] = []
        self._threads: list[EncoderThread] = []
        self._claims: dict[Path, Claim] = {}  # on every file from the beginning to the end, whenever it is written
        self._clipped = False
        self._finished = False
        try:
            for path in self._paths.values():
                self._claims[path] = claim_output(path)
            self._open_all()
        except BaseException:
            self._discard()
            self._close_spools()
            raise

    def __enter__(self) -> StemWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._discard()
        self._close_spools()

    def write(self, stems: Samples) -> None:
        """Write one block of all stems, ``[stems, channels, n]``.

        Raises:
            OutputError: An encoder failed or the disk is full.
        """
        if self._options.clip_mode == "clamp" and not self._options.normalize:
            stems = np.clip(stems, -_CLAMP, _CLAMP)
        for spool, stem in zip(self._spools, stems, strict=False):
            spool.write(stem)
        if self._threads and self._spools and not self._clipped and float(np.abs(stems).max(initial=0.0)) > 1:
            self._clipped = True  # all of it has to be encoded again, at the joint gain
            self._abort_all()
        for thread, stem in zip(self._threads, stems, strict=False):
            thread.put(stem)

    def finish(self, peak: float) -> tuple[Artifact, ...]:
        """Write all files out and put them in their places; with one gain for all when one would clip.

        Args:
            peak: The highest value of any stem that was written, 1 is full scale.

        Returns:
            What was written of each stem, in the order of the paths.

        Raises:
            OutputError: A file cannot be written; none of them is left.
        """
        if self._options.normalize:
            self.gain = _HEADROOM / peak if peak > SILENT else 1.0
            self._encode_again()
        elif self._clipped:
            self.gain = _HEADROOM / peak
            self._encode_again()
        written = [thread.finish() for thread in self._threads]
        self._finished = True
        self._release()
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
                self._spools.append(Spool(path.parent, self._channels))
        if not self._options.normalize:
            self._open_encoders()

    def _open_encoders(self) -> None:
        self._threads = []
        for path in self._paths.values():  # one by one, so that an interrupt in between loses none
            self._threads.append(EncoderThread(self._open(path), self._resampler()))

    def _open(self, path: Path) -> AudioWriter:
        options = self._options
        return open_writer(
            path,
            format=options.format,
            sample_rate=self._target[0] if self._target else self._sample_rate,
            channels=self._channels,
            bitrate=options.bitrate,
            vbr_quality=options.vbr_quality,
            preset=options.encoder_preset,
            tags=self._tags,
            cover=self._cover,
            claim=self._claims[path],
        )

    def _resampler(self) -> ExactResampler | None:
        if self._target is None or self._target[0] == self._sample_rate:
            return None
        return ExactResampler(Resampler(self._sample_rate, self._target[0], self._channels), self._target[1])

    def _encode_again(self) -> None:
        self._open_encoders()
        for blocks in zip(*(spool.blocks() for spool in self._spools), strict=True):
            for thread, block in zip(self._threads, blocks, strict=True):
                thread.put(np.ascontiguousarray(block * np.float32(self.gain)))

    def _abort_all(self) -> None:
        for thread in self._threads:
            thread.abort()
        self._threads = []

    def _release(self) -> None:
        for claim in self._claims.values():
            claim.release()

    def _close_spools(self) -> None:
        for spool in self._spools:
            spool.close()

    def _discard(self) -> None:
        self._abort_all()
        for path, claim in self._claims.items():  # all or nothing: a stem that has its name already goes as well
            claim.remove(path)
        self._release()
        with contextlib.suppress(OSError):  # a folder that cannot be removed must not hide the error that got us here
            for folder in reversed(self._made_folders):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()


def _make_folders(folders: Sequence[Path]) -> list[Path]:
    """Make folders and say which ones were new, outermost first."""
    made: list[Path] = []
    for folder in dict.fromkeys(folders):
        try:
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the folder {folder} cannot be made: {error.strerror}; choose another with -o") from None
        made.extend(reversed(missing))
    return made
