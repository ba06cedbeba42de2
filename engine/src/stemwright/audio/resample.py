"""Changing the sample rate of a stream, to the sample."""

from __future__ import annotations

import numpy as np
import soxr

from stemwright.audio.samples import Samples


class Resampler:
    """Resamples blocks of a stream with no lag: sample 0 out lies where sample 0 in does.

    After `flush`, exactly ``round(n * to_rate / from_rate)`` samples have come out for n that went in.
    """

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._from, self._to, self._channels = from_rate, to_rate, channels
        self._stream = (
            None
            if from_rate == to_rate
            else soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="VHQ")
        )
        self._in = self._out = 0

    def process(self, block: Samples) -> Samples:
        """Take a block ``[channels, n]``; give what is ready, ``[channels, m]``, m from 0 up."""
        if self._stream is None:
            return block
        self._in += block.shape[1]
        return self._give(self._stream.resample_chunk(np.ascontiguousarray(block.T)))

    def flush(self) -> Samples:
        """End the stream: give what is left, ``[channels, m]``."""
        if self._stream is None:
            return np.zeros((self._channels, 0), dtype=np.float32)
        rest = self._give(self._stream.resample_chunk(np.zeros((0, self._channels), dtype=np.float32), last=True))
        missing = resampled_length(self._in, self._from, self._to) - self._out
        if missing > 0:
            self._out += missing
            rest = np.concatenate([rest, np.zeros((self._channels, missing), dtype=np.float32)], axis=1)
        return rest

    def _give(self, frames: Samples) -> Samples:
        room = resampled_length(self._in, self._from, self._to) - self._out
        frames = frames.reshape(-1, self._channels)[: max(room, 0)]
        self._out += len(frames)
        return np.ascontiguousarray(frames.T)


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """How many samples ``samples`` become: to the nearest, halves up, at least one of any."""
    return max((2 * samples * to_rate + from_rate) // (2 * from_rate), min(samples, 1))
