"""Separation models by the names that people know, such as htdemucs: there, each is a variation of some model here."""

from __future__ import annotations

from collections.abc import Sequence

from stemwright_server.usecases.deps import Deps
from stemwright_worker.contract.service import Offer
from stemwright_worker.errors import InvalidRequest

_SEPARATORS = ("demucs",)  # the offer whose variations count; without it, those of every offer


def separation_models(deps: Deps) -> Sequence[str]:
    """The names at hand."""
    return [model.name for offer in separation_offers(deps) for model in offer.models()]


def separation_model(deps: Deps, name: str) -> tuple[str, str]:
    """The model and variation of a name. Raises InvalidRequest (unknown_model), naming those there are."""
    for offer in separation_offers(deps):
        if any(model.name == name for model in offer.models()):
            return offer.name, name
    known = ", ".join(separation_models(deps)) or "none is installed"
    raise InvalidRequest(f"There is no model {name!r}; there is: {known}.", code="unknown_model")


def separation_offers(deps: Deps) -> Sequence[Offer]:
    """The offers whose variations they are."""
    offers = deps.catalogue.offers()
    return [offer for offer in offers if offer.name in _SEPARATORS] or offers
