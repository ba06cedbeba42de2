"""What is known of a kind of network, as one value: how it is made, what it is, and what backends may do with it.

The rest of the engine asks this value and never looks at the class of a network. Needs no torch: what does is imported
when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from stemwright.errors import ModelError
from stemwright.models.network import Computation, Facts, Network, Samples

if TYPE_CHECKING:
    import torch
    from torch import nn

    from stemwright.models.core import CoreModule

RunCore = Callable[[Samples, Samples], tuple[Samples, Samples]]
"""A core that was compiled or converted: arrays as `CoreModule.inputs` gives them, to what `CoreModule` gives."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The class of a network and what it is made with, as a checkpoint names them."""

    klass: str  # with its module, as in "demucs.htdemucs.HTDemucs"; a name, never imported because a file says so
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """The stems, in the network's order.

        Raises:
            ModelError: They are not named (``model_corrupt``).
        """
        given = self.kwargs.get("sources", self.args[0] if self.args else None)
        if not isinstance(given, list | tuple) or not given or not all(isinstance(name, str) for name in given):
            raise ModelError("a checkpoint does not name its stems", code="model_corrupt")
        return tuple(given)


class AroundCore(Protocol):
    """Makes a network of a core: `Core.network`."""

    def __call__(
        self, run: RunCore, arguments: Arguments, *, computation: Computation, notes: tuple[str, ...], threads: int
    ) -> Network:
        """A network made with ``arguments`` whose core is computed by ``run``, and the rest on so many threads.

        Needs no torch.
        """


@dataclass(frozen=True, kw_only=True)
class Core:
    """The part of a network that backends compile or convert: all that is learnt, for one segment.

    What stands around it, as the transforms do, is computed without torch.
    """

    module: Callable[[nn.Module], CoreModule]
    """A copy of the core of a network, as a module of its own."""

    network: AroundCore


def _anything(_arguments: Arguments) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A kind of network."""

    name: str  # for people
    build: Callable[[Arguments], nn.Module]
    """A network with these arguments. Its module has the attributes that `facts` reads, and takes ``[B, channels, samples]``
    to ``[B, sources, channels, samples]``; ``valid_length(samples)``, where it has one, says what it wants to be given."""

    klasses: tuple[str, ...] = ()  # the classes in checkpoints that mean it; empty: no checkpoint names it
    unsupported: Callable[[Arguments], str | None] = _anything
    """What is asked for that is not written here, in words; None: nothing. Another architecture may take it then."""

    fixed_segment: bool = False  # as in `Facts`
    normalises: bool = True  # as in `Facts`
    shares_offset: bool = False  # as in `Facts`
    lower: Callable[[nn.Module, torch.dtype], None] | None = None
    """Lets a network, or layers of one, multiply in 16 bits from now on. None: it computes under autocast instead."""

    core: Core | None = None  # None: torch computes it as it is
    code: str = (
        ""  # file or folder of this package that a built network depends on; what was built of another is not used
    )

    def facts(self, module: nn.Module) -> Facts:
        """What is known of a network of this kind, from the attributes that Demucs's networks have."""
        return Facts(
            sources=tuple(module.sources),  # type: ignore[arg-type]
            samplerate=int(module.samplerate),  # type: ignore[arg-type]
            audio_channels=int(module.audio_channels),  # type: ignore[arg-type]
            segment=module.segment,  # type: ignore[arg-type]
            fixed_segment=self.fixed_segment,
            normalises=self.normalises,
            shares_offset=self.shares_offset,
        )


@dataclass(frozen=True, kw_only=True)
class LoadedModule:
    """A network with its weights, as torch computes it, and of which kind it is."""

    module: nn.Module  # ready for inference
    architecture: Architecture

    @property
    def facts(self) -> Facts:
        """What it is."""
        return self.architecture.facts(self.module)


class Architectures:
    """The kinds of networks that checkpoints may name."""

    def __init__(self, *architectures: Architecture) -> None:
        """``architectures``: of several that the same class means, the first that is written for the arguments is taken."""
        self._architectures = architectures
        self.klasses = frozenset(klass for each in architectures for klass in each.klasses)

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self._architectures)

    def of(self, arguments: Arguments) -> Architecture:
        """The kind of network that these arguments ask for.

        Raises:
            ValueError: There is none, with the reasons.
        """
        reasons = []
        for each in self._architectures:
            if arguments.klass in each.klasses:
                if (reason := each.unsupported(arguments)) is None:
                    return each
                reasons.append(f"{each.name}: {reason}")
        raise ValueError("; ".join([f"{arguments.klass!r} is not a network that may be made", *reasons]))
