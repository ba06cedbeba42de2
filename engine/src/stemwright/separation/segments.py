"""Where segments lie, what they read and give, and how they are weighted.

Pure values and functions, which serve every backend; positions are sample indices in the mix. The plan is Demucs's
(`demucs.apply.apply_model`, demucs 4.1.0): segments start every ``stride`` samples, each is centred in the length the
network wants, overlapping outputs are blended with a triangular weight and divided by the sum of the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stemwright.audio.samples import Samples


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One piece of the mix, as one call of the network sees it."""

    start: int  # first sample it is responsible for; negative where a shift begins before the mix
    length: int  # samples it is responsible for
    window_start: int  # first sample of the padded input; what lies outside the mix reads as zero
    window_length: int  # samples of the padded input: what the network wants

    @property
    def window_end(self) -> int:
        """The position after the last sample of the padded input."""
        return self.window_start + self.window_length

    @property
    def margin(self) -> int:
        """Samples of the padded input that come before ``start``."""
        return self.start - self.window_start

    def cut(self, output: Samples) -> Samples:
        """The segment's own part ``[..., length]`` of what the network gave for its window, ``[..., T]``.

        A network may give a little more or less than the window; what counts is centred in it, as in Demucs.
        """
        first = self.margin - (self.window_length - output.shape[-1]) // 2
        return output[..., first : first + self.length]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All segments of one pass over ``[start, end)``."""

    start: int
    end: int
    segment_length: int
    stride: int
    valid_length: Callable[[int], int]  # samples the network wants for so many samples; never fewer

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"an empty range cannot be planned: [{self.start}, {self.end})")
        if not 0 < self.stride <= self.segment_length:
            raise ValueError(f"need 0 < stride <= segment, got {self.stride} and {self.segment_length}")

    def __len__(self) -> int:
        return -(-(self.end - self.start) // self.stride)

    def __getitem__(self, index: int) -> Segment:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = self.start + index * self.stride
        length = min(self.segment_length, self.end - start)
        window = self.valid_length(length)
        return Segment(start=start, length=length, window_start=start - (window - length) // 2, window_length=window)

    def first_needed(self, index: int) -> int:
        """The first sample that any segment from ``index`` on reads; `end` when there is none left.

        Only two windows can begin earliest: the next one, and the last, which is shorter and so centred anew.
        """
        last = len(self) - 1
        return min((self[each].window_start for each in (index, last) if index <= last), default=self.end)

    def settled(self, index: int) -> int:
        """The position up to which nothing changes any more once segment ``index`` has been added."""
        return min(self.start + (index + 1) * self.stride, self.end)


def stride_of(segment_length: int, overlap: float) -> int:
    """Samples between the starts of two segments; `overlap` is the share of a segment that the next one covers."""
    return max(1, int((1 - overlap) * segment_length))


def triangle(length: int) -> Samples:
    """The weight of each sample of a segment: ``[length]``, rising to 1 in the middle and falling again."""
    rise = np.arange(1, length // 2 + 1, dtype=np.float32)
    fall = np.arange(length - length // 2, 0, -1, dtype=np.float32)
    weight = np.concatenate([rise, fall])
    weight /= weight.max()
    return weight
