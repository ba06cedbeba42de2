"""What is known of a model before it is loaded, and what a place that models come from has to offer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stemwright.checkpoints.checkpoint import Checkpoint

OnFetch = Callable[[str], None]
"""Told in a line what is fetched from where."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One network of a bag."""

    signature: str
    path: Path | None  # where its file lies; None: on the hub, maybe in its cache
    sha256: str | None = None  # that the file must have, where its bag says so


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model by name: a bag of one or more networks."""

    name: str
    description: str
    sources: tuple[str, ...]  # the stems, in the network's order
    licence: str
    source: Source = field(repr=False, compare=False)  # where its weights come from
    members: tuple[Member, ...]
    weights: tuple[tuple[float, ...], ...] | None = None  # a row per network, a column per source; None: all equal
    segment: float | None = None  # seconds; overrides what the networks say
    repository: str | None = None  # on the hub
    size: int | None = None  # bytes of its files together, where that is known beforehand
    restricted: bool = False  # its weights are not free for every use: a service asks whether they may be used

    @property
    def origin(self) -> str:
        """Where it comes from, in a word: ``folder``, ``bundled``, ``hub`` or ``package``."""
        return self.source.origin


class Source(Protocol):
    """A place that models come from. Needs no torch until weights are loaded."""

    @property
    def origin(self) -> str:
        """The place in a word."""

    @property
    def place(self) -> str:
        """The place for people, as what follows "looked"."""

    def names(self) -> Sequence[str]:
        """The models there are, without looking into any."""

    def find(self, name: str) -> ModelInfo:
        """One of ``names``.

        Raises:
            ModelError: Its files are not what they should be.
        """

    def cached(self, model: ModelInfo, member: Member) -> Checkpoint | None:
        """The weights of one network, if they are on this machine already."""

    def obtain(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """The weights of one network, fetched if they are not here yet.

        Raises:
            ModelError: They cannot be had (``model_unavailable``) or are not what was published (``model_corrupt``).
            MissingExtraError: They come with a package that is not installed.
        """

    def renew(self, model: ModelInfo, member: Member, on_fetch: OnFetch | None = None) -> Checkpoint:
        """As `obtain`, and checked; what was fetched once and is damaged now is fetched again.

        Raises:
            ModelError: As `obtain`; a file in a folder of the caller's own is checked, and left as it is.
            MissingExtraError: As `obtain`.
        """
