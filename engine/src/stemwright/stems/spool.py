"""Raw samples of one stem, kept in an unnamed temporary file until it is known at what gain they are written."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stemwright.audio.samples import Samples
from stemwright.errors import DISK_FULL, OutputError

_SAMPLES = 1 << 18  # of each channel, read at once


class Spool:
    """Blocks ``[channels, n]`` go in and come out again in the same order. The file vanishes with the process."""

    def __init__(self, folder: Path, channels: int) -> None:
        """Open the file.

        Args:
            folder: Where it lies.
            channels: Of every block.

        Raises:
            OutputError: The folder takes no file (``not_writable``), or the disk is full (``disk_full``).
        """
        self._folder, self._channels = folder, channels
        with self._errors():
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)

    def write(self, block: Samples) -> None:
        """Append a block ``[channels, n]``.

        Raises:
            OutputError: As the constructor.
        """
        with self._errors():
            self._file.write(np.ascontiguousarray(block.T).tobytes())

    def blocks(self) -> Iterator[Samples]:
        """All that was written, from the first sample on, in blocks ``[channels, n]``.

        Raises:
            OutputError: As the constructor: what was written last may only reach the disk now.
        """
        with self._errors():
            self._file.seek(0)
        while True:
            with self._errors():
                data = self._file.read(4 * self._channels * _SAMPLES)
            if not data:
                return
            yield np.frombuffer(data, dtype=np.float32).reshape(-1, self._channels).T

    def close(self) -> None:
        """Close the file. An error of the disk is of no interest any more: nothing will be read."""
        with contextlib.suppress(OSError):
            self._file.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            what = f"the temporary copy of a stem in {self._folder} cannot be written: {error.strerror}"
            if error.errno in DISK_FULL:
                raise OutputError(f"{what}; free some space", code="disk_full") from None
            raise OutputError(f"{what}; choose another folder", code="not_writable") from None
