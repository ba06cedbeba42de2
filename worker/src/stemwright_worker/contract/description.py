"""What a service offers, as data.

A service describes itself and its workers announce the description. The API checks params, knows the outputs and signs
their URLs by it, so it needs none of the service's code and none of its pins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemwright_worker.contract.service import STEM, OutputSpec, plain

SEPARATION = "separation"  # kind of model: a mix in, stems out


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How a file of one format is called and sent."""

    extension: str  # without a dot
    content_type: str

    def __post_init__(self) -> None:
        """Raises ValueError for an extension that cannot be part of a storage key."""
        plain(self.extension, "extension")


@dataclass(frozen=True, kw_only=True)
class OutputRule:
    """A file that a run makes if its params say so."""

    name: str  # for example "vocals"; unique within a model
    filename: str  # for example "peaks.json", or "vocals.{extension}" if the format decides
    content_type: str = ""  # empty: the format's
    role: str = STEM
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # made only if each param has one of its values
    listed_in: str = ""  # made only if this param is null or lists the name

    def __post_init__(self) -> None:
        """Raises ValueError for a name that cannot be part of a storage key, or a filename that asks for more."""
        plain(self.name, "output")
        try:
            filename = self.filename.format(extension="x")
        except (LookupError, AttributeError, ValueError) as error:
            raise ValueError(f"output file {self.filename!r} has more in braces than {{extension}}") from error
        plain(filename, "output file")

    def applies(self, params: Mapping[str, Any]) -> bool:
        """Whether a run with these complete params makes the file."""
        listed = params.get(self.listed_in) if self.listed_in else None
        if listed is not None and self.name not in listed:
            return False
        return all(params.get(name) in values for name, values in self.when.items())


@dataclass(frozen=True, kw_only=True)
class InputRule:
    """What a run of a model takes in."""

    least: int = 1  # inputs; 0: the params alone are enough, as for a prompt
    most: int = 1
    kind: str = "audio"


@dataclass(frozen=True, kw_only=True)
class ModelLimits:
    """What one model takes, within what the service takes. None: as much as the service does."""

    max_seconds: float | None = None  # of decoded audio
    max_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a model cannot be asked for on this machine now."""

    code: str  # a stable word
    message: str  # what is wrong and what to do


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A model of a service, for example the weights ``htdemucs_ft`` of the service ``demucs``."""

    name: str
    description: str
    licence: str  # of the weights, in words a person can act on
    kind: str = SEPARATION  # or "transcription", "generation" ...; an API for one kind offers no other
    params: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema of the params it takes, defaults included
    inputs: InputRule = InputRule()
    outputs: tuple[OutputRule, ...] = ()
    formats: Mapping[str, FileFormat] = field(default_factory=dict)  # by the value of the param ``format``
    limits: ModelLimits = ModelLimits()
    default: bool = False  # taken when a request names no model
    revision: str = ""  # of the weights; other weights under the same name are other work
    refusal: Refusal | None = None
    weights_here: bool = True  # False: they are fetched on first use
    weights_bytes: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a name that cannot be part of a storage key."""
        plain(self.name, "model")

    @property
    def default_outputs(self) -> tuple[str, ...]:
        """The names of what it makes when nothing else is asked, for example the stems."""
        defaults = {name: rule.get("default") for name, rule in self.params.get("properties", {}).items()}
        return tuple(each.name for each in self.outputs_of(defaults))

    def outputs_of(self, params: Mapping[str, Any]) -> tuple[OutputSpec, ...]:
        """The files that a run with these complete params makes, in the order of the rules."""
        kind = self.formats.get(str(params.get("format")))
        return tuple(
            OutputSpec(
                name=rule.name,
                filename=rule.filename.format(extension=kind.extension if kind is not None else ""),
                content_type=rule.content_type
                or (kind.content_type if kind is not None else "application/octet-stream"),
                role=rule.role,
            )
            for rule in self.outputs
            if rule.applies(params)
        )


@dataclass(frozen=True, kw_only=True)
class ServiceDescription:
    """A service and its models."""

    name: str  # for example "demucs"
    version: str  # of its distribution
    models: tuple[ModelDescription, ...] = ()
    stages: tuple[str, ...] = ()  # words its progress uses beside fetching, loading and uploading

    def __post_init__(self) -> None:
        """Raises ValueError for a name that cannot be part of a storage key."""
        plain(self.name, "service")
