"""Separation of a stream: blocks of the mix in, blocks of the stems out, in memory that does not grow.

Each *pass* is one network of the bag at one shift. The passes advance side by side, always the one that is furthest
behind, so that only about one segment of input and of output is held, however long the mix is. While the model works on
the next segments, the last ones are added up, measured and encoded.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from stemwright.audio.samples import Samples
from stemwright.errors import Canceled, ModelError, OptionError
from stemwright.models.bag import Bag, Share
from stemwright.models.network import Network
from stemwright.options import OnProgress, Progress, SeparationOptions, ShouldStop
from stemwright.separation.buffers import MixBuffer, OverlapAdd, PassSum
from stemwright.separation.segments import Plan, Segment, stride_of, triangle
from stemwright.separation.stopwatch import Stopwatch

_LONGEST_SHIFT = 0.5  # seconds, as in `demucs.apply.apply_model`


@dataclass(frozen=True, kw_only=True)
class MixStats:
    """What has to be known of a mix before its first segment: one cheap pass over it tells."""

    length: int  # samples at the model's rate
    mean: float  # of the mono mix
    std: float  # of the mono mix, unbiased


@dataclass(kw_only=True)
class _Pass:
    """One network at one shift, and how far it is."""

    share: Share
    network: Network
    plan: Plan
    gain: Samples  # [sources, 1, 1]: this pass's part in the sum
    adder: OverlapAdd
    next: int = 0  # the first segment that was not given to the network yet


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """Segments of one pass that follow each other and go through its network in one call."""

    index: int  # of the pass
    segments: tuple[Segment, ...]


@dataclass(kw_only=True)
class Stream:
    """A separation under way: iterate over `blocks`. The counters are for the report."""

    bag: Bag
    stems: Sequence[str]  # what has to be right in the output
    options: SeparationOptions
    sample_rate: int
    stats: MixStats
    on_progress: OnProgress | None = None
    should_stop: ShouldStop | None = None

    def __post_init__(self) -> None:
        self._shares = self.bag.shares(self.stems)
        self._scale = np.float32(1.0)
        self._offset = np.float32(0.0)
        if self.bag.network(self._shares[0].index).facts.normalises:
            self._scale, self._offset = np.float32(self.stats.std + 1e-8), np.float32(self.stats.mean)
        self._passes = [
            self._pass(share, shift) for share in self._shares for shift in _shifts(self.options, self.sample_rate)
        ]
        self.segments_total = sum(len(each.plan) for each in self._passes)
        self._computing = Stopwatch()
        self._done = 0
        self._began = time.monotonic()

    @property
    def model_seconds(self) -> float:
        """How long networks have been computing, one or several at a time."""
        return self._computing.seconds

    @property
    def complete(self) -> list[bool]:
        """For each source of the bag: whether the output holds it (a network not run may leave one out)."""
        return self.bag.complete(self._shares)

    @property
    def indices(self) -> list[int]:
        """Which networks of the bag take part."""
        return [share.index for share in self._shares]

    @property
    def networks(self) -> list[Network]:
        """The networks that take part."""
        return [self.bag.network(index) for index in self.indices]

    def blocks(self, mix: Iterable[Samples]) -> Iterator[Samples]:
        """Separate the blocks of a mix, each ``[channels, n]`` float32 at the model's rate.

        Yields:
            ``[sources, channels, n]`` blocks that follow each other without a gap; as many samples as went in.

        Raises:
            Canceled: ``should_stop`` said so.
            ModelError: a network gave something that is not a number (``non_finite_output``).
            InputError, DeviceError: from the source and the device.
        """
        self._began = time.monotonic()
        passes_sum = PassSum(len(self._passes))
        workers = self.options.jobs * max(each.network.streams for each in self._passes)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="separate")
        try:
            for unit, outputs in self._computed(iter(mix), pool, ahead=workers + 1):
                each = self._passes[unit.index]
                for segment, output in zip(unit.segments, outputs, strict=True):
                    passes_sum.add(unit.index, segment.start, each.adder.add(output) * each.gain)
                    self._tell()
                if (done := passes_sum.take()) is not None:
                    yield done * self._scale + self._offset
        finally:
            pool.shutdown(cancel_futures=True)  # what is being computed ends; what waits is dropped

    def _computed(
        self, source: Iterator[Samples], pool: ThreadPoolExecutor, *, ahead: int
    ) -> Iterator[tuple[_Unit, list[Samples]]]:
        """The output of every unit, in order; up to ``ahead`` of them are given to the pool at a time."""
        window: MixBuffer | None = None
        pending: deque[tuple[_Unit, Future[list[Samples]]]] = deque()
        while True:
            while len(pending) < ahead and (unit := self._next_unit()) is not None:
                self._stop_if_asked()
                last = unit.segments[-1]
                needed = min(self.stats.length, last.window_start + last.window_length)
                while window is None or window.end < needed:
                    block = next(source)
                    window = window or MixBuffer(block.shape[0])
                    window.append((block - self._offset) / self._scale)
                inputs = np.stack([window.read(each.window_start, each.window_length) for each in unit.segments])
                window.forget(self._earliest())
                pending.append((unit, pool.submit(self._separate, unit, inputs)))
            if not pending:
                return
            self._stop_if_asked()
            unit, future = pending.popleft()
            yield unit, future.result()

    def _pass(self, share: Share, shift: int) -> _Pass:
        network = self.bag.network(share.index)
        plan = Plan(
            start=-shift,
            end=self.stats.length,
            segment_length=(length := self._segment_length(share.index)),
            stride=stride_of(length, self.options.overlap),
            valid_length=self._valid_length(network, length),
        )
        gain = np.array(share.shares, dtype=np.float32)[:, None, None] / np.float32(max(1, self.options.shifts))
        return _Pass(share=share, network=network, plan=plan, gain=gain, adder=OverlapAdd(plan, triangle(length)))

    def _segment_length(self, index: int) -> int:
        own = self.bag.segment_of(index)
        chosen = self.options.segment or own
        if self.bag.network(index).facts.fixed_segment and chosen > own:
            raise OptionError(
                f"a segment of {chosen} s is longer than the {float(own)} s this model was trained on: choose at most that"
            )
        if int(chosen * self.sample_rate) < 1:
            raise OptionError(f"a segment of {chosen} s is less than one sample")
        return int(chosen * self.sample_rate)

    def _valid_length(self, network: Network, segment_length: int) -> Callable[[int], int]:
        """Demucs gives a transformer whole segments of the length asked for; the others say what they want."""
        if network.facts.fixed_segment and self.options.segment is not None:
            return lambda _length: segment_length
        return network.valid_length

    def _next_unit(self) -> _Unit | None:
        """What to compute next: of the pass that is furthest behind, as many segments as its network takes at once."""
        behind = [index for index, each in enumerate(self._passes) if each.next < len(each.plan)]
        if not behind:
            return None
        index = min(behind, key=lambda i: self._passes[i].plan[self._passes[i].next].start)
        each = self._passes[index]
        segments = [each.plan[each.next]]
        each.next += 1
        while len(segments) < each.network.batch and each.next < len(each.plan):
            following = each.plan[each.next]
            if following.window_length != segments[0].window_length:
                break
            segments.append(following)
            each.next += 1
        return _Unit(index=index, segments=tuple(segments))

    def _separate(self, unit: _Unit, mix: Samples) -> list[Samples]:
        with self._computing:
            outputs = self._passes[unit.index].network(mix)
        pieces = []
        for segment, output in zip(unit.segments, outputs, strict=True):
            # The network may give a little more or less than the window; what counts is centred, as in Demucs.
            margin = segment.margin - (segment.window_length - output.shape[-1]) // 2
            pieces.append(output[..., margin : margin + segment.length])
            if not np.isfinite(pieces[-1]).all():
                raise ModelError(
                    "the model gave values that are not numbers: its weights may be damaged; "
                    "try --precision exact, or verify it with `stemwright models verify`",
                    code="non_finite_output",
                )
        return pieces

    def _earliest(self) -> int:
        """The first sample of the mix that any segment still to come will read."""
        starts = [each.plan[i].window_start for each in self._passes for i in _to_come(each)]
        return min(starts, default=self.stats.length)

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
