"""What a run is, resolved once from a model and the options, and passed down: nothing below it chooses again."""

from __future__ import annotations

from dataclasses import dataclass

from stemwright.models.bag import Bag, Share
from stemwright.options import SeparationOptions
from stemwright.separation.outputs import Output, choose_outputs, needed_sources


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model and what is wanted of it. No network is loaded for it; sample rate and channels come with the networks."""

    bag: Bag
    options: SeparationOptions
    outputs: tuple[Output, ...]  # the stems that are given, in this order
    shares: tuple[Share, ...]  # the networks that are run, and what each contributes to each source

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return tuple(output.name for output in self.outputs)

    @property
    def complete(self) -> bool:
        """Whether every source of the model is computed in full, so that all of them sum to the mix."""
        return self.bag.complete(self.shares)


def resolve(bag: Bag, options: SeparationOptions) -> Recipe:
    """The recipe of a run.

    Args:
        bag: The model's networks.
        options: What is wanted of them.

    Returns:
        The outputs, and of the networks those whose weight in any of the outputs is not 0.

    Raises:
        OptionError: The model has no such stem (``stem_unknown``).
    """
    outputs = choose_outputs(bag.sources, options)
    return Recipe(
        bag=bag,
        options=options,
        outputs=outputs,
        shares=tuple(bag.shares(needed_sources(bag.sources, outputs))),
    )
