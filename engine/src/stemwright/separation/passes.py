"""The passes of a run, each one network at one shift over the whole mix, and which of their segments comes next."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stemwright.audio.samples import Samples
from stemwright.errors import OptionError
from stemwright.models.network import Network
from stemwright.separation.buffers import OverlapAdd
from stemwright.separation.recipe import Recipe
from stemwright.separation.segments import Plan, Segment, stride_of, triangle

_LONGEST_SHIFT = 0.5  # seconds, as in `demucs.apply.apply_model`


@dataclass(kw_only=True)
class Pass:
    """One network at one shift, and how far it is."""

    network: Network
    plan: Plan
    weight: Samples  # [sources, 1, 1]: what this pass contributes to the ensemble average
    overlap_add: OverlapAdd
    next: int = 0  # the first segment that was not given to the network yet


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Segments of one pass that follow each other and go through its network in one call."""

    index: int  # of the pass
    segments: tuple[Segment, ...]


def segment_length(recipe: Recipe, network: Network) -> int:
    """Samples that a network of the recipe sees at once.

    Raises:
        OptionError: The segment that the options ask for is longer than the network allows, or below one sample.
    """
    own = recipe.bag.segment_of(network.facts)
    chosen = recipe.options.segment or own
    if network.facts.fixed_segment and chosen > own:
        raise OptionError(
            f"a segment of {chosen} s is longer than the {float(own)} s this model was trained on: choose at most that"
        )
    length = int(chosen * network.facts.samplerate)
    if length < 1:
        raise OptionError(f"a segment of {chosen} s is less than one sample")
    return length


def passes_over(recipe: Recipe, networks: Sequence[Network], length: int) -> list[Pass]:
    """All passes over a mix.

    Args:
        recipe: What the run is.
        networks: The loaded network of each of the recipe's shares.
        length: Samples of the mix.

    Raises:
        OptionError: As `segment_length`.
    """
    options = recipe.options
    made = []
    for share, network in zip(recipe.shares, networks, strict=True):
        size = segment_length(recipe, network)
        weight = np.array(share.shares, dtype=np.float32)[:, None, None] / np.float32(max(1, options.shifts))
        for shift in _shifts(options.shifts, options.seed, network.facts.samplerate):
            plan = Plan(
                start=-shift,
                end=length,
                segment_length=size,
                stride=stride_of(size, options.overlap),
                valid_length=_valid_length(recipe, network, size),
            )
            made.append(Pass(network=network, plan=plan, weight=weight, overlap_add=OverlapAdd(plan, triangle(size))))
    return made


def next_batch(passes: Sequence[Pass]) -> Batch | None:
    """What to compute next: of the pass that is furthest behind, as many segments as its network takes at once."""
    unfinished = [index for index, each in enumerate(passes) if each.next < len(each.plan)]
    if not unfinished:
        return None
    index = min(unfinished, key=lambda i: passes[i].plan[passes[i].next].start)
    each = passes[index]
    segments = [each.plan[each.next]]
    each.next += 1
    while len(segments) < each.network.batch and each.next < len(each.plan):
        following = each.plan[each.next]
        if following.window_length != segments[0].window_length:
            break
        segments.append(following)
        each.next += 1
    return Batch(index=index, segments=tuple(segments))


def first_needed(passes: Sequence[Pass]) -> int:
    """The first sample of the mix that any segment still to come reads."""
    return min(each.plan.first_needed(each.next) for each in passes)


def _valid_length(recipe: Recipe, network: Network, size: int) -> Callable[[int], int]:
    """Demucs gives a transformer whole segments of the length asked for; other networks say what they want."""
    if network.facts.fixed_segment and recipe.options.segment is not None:
        return lambda _length: size
    return network.valid_length


def _shifts(count: int, seed: int, sample_rate: int) -> list[int]:
    """Samples of silence before the mix in each pass over it; the same seed gives the same shifts."""
    if count == 0:
        return [0]
    longest = int(_LONGEST_SHIFT * sample_rate)
    generator = random.Random(seed)  # noqa: S311 (nothing secret: it only has to repeat)
    return [longest - generator.randint(0, longest) for _ in range(count)]
