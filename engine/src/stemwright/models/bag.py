"""A bag: several networks whose outputs are averaged, stem by stem (`demucs.apply.BagOfModels`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from stemwright.errors import ModelError
from stemwright.models.network import Network


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one network contributes to each source: its weight over the sum of all weights."""

    index: int
    shares: tuple[float, ...]


class Bag:
    """Networks by index, made when first asked for, so that one that is not needed is never loaded."""

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
        self._networks: dict[int, Network] = {}

    def network(self, index: int) -> Network:
        """Load network ``index``, once.

        Raises:
            ModelError: its sources are not those of the bag, or its checkpoint cannot be loaded.
        """
        if index not in self._networks:
            network = self._loaders[index]()
            if network.facts.sources != self.sources:
                raise ModelError(
                    f"network {index + 1} of the bag separates {list(network.facts.sources)}, not {self.sources}",
                    code="model_corrupt",
                )
            self._networks[index] = network
        return self._networks[index]

    def shares(self, stems: Sequence[str]) -> list[Share]:
        """The networks that have a say in any of ``stems``; a network whose weights are all 0 there is not run."""
        wanted = [self.sources.index(stem) for stem in stems]
        totals = [sum(column) for column in zip(*self._weights, strict=True)]
        return [
            Share(index=index, shares=tuple(value / total for value, total in zip(row, totals, strict=True)))
            for index, row in enumerate(self._weights)
            if any(row[source] for source in wanted)
        ]

    def complete(self, shares: Sequence[Share]) -> list[bool]:
        """For each source: whether these networks are all that have a say in it."""
        have = {share.index for share in shares}
        return [
            all(index in have for index, row in enumerate(self._weights) if row[source])
            for source in range(len(self.sources))
        ]

    def segment_of(self, index: int) -> float | Fraction:
        """Seconds that network ``index`` sees at once. A bag may lengthen it only where the network allows that."""
        facts = self.network(index).facts
        if self._segment is None:
            return facts.segment
        return self._segment if not facts.fixed_segment or self._segment <= facts.segment else facts.segment
