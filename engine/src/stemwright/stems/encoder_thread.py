"""Encodes one stem in a thread of its own, beside the model."""

from __future__ import annotations

import queue
import threading

import numpy as np

from stemwright.audio import AudioWriter, Resampler, WrittenFile
from stemwright.audio.samples import Samples
from stemwright.errors import OutputError

_QUEUED_BLOCKS = 2  # enough to keep an encoder busy, little enough to hold memory down


class ExactResampler:
    """A resampler whose output has a given length: rounding there and back may be one sample off."""

    def __init__(self, resampler: Resampler, length: int) -> None:
        """``length``: samples of each channel that come out in all."""
        self._resampler, self._left = resampler, length

    def process(self, block: Samples) -> Samples:
        """Take a block ``[channels, n]``; give what is ready, ``[channels, m]``, m from 0 up."""
        return self._cut(self._resampler.process(block))

    def flush(self) -> Samples:
        """End the stream: give what is left, ``[channels, m]``, filled up with zeros to the length."""
        tail = self._cut(self._resampler.flush())
        missing = np.zeros((tail.shape[0], self._left), dtype=np.float32)
        return np.concatenate([tail, missing], axis=-1)

    def _cut(self, block: Samples) -> Samples:
        block = block[:, : self._left]
        self._left -= block.shape[-1]
        return block


class EncoderThread:
    """Encodes one stem beside the model. An error of the thread is raised by the next call."""

    def __init__(self, writer: AudioWriter, resampler: ExactResampler | None) -> None:
        """Start the thread.

        Args:
            writer: Where the stem goes; it is closed by `finish` and by `abort`.
            resampler: Brings the stem to the writer's sample rate; None: it is at that rate.
        """
        self._writer, self._resampler = writer, resampler
        self._queue: queue.Queue[Samples | None] = queue.Queue(_QUEUED_BLOCKS)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._encode, name=f"encode {writer.path.name}", daemon=True)
        self._thread.start()

    def put(self, block: Samples) -> None:
        """Hand over a block ``[channels, n]``; waits while as many as may be are queued.

        Raises:
            OutputError: An earlier block could not be written.
        """
        self._queue.put(block)
        self._raise_error()

    def finish(self) -> WrittenFile:
        """Encode what is queued, end the thread and put the file in its place.

        Raises:
            OutputError: The file cannot be written.
        """
        self._end()
        self._raise_error()
        return self._writer.close()

    def abort(self) -> None:
        """Drop what is queued, end the thread and remove what was written."""
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
