"""One run of a recipe: the outputs of a mix, block by block, and what is measured of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemwright.audio.samples import Samples
from stemwright.options import OnProgress, ShouldStop
from stemwright.separation.mix_stats import MixStats
from stemwright.separation.outputs import compose
from stemwright.separation.recipe import Recipe
from stemwright.separation.report import FidelityMeter
from stemwright.separation.stream import Stream


class Run:
    """Separates one mix, makes the outputs of its sources, and measures both."""

    def __init__(
        self, recipe: Recipe, *, on_progress: OnProgress | None = None, should_stop: ShouldStop | None = None
    ) -> None:
        """Load the networks that the recipe needs.

        Args:
            recipe: What the run is.
            on_progress: Called after each segment.
            should_stop: Asked before each segment; true ends the separation.

        Raises:
            ModelError, MissingExtraError, OptionError: As `Stream`.
        """
        self.recipe = recipe
        self.stream = Stream(recipe, on_progress=on_progress, should_stop=should_stop)
        self.sources_meter = FidelityMeter(recipe.bag.sources, complete=recipe.complete)
        self.outputs_meter = FidelityMeter(recipe.stems, complete=False)

    def blocks(self, mix: Iterable[Samples], stats: MixStats) -> Iterator[Samples]:
        """Separate the blocks of a mix.

        Args:
            mix: Blocks ``[channels, n]`` at the stream's sample rate.
            stats: Of the whole mix.

        Yields:
            Blocks ``[outputs, channels, n]``; as many samples as went in.

        Raises:
            Canceled, ModelError, InputError, DeviceError: As `Stream.blocks`.
        """
        delay = _Delay(mix)
        for sources in self.stream.blocks(delay.blocks(), stats):
            original = delay.take(sources.shape[-1])
            made = compose(self.recipe.outputs, original, sources)
            self.sources_meter.add(original, sources)
            self.outputs_meter.add(original, made)
            yield made


class _Delay:
    """Delays the mix by as much as the separation does: blocks are kept until their sources come out."""

    def __init__(self, mix: Iterable[Samples]) -> None:
        self._mix = mix
        self._kept: list[Samples] = []

    def blocks(self) -> Iterator[Samples]:
        """The blocks of the mix, kept as they pass."""
        for block in self._mix:
            self._kept.append(block)
            yield block

    def take(self, count: int) -> Samples:
        """The next ``count`` samples of the mix, which have passed before."""
        kept = self._kept[0] if len(self._kept) == 1 else np.concatenate(self._kept, axis=-1)
        self._kept = [kept[:, count:]]
        return kept[:, :count]
