"""What a service offers: its models, and the files that a run of one will make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

STEM = "stem"  # role of an output: what was asked for
PEAKS = "peaks"  # role of an output: waveforms of the stems, to be drawn

# Names become parts of storage keys and of URLs, so they are plain from the start.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def plain(name: str, what: str) -> str:
    """``name`` itself if it is safe in a storage key; ValueError names ``what`` otherwise."""
    if PLAIN_NAME.fullmatch(name) is None:
        raise ValueError(
            f"{what} {name!r} has to be 1 to 100 letters, digits, '_', '-' and '.', none of the last two first"
        )
    return name


@dataclass(frozen=True, kw_only=True)
class ServiceModel:
    """A model of a service, for example the weights ``htdemucs_ft`` of the service ``demucs``."""

    name: str
    description: str
    outputs: tuple[str, ...]  # names of what it makes when nothing else is asked, for example the stems
    licence: str  # of the weights, in words a person can act on
    params: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema of the params it takes, defaults included
    default: bool = False  # taken when a request names no model

    def __post_init__(self) -> None:
        plain(self.name, "model")


@dataclass(frozen=True, kw_only=True)
class OutputSpec:
    """One file that a run will make, known before the run so that its upload URL can be signed ahead."""

    name: str  # for example "vocals"; unique within a run
    filename: str  # for example "vocals.flac"; the last part of its storage key
    content_type: str
    role: str = STEM  # anything else is an extra file that no dialect lists among the results

    def __post_init__(self) -> None:
        plain(self.name, "output")
        plain(self.filename, "output file")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is: ``done`` of ``total`` segments, and what is being done."""

    done: int
    total: int  # 0 while not known yet
    stage: str = "separating"  # a short word: loading, fetching, separating, encoding, uploading ...
    message: str = ""
    eta_seconds: float | None = None  # left empty by a model: the worker measures it

    @property
    def percent(self) -> float:
        """0 to 100, one decimal."""
        return round(100 * min(self.done, self.total) / self.total, 1) if self.total else 0.0


class Offer(Protocol):
    """The half of a service that the API needs: a description, cheap to ask and free of heavy imports."""

    @property
    def name(self) -> str: ...

    def models(self) -> Sequence[ServiceModel]:
        """What can be asked for. May look at the disk (a folder of models), never at the network."""
        ...

    def check(self, model: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The complete params (defaults filled in, canonical spelling) of a request, as JSON values.

        Two requests for the same work give equal results: the server finds finished work by them.
        Raises an exception with ``code`` and a one-line message when the model is unknown or a param is wrong.
        """
        ...

    def outputs(self, model: str, params: Mapping[str, Any]) -> tuple[OutputSpec, ...]:
        """The files a run will make, for params as ``check`` returned them."""
        ...
