"""Which outputs a separation gives, and how each is made of the model's sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemwright.errors import OptionError
from stemwright.options import SeparationOptions

if TYPE_CHECKING:  # a caller who only asks for names needs no numpy
    from stemwright.audio.samples import Samples


@dataclass(frozen=True, kw_only=True)
class Output:
    """One stem as given: a weighted sum of sources, and of the mix."""

    name: str
    gains: tuple[float, ...]  # one per source of the model
    mix: float = 0.0


def choose_outputs(sources: Sequence[str], options: SeparationOptions) -> tuple[Output, ...]:
    """The outputs that the options ask of a model.

    Args:
        sources: The stems that the model has, in its order.
        options: Which of them are wanted, and how the rest is made.

    Raises:
        OptionError: The model has no such stem (``stem_unknown``).
    """
    names = tuple(options.stems or sources) if options.two_stems is None else (options.two_stems,)
    for name in names:
        if name not in sources:
            raise OptionError(f"the model has no stem {name!r}: it has {', '.join(sources)}", code="stem_unknown")
    chosen = tuple(Output(name=name, gains=_one(sources, name)) for name in dict.fromkeys(names))
    if options.two_stems is None or options.other_method == "none":
        return chosen
    alone = chosen[0].gains
    if options.other_method == "add":
        rest = Output(name=f"no_{options.two_stems}", gains=tuple(1.0 - gain for gain in alone))
    else:
        rest = Output(name=f"minus_{options.two_stems}", gains=tuple(-gain for gain in alone), mix=1.0)
    return (*chosen, rest)


def needed_sources(sources: Sequence[str], outputs: Sequence[Output]) -> tuple[str, ...]:
    """The sources that any of the outputs is made of: only these have to be computed."""
    return tuple(name for index, name in enumerate(sources) if any(output.gains[index] for output in outputs))


def compose(outputs: Sequence[Output], mix: Samples, sources: Samples) -> Samples:
    """Make the outputs ``[outputs, channels, n]`` of one block.

    Args:
        outputs: How each is made.
        mix: ``[channels, n]``.
        sources: ``[sources, channels, n]``, aligned with the mix.
    """
    import numpy as np

    made = []
    for output in outputs:
        parts = [sources[i] if gain == 1 else gain * sources[i] for i, gain in enumerate(output.gains) if gain]
        parts += [mix] if output.mix else []
        made.append(parts[0] if len(parts) == 1 else np.sum(parts, axis=0, dtype=np.float32))
    return np.stack(made)


def _one(sources: Sequence[str], name: str) -> tuple[float, ...]:
    return tuple(1.0 if source == name else 0.0 for source in sources)
