"""A bag: several networks whose outputs are averaged, stem by stem (`demucs.apply.BagOfModels`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from stemwright.errors import ModelError
from stemwright.models.network import Facts, Network


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one network contributes to each source: its weight over the sum of all weights."""

    index: int
    shares: tuple[float, ...]


class Bag:
    """Networks by index, so that one that is not needed is never loaded. Whoever made the loaders keeps what is loaded."""

    def __init__(
        self,
        *,
        sources: Sequence[str],
        loaders: Sequence[Callable[[], Network]],
        weights: Sequence[Sequence[float]] | None = None,
        segment: float | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self._loaders = tuple(loaders)
        self._weights = tuple(tuple(row) for row in weights) if weights else ((1.0,) * len(sources),) * len(loaders)
        self._segment = segment

    def network(self, index: int) -> Network:
        """Network ``index`` as it is computed best by now.

        Raises:
            ModelError: Its sources are not those of the bag, or its checkpoint cannot be loaded.
        """
        network = self._loaders[index]()
        if network.facts.sources != self.sources:
            raise ModelError(
                f"network {index + 1} of the bag separates {list(network.facts.sources)}, not {self.sources}",
                code="model_corrupt",
            )
        return network

    def shares(self, stems: Sequence[str]) -> list[Share]:
        """The networks that contribute to any of ``stems``; one whose weights are all 0 there is not run."""
        wanted = [self.sources.index(stem) for stem in stems]
        totals = [sum(column) for column in zip(*self._weights, strict=True)]
        return [
            Share(index=index, shares=tuple(value / total for value, total in zip(row, totals, strict=True)))
            for index, row in enumerate(self._weights)
            if any(row[source] for source in wanted)
        ]

    def complete(self, shares: Sequence[Share]) -> bool:
        """Whether these networks are all that contribute to any source."""
        have = {share.index for share in shares}
        return all(index in have for index, row in enumerate(self._weights) if any(row))

    def segment_of(self, facts: Facts) -> float | Fraction:
        """Seconds that a network of the bag sees at once. A bag may lengthen it only where the network allows that."""
        if self._segment is None:
            return facts.segment
        return self._segment if not facts.fixed_segment or self._segment <= facts.segment else facts.segment
