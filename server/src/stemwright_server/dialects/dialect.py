"""What a dialect is: an HTTP API of its own over the use cases that all share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from stemwright_server.http.error_shape import ErrorShape
from stemwright_server.settings_section import Section

if TYPE_CHECKING:  # the settings are read by commands that serve nothing, and must stay light
    from fastapi import APIRouter

    from stemwright_server.http.callers import Callers
    from stemwright_server.http.rates import Rates
    from stemwright_server.http.socketio import EventSource
    from stemwright_server.ports.auth import Authenticator
    from stemwright_server.ports.deliveries import WebhookBody
    from stemwright_server.ports.wakeups import WakeUps
    from stemwright_server.usecases.deps import Deps
    from stemwright_worker.ports.sources import SourceFetcher

S = TypeVar("S", bound=Section)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every dialect makes its routes of."""

    deps: Deps
    callers: Callers
    rates: Rates
    wakeups: WakeUps
    sources: Mapping[str, SourceFetcher]  # of callers' links, by name; one that is missing is turned off
    webhooks: Collection[str] | None  # URLs that may be told of a job's end; None: there is no key to sign with
    origins: Collection[str] = ()  # of pages that may connect beside those of the host they connect to


@dataclass(frozen=True, kw_only=True)
class Dialect(Generic[S]):
    """One folder of this package says everything about it in this value, ``DIALECT`` of its ``__init__``.

    The functions import what they need when they are called, so that reading the settings imports no web framework.
    """

    name: str  # of its folder, of its routes' tag, of its jobs (``JobOptions.dialect``) and of its webhooks
    routes: Callable[[Context, S], APIRouter]
    settings: type[S] | None = None  # its section; the settings that ``routes`` and ``is_on`` get have its fields
    is_on: Callable[[S], bool] = lambda settings: True
    routes_when_off: Callable[[], APIRouter] | None = None  # what is answered all the same
    error_shapes: tuple[ErrorShape, ...] = ()  # elsewhere an error is a problem document
    uncapped: tuple[str, ...] = ()  # how paths begin whose routes cap their bodies themselves
    webhook_body: Callable[[Deps], WebhookBody] | None = None
    live: Callable[[Deps, Authenticator], EventSource] | None = None  # what it says over Socket.IO
    openapi: str = ""  # its page dev/openapi/NAME.yaml, if it is not called as the dialect
    openapi_tags: tuple[str, ...] = ()  # of routes that are on that page beside its own
