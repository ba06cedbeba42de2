"""Separation of a stream: blocks of the mix in, blocks of the sources out, in memory that does not grow.

The passes advance side by side, always the one that is furthest behind, so that only about one segment of input and of
output is held, however long the mix is. While the networks compute the next segments, the last ones are added up,
measured and encoded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from stemwright.audio.samples import Samples
from stemwright.errors import Canceled, ModelError
from stemwright.models.network import Network
from stemwright.options import OnProgress, Progress, ShouldStop
from stemwright.separation.buffers import MixBuffer, PassSum
from stemwright.separation.mix_stats import MixStats
from stemwright.separation.passes import Batch, Pass, first_needed, next_batch, passes_over, segment_length
from stemwright.separation.recipe import Recipe
from stemwright.separation.stopwatch import Stopwatch

_SEEN = 5e-3  # of full scale: -46 dB


class Stream:
    """The loaded networks of a recipe, for one mix: iterate over `blocks`. The counters are for the report."""

    def __init__(
        self, recipe: Recipe, *, on_progress: OnProgress | None = None, should_stop: ShouldStop | None = None
    ) -> None:
        """Load the networks that the recipe needs.

        Args:
            recipe: What the run is.
            on_progress: Called after each segment.
            should_stop: Asked before each segment; true ends the separation.

        Raises:
            ModelError: A network cannot be had or loaded.
            MissingExtraError: A network needs a package that is not installed.
            OptionError: The segment length that was asked for does not fit a network.
        """
        self._recipe, self._on_progress, self._should_stop = recipe, on_progress, should_stop
        self.networks = [recipe.bag.network(share.index) for share in recipe.shares]
        for network in self.networks:
            segment_length(recipe, network)  # what does not fit is said before the first sample is read
        self.sample_rate = self.networks[0].facts.samplerate  # Hz
        self.channels = self.networks[0].facts.audio_channels
        self.segments_total = 0  # known once `blocks` has begun
        self._computing = Stopwatch()

    @property
    def model_seconds(self) -> float:
        """How long networks have been computing, one or several at a time."""
        return self._computing.seconds

    def blocks(self, mix: Iterable[Samples], stats: MixStats) -> Iterator[Samples]:
        """Separate the blocks of a mix.

        Args:
            mix: Blocks ``[channels, n]`` at `sample_rate`.
            stats: Of the whole mix.

        Yields:
            Blocks ``[sources, channels, n]`` that follow each other without a gap; as many samples as went in.

        Raises:
            Canceled: ``should_stop`` said so.
            ModelError: A network gave something that is not a number (``non_finite_output``).
            InputError: From ``mix``.
            DeviceError: The device has not enough memory even for one segment.
        """
        passes = passes_over(self._recipe, self.networks, stats.length)
        self.segments_total = sum(len(each.plan) for each in passes)
        offset, scale = self._normalisation(stats)
        offset_of_each = offset / np.float32(len(self._recipe.bag.sources)) if self._shares_offset else offset
        average = PassSum(len(passes))
        workers = self._recipe.options.jobs * max(network.streams for network in self.networks)
        pool = ThreadPoolExecutor(workers, thread_name_prefix="separate")
        began, done = time.monotonic(), 0
        try:
            normalised = ((block - offset) / scale for block in mix)
            # One batch more than there are workers is given to the pool, so that none of them waits for this thread.
            for batch, outputs in self._computed(passes, normalised, stats.length, pool, ahead=workers + 1):
                # Overlapping segments of a pass are added up, and what is settled of it goes into the average.
                each = passes[batch.index]
                for segment, output in zip(batch.segments, outputs, strict=True):
                    average.add(batch.index, segment.start, each.overlap_add.add(output) * each.weight)
                    done += 1
                    self._tell(done, began)
                # What every pass has reached is done.
                if (settled := average.take()) is not None:
                    yield settled * scale + offset_of_each
        finally:
            pool.shutdown(cancel_futures=True)  # what is being computed ends; what waits is dropped

    @property
    def _shares_offset(self) -> bool:
        wanted = self._recipe.options.dc_offset
        return wanted == "shared" or (wanted == "auto" and self.networks[0].facts.shares_offset)

    def offset_note(self, stats: MixStats) -> str | None:
        """What to say of a DC offset that can be seen in the stems; None: there is none."""
        offset, _ = self._normalisation(stats)
        if abs(offset) < _SEEN:
            return None
        how = "each stem has its share of it" if self._shares_offset else "each stem has all of it, as Demucs does"
        return f"the mix has a DC offset of {offset:+.4f} of full scale: {how} (dc_offset)"

    def _computed(
        self, passes: Sequence[Pass], mix: Iterator[Samples], length: int, pool: ThreadPoolExecutor, *, ahead: int
    ) -> Iterator[tuple[Batch, list[Samples]]]:
        """The output of every batch, in order; up to ``ahead`` of them are given to the pool at a time."""
        buffer = MixBuffer(self.channels)
        pending: deque[tuple[Batch, Future[list[Samples]]]] = deque()
        while True:
            while len(pending) < ahead and (batch := next_batch(passes)) is not None:
                self._stop_if_asked()
                while buffer.end < min(length, batch.segments[-1].window_end):
                    buffer.append(next(mix))
                inputs = np.stack([buffer.read(each.window_start, each.window_length) for each in batch.segments])
                buffer.forget(first_needed(passes))
                pending.append((batch, pool.submit(self._compute, passes[batch.index].network, batch, inputs)))
            if not pending:
                return
            self._stop_if_asked()
            batch, future = pending.popleft()
            yield batch, future.result()

    def _compute(self, network: Network, batch: Batch, inputs: Samples) -> list[Samples]:
        """The sources of each segment, ``[sources, channels, n]``, of ``inputs`` ``[segments, channels, window]``."""
        with self._computing:
            outputs = network(inputs)
        pieces = [segment.cut(output) for segment, output in zip(batch.segments, outputs, strict=True)]
        if not all(np.isfinite(piece).all() for piece in pieces):
            raise ModelError(
                "the model gave values that are not numbers: its weights may be damaged; "
                "try --precision exact, or verify it with `stemwright models verify`",
                code="non_finite_output",
            )
        return pieces

    def _normalisation(self, stats: MixStats) -> tuple[np.float32, np.float32]:
        """Offset and scale that bring the mix to mean 0 and deviation 1, where the networks want that."""
        if not self.networks[0].facts.normalises:
            return np.float32(0.0), np.float32(1.0)
        return np.float32(stats.mean), np.float32(stats.std + 1e-8)

    def _stop_if_asked(self) -> None:
        if self._should_stop is not None and self._should_stop():
            raise Canceled("the separation was canceled")

    def _tell(self, done: int, began: float) -> None:
        if self._on_progress is None:
            return
        elapsed = time.monotonic() - began
        remaining = elapsed / done * (self.segments_total - done)
        self._on_progress(
            Progress(segments_done=done, segments_total=self.segments_total, elapsed=elapsed, remaining=remaining)
        )
