"""What is known of a model before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Origin = Literal["bundled", "folder", "hub", "package"]


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
    origin: Origin
    members: tuple[Member, ...]
    weights: tuple[tuple[float, ...], ...] | None = None  # a row per network, a column per source; None: all equal
    segment: float | None = None  # seconds; overrides what the networks say
    repository: str | None = None  # on the hub
    size: int | None = None  # bytes of its files together, where that is known beforehand
