"""Separation of a stream: blocks of the mix in, blocks of the stems out, in memory that does not grow.

Each *pass* is one network of the bag at one shift. The passes advance side by side, always the one that is furthest
behind, so that only about one segment of input and of output is held, however long the mix is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stemwright.device import Computation
from stemwright.errors import Canceled, ModelError, OptionError
from stemwright.models.bag import Bag, Share
from stemwright.options import OnProgress, Progress, SeparationOptions, ShouldStop
from stemwright.segments import Mixdown, MixWindow, OverlapAdd, Plan, Segment, stride_of, triangle

_LONGEST_SHIFT = 0.5  # seconds, as in `demucs.apply.apply_model`


@dataclass(frozen=True, kw_only=True)
class Track:
    """What has to be known of a mix before its first segment: one cheap pass over it tells."""

    length: int  # samples at the model's rate
    mean: float  # of the mono mix
    std: float  # of the mono mix, unbiased


@dataclass(kw_only=True)
class _Pass:
    """One network at one shift, and how far it is."""

    share: Share
    network: nn.Module
    plan: Plan
    gain: Tensor  # [sources, 1, 1]: this pass's part in the sum
    adder: OverlapAdd
    next: int = 0

    @property
    def reached(self) -> int:
        """Position up to which this pass's output is settled."""
        return self.plan[self.next].start if self.next < len(self.plan) else self.plan.end


