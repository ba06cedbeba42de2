"""What a separation holds of a mix and of its stems: the samples still needed, and the sums not settled yet.

Arrays are numpy's, positions are sample indices in the mix.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stemwright.audio.samples import Samples
from stemwright.separation.segments import Plan


def blocks_of(samples: Samples, size: int = 1 << 18) -> Iterator[Samples]:
    """Blocks ``[..., n]``, n at most ``size``, of an array ``[..., samples]``.

    What waits to be separated is copied with each block that is appended, so that a long array goes in piece by piece.
    """
    for start in range(0, samples.shape[-1], size):
        yield samples[..., start : start + size]


class OverlapAdd:
    """Adds up the segments of one plan, in order, and gives out what is settled.

    Holds one segment of output, whatever the length of the mix.
    """

    def __init__(self, plan: Plan, weight: Samples) -> None:
        self._plan = plan
        self._weight = weight
        self._sum: Samples | None = None
        self._weights = np.zeros(plan.segment_length, dtype=np.float32)
        self._next = 0

    def add(self, output: Samples) -> Samples:
        """Add the output of the next segment, ``[..., length]``, and return the newly settled samples, ``[..., n]``.

        Raises:
            ValueError: The output is not as long as the segment.
        """
        plan, segment = self._plan, self._plan[self._next]
        if output.shape[-1] != segment.length:
            raise ValueError(f"segment {self._next} has {segment.length} samples, its output {output.shape[-1]}")
        if self._sum is None:
            self._sum = np.zeros((*output.shape[:-1], plan.segment_length), dtype=np.float32)
        self._sum[..., : segment.length] += self._weight[: segment.length] * output
        self._weights[: segment.length] += self._weight[: segment.length]
        count = plan.settled(self._next) - segment.start
        settled: Samples = self._sum[..., :count] / self._weights[:count]
        _shift(self._sum, plan.stride)
        _shift(self._weights, plan.stride)
        self._next += 1
        return settled


class MixBuffer:
    """The part of the mix that segments still need: blocks go in at the end, windows are read anywhere."""

    def __init__(self, channels: int) -> None:
        self._samples = np.zeros((channels, 0), dtype=np.float32)
        self._start = 0

    @property
    def end(self) -> int:
        """The position after the last sample given so far."""
        return self._start + self._samples.shape[-1]

    def append(self, block: Samples) -> None:
        """Append ``[channels, n]`` samples."""
        self._samples = np.concatenate([self._samples, block], axis=-1)

    def forget(self, before: int) -> None:
        """Drop the samples before a position; they may not be read again."""
        if before > self._start:
            count = min(before, self.end) - self._start
            self._samples = self._samples[:, count:].copy()
            self._start += count

    def read(self, start: int, length: int) -> Samples:
        """``[channels, length]`` samples from ``start`` on, zero where the mix has none."""
        out = np.zeros((self._samples.shape[0], length), dtype=np.float32)
        first, last = max(start, self._start), min(start + length, self.end)
        if last > first:
            out[:, first - start : last - start] = self._samples[:, first - self._start : last - self._start]
        return out


class PassSum:
    """The ensemble average: adds the weighted output of every pass, and gives out what all of them have reached.

    A pass is one network of a bag at one shift. Each pass adds from its own frontier on.
    """

    def __init__(self, passes: int) -> None:
        self._frontier = [0] * passes
        self._sum: Samples | None = None
        self._start = 0

    def add(self, index: int, position: int, output: Samples) -> None:
        """Add samples of a pass.

        Args:
            index: Of the pass.
            position: Of the first sample; those before the mix, at negative positions, are dropped.
            output: ``[sources, channels, n]``, weighted.

        Raises:
            ValueError: The samples do not follow those of this pass before.
        """
        if position < 0:
            output = output[..., -position:]
            position = 0
        count = output.shape[-1]
        if count == 0:
            return
        if position != self._frontier[index]:
            raise ValueError(f"pass {index} stands at {self._frontier[index]}, not at {position}")
        first = position - self._start
        if self._sum is None:
            self._sum = output[..., :0]
        missing = max(0, first + count - self._sum.shape[-1])
        known = count - missing
        if known > 0:
            self._sum[..., first : first + known] += output[..., :known]
        self._sum = np.concatenate([self._sum, output[..., known:]], axis=-1)
        self._frontier[index] += count

    def take(self) -> Samples | None:
        """The samples that every pass has reached and that were not taken yet, or None."""
        count = min(self._frontier) - self._start
        if self._sum is None or count <= 0:
            return None
        done, self._sum = self._sum[..., :count], self._sum[..., count:].copy()
        self._start += count
        return done


def _shift(values: Samples, count: int) -> None:
    """Move the last dimension ``count`` samples to the left, in place, and fill with zeros."""
    kept = max(0, values.shape[-1] - count)
    values[..., :kept] = values[..., values.shape[-1] - kept :]
    values[..., kept:] = 0
