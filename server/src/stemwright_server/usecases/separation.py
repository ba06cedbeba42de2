"""Separation models by the names that people know, such as htdemucs: there, each is a variation of some model here."""

from __future__ import annotations

from collections.abc import Sequence

from stemwright_server.domain.errors import InvalidRequest
from stemwright_server.ports.catalogue import Offer
from stemwright_server.usecases.parts import Parts

_SEPARATORS = ("demucs",)  # the offer whose variations count; without it, those of every offer


def separation_models(parts: Parts) -> Sequence[str]:
    """The names at hand."""
    return [variation.name for offer in separation_offers(parts) for variation in offer.variations()]


def separation_model(parts: Parts, name: str) -> tuple[str, str]:
    """The model and variation of a name. Raises InvalidRequest (unknown_model), naming those there are."""
    for offer in separation_offers(parts):
        if any(variation.name == name for variation in offer.variations()):
            return offer.name, name
    known = ", ".join(separation_models(parts)) or "none is installed"
    raise InvalidRequest(f"There is no model {name!r}; there is: {known}.", code="unknown_model")


def separation_offers(parts: Parts) -> Sequence[Offer]:
    """The offers whose variations they are."""
    offers = parts.catalogue.offers()
    return [offer for offer in offers if offer.name in _SEPARATORS] or offers