@dataclass(kw_only=True)
class Stream:
    """A separation under way: iterate over `blocks`. The counters are for the report."""

    bag: Bag
    stems: Sequence[str]  # what has to be right in the output
    options: SeparationOptions
    computation: Computation
    sample_rate: int
    track: Track
    on_progress: OnProgress | None = None
    should_stop: ShouldStop | None = None
    model_seconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._shares = self.bag.shares(self.stems)
        self._scale = 1.0
        self._offset = 0.0
        if getattr(self.bag.network(self._shares[0].index), "normalises", True):
            self._scale, self._offset = self.track.std + 1e-8, self.track.mean
        self._passes = [
            self._pass(share, shift) for share in self._shares for shift in _shifts(self.options, self.sample_rate)
        ]
        self.segments_total = sum(len(each.plan) for each in self._passes)
        self._done = 0
        self._began = time.monotonic()

    @property
    def complete(self) -> list[bool]:
        """For each source of the bag: whether the output holds it (a network not run may leave one out)."""
        return self.bag.complete(self._shares)

    def blocks(self, mix: Iterable[Tensor]) -> Iterator[Tensor]:
        """Separate the blocks of a mix, each ``[channels, n]`` float32 at the model's rate.

        Yields:
            ``[sources, channels, n]`` blocks that follow each other without a gap; as many samples as went in.

        Raises:
            Canceled: ``should_stop`` said so.
            ModelError: a network gave something that is not a number (``non_finite_output``).
            InputError, DeviceError: from the source and the device.
        """
        self._began = time.monotonic()
        source = iter(mix)
        window: MixWindow | None = None
        mixdown = Mixdown(len(self._passes), self.track.length)
        with ThreadPoolExecutor(self.options.jobs) as pool:
            while group := self._next_group():
                self._stop_if_asked()
                needed = min(self.track.length, max(seg.window_start + seg.window_length for _, seg in group))
                while window is None or window.end < needed:
                    block = next(source)
                    window = window or MixWindow(block.shape[0])
                    window.append((block - self._offset) / self._scale)
                inputs = [window.read(seg.window_start, seg.window_length) for _, seg in group]
                began = time.monotonic()
                outputs = list(pool.map(self._separate, group, inputs))
                self.model_seconds += time.monotonic() - began
                for (index, segment), output in zip(group, outputs, strict=True):
                    each = self._passes[index]
                    mixdown.add(index, segment.start, each.adder.add(output) * each.gain)
                    each.next += 1
                    self._tell()
                window.forget(self._earliest())
                if (done := mixdown.take()) is not None:
                    yield done * self._scale + self._offset

    def _pass(self, share: Share, shift: int) -> _Pass:
        network = self.bag.network(share.index).to(self.computation.device)
        plan = Plan(
            start=-shift,
            end=self.track.length,
            segment_length=(length := self._segment_length(share.index)),
            stride=stride_of(length, self.options.overlap),
            valid_length=self._valid_length(network, share.index, length),
        )
        gain = torch.tensor(share.shares)[:, None, None] / max(1, self.options.shifts)
        return _Pass(share=share, network=network, plan=plan, gain=gain, adder=OverlapAdd(plan, triangle(length)))

    def _segment_length(self, index: int) -> int:
        own = self.bag.segment_of(index)
        chosen = self.options.segment or own
        if self.bag.fixed_segment(index) and chosen > own:
            raise OptionError(
                f"a segment of {chosen} s is longer than the {float(own)} s this model was trained on: choose at most that"
            )
        if int(chosen * self.sample_rate) < 1:
            raise OptionError(f"a segment of {chosen} s is less than one sample")
        return int(chosen * self.sample_rate)

    def _valid_length(self, network: nn.Module, index: int, segment_length: int):  # type: ignore[no-untyped-def]
        """Demucs gives a transformer whole segments of the length asked for; the others say what they want."""
        if self.bag.fixed_segment(index) and self.options.segment is not None:
            return lambda _length: segment_length
        return getattr(network, "valid_length", lambda length: length)

    def _next_group(self) -> list[tuple[int, Segment]]:
        """The next segments to compute, at most ``jobs`` of them: of those passes that are furthest behind."""
        ahead = {index: each.next for index, each in enumerate(self._passes)}
        group: list[tuple[int, Segment]] = []
        while len(group) < self.options.jobs:
            open_passes = [i for i, each in enumerate(self._passes) if ahead[i] < len(each.plan)]
            if not open_passes:
                break
            index = min(open_passes, key=lambda i: self._passes[i].plan[ahead[i]].start)
            group.append((index, self._passes[index].plan[ahead[index]]))
            ahead[index] += 1
        return group

    def _separate(self, where: tuple[int, Segment], mix: Tensor) -> Tensor:
        index, segment = where
        output = self.computation.run(self._passes[index].network, mix[None])[0]
        # The network may give a little more or less than the window; what counts is centred, as in Demucs.
        margin = segment.margin - (segment.window_length - output.shape[-1]) // 2
        output = output[..., margin : margin + segment.length]
        if not torch.isfinite(output).all():
            raise ModelError(
                "the model gave values that are not numbers: its weights may be damaged; "
                "try --precision exact, or verify it with `stemwright models verify`",
                code="non_finite_output",
            )
        return output

    def _earliest(self) -> int:
        """The first sample of the mix that any segment still to come will read."""
        starts = [each.plan[i].window_start for each in self._passes for i in _to_come(each)]
        return min(starts, default=self.track.length)

    def _stop_if_asked(self) -> None:
        if self.should_stop is not None and self.should_stop():
            raise Canceled("the separation was canceled")

    def _tell(self) -> None:
        self._done += 1
        if self.on_progress is not None:
            elapsed = time.monotonic() - self._began
            remaining = elapsed / self._done * (self.segments_total - self._done)
            self.on_progress(
                Progress(
                    segments_done=self._done, segments_total=self.segments_total, elapsed=elapsed, remaining=remaining
                )
            )


def _to_come(each: _Pass) -> tuple[int, ...]:
    """Indices of the segments whose windows can begin earliest: the next one, and the last, which is centred anew."""
    last = len(each.plan) - 1
    return () if each.next > last else (each.next, last)


def _shifts(options: SeparationOptions, sample_rate: int) -> list[int]:
    """Samples of silence before the mix in each pass over it."""
    if options.shifts == 0:
        return [0]
    longest = int(_LONGEST_SHIFT * sample_rate)
    chance = random.Random(options.seed)  # noqa: S311 (nothing secret: it only has to repeat)
    return [longest - chance.randint(0, longest) for _ in range(options.shifts)]
