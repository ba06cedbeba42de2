"""Which models there are and what they offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from stemwright_server.domain.offer import OutputSpec, Variation


class Offer(Protocol):
    """The half of a model that the API needs: a description, cheap to ask and free of heavy imports."""

    @property
    def name(self) -> str: ...

    def variations(self) -> Sequence[Variation]:
        """What can be asked for. May look at the disk (a folder of models), never at the network."""
        ...

    def check(self, variation: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """The complete params (defaults filled in, canonical spelling) of a request, as JSON values.

        Two requests for the same work give equal results: the server finds finished work by them.
        Raises an exception with ``code`` and a one-line message when the variation is unknown or a param is wrong.
        """
        ...

    def outputs(self, variation: str, params: Mapping[str, Any]) -> tuple[OutputSpec, ...]:
        """The files a run will make, for params as ``check`` returned them."""
        ...


class Catalogue(Protocol):
    """The models at hand, by name."""

    def offers(self) -> Sequence[Offer]: ...

    def offer(self, name: str) -> Offer | None: ...
