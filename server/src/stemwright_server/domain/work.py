"""What is to be done: a model of a service, complete params, and the files that will come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stemwright_worker.contract.description import (
    SEPARATION,
    InputRule,
    ModelDescription,
    ModelLimits,
    ServiceDescription,
)
from stemwright_worker.contract.service import OutputSpec
from stemwright_worker.errors import InvalidRequest, TooLarge

DEFAULT_MODEL = "default"  # may be said instead of naming none


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a job does, resolved once: nobody looks a model up again, or its params."""

    service: str
    model: str
    params: Mapping[str, Any]  # complete and canonical: equal for equal work
    outputs: tuple[OutputSpec, ...]  # what a run will make
    inputs: InputRule
    limits: ModelLimits

    def check_count(self, inputs: int) -> None:
        """Raise InvalidRequest (code ``bad_inputs``) for a number of inputs that the model does not take."""
        least, most = self.inputs.least, self.inputs.most
        if not least <= inputs <= most:
            takes = "no input" if most == 0 else f"{least} inputs" if least == most else f"{least} to {most} inputs"
            takes = takes.replace("1 inputs", "1 input")
            raise InvalidRequest(
                f"The model {self.model!r} of {self.service!r} takes {takes}, not {inputs}.", code="bad_inputs"
            )

    def check_input(self, filename: str, *, size: int | None = None, seconds: float | None = None) -> None:
        """Raise TooLarge for an input over the model's limits, as far as size (bytes) and length are known."""
        if self.limits.max_bytes is not None and size is not None and size > self.limits.max_bytes:
            raise TooLarge(
                f"{filename!r} has {size} bytes; the model {self.model!r} takes at most {self.limits.max_bytes}."
            )
        if self.limits.max_seconds is not None and seconds is not None and seconds > self.limits.max_seconds:
            raise TooLarge(
                f"{filename!r} is {seconds:.0f} s long; the model {self.model!r} takes at most "
                f"{self.limits.max_seconds:.0f} s.",
                code="too_long",
            )


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A model, and the service it belongs to."""

    service: str
    model: ModelDescription


def askable(services: Sequence[ServiceDescription]) -> list[ServiceDescription]:
    """The services with those of their models that may be asked for now; one that has none is left out.

    What is left out is announced and refused, for example for a licence that nobody accepted: who asks for it all the same
    is told so.
    """
    left = (replace(each, models=tuple(model for model in each.models if not model.refusal)) for each in services)
    return [each for each in left if each.models]


def offered(services: Sequence[ServiceDescription], kind: str = SEPARATION) -> list[Offered]:
    """The models of a kind, of whichever service."""
    return [
        Offered(service=service.name, model=model)
        for service in services
        for model in service.models
        if model.kind == kind
    ]


def find(services: Sequence[ServiceDescription], service: str, model: str | None) -> Offered:
    """A model by its service and name; the service's default where none is named, or "default".

    Raises:
        InvalidRequest: there is no such service (``unknown_model``) or no such model of it (``unknown_variation``).
    """
    found = next((each for each in services if each.name == service), None)
    if found is None:
        known = ", ".join(each.name for each in askable(services)) or "none is installed"
        raise InvalidRequest(f"There is no model {service!r}; there is: {known}.", code="unknown_model")
    if not found.models:
        raise InvalidRequest(f"The model {service!r} has no variation at hand.", code="unknown_variation")
    if model in (None, "", DEFAULT_MODEL):
        return Offered(service=service, model=_default(found.models))
    named = next((each for each in found.models if each.name == model), None)
    if named is None:
        known = (
            ", ".join(each.name for service in askable([found]) for each in service.models) or "none to be asked for"
        )
        raise InvalidRequest(
            f"The model {service!r} has no variation {model!r}; it has: {known}.", code="unknown_variation"
        )
    return Offered(service=service, model=named)


def find_by_name(services: Sequence[ServiceDescription], name: str, kind: str = SEPARATION) -> Offered:
    """A model of a kind by the name that people know it by, such as htdemucs; a service's name means its default.

    Raises:
        InvalidRequest: there is none (``unknown_model``); those there are are named.
    """
    known = offered(services, kind)
    named = [each for each in known if each.model.name == name]
    if named:
        return named[0]
    of_service = [each.model for each in known if each.service == name]
    if of_service:
        return Offered(service=name, model=_default(of_service))
    words = ", ".join(each.model.name for each in offered(askable(services), kind)) or "none is installed"
    raise InvalidRequest(f"There is no model {name!r}; there is: {words}.", code="unknown_model")


def _default(models: Sequence[ModelDescription]) -> ModelDescription:
    return next((each for each in models if each.default), models[0])
