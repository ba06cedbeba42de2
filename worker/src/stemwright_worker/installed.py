"""The services that are installed in this environment, found by entry point."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog

from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.service import plain
from stemwright_worker.errors import TooLarge, Unavailable, UnusableInput
from stemwright_worker.ports.probe import ProbeResult
from stemwright_worker.service import Service

SERVICES = "stemwright.services"
PROBES = "stemwright.probes"

_log = structlog.get_logger(__name__)


class InstalledServices:
    """The services of this environment, by name."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {plain(service.name, "service"): service for service in services}

    @classmethod
    def find(cls, names: Sequence[str] = ()) -> InstalledServices:
        """Load the entry points of these names, or all.

        One that does not load, or is not called as its service, is said in the log and left out.
        """
        return cls([service for name, service in _load(SERVICES, names) if _is_called(service, name)])

    def all(self) -> Sequence[Service]:
        """All of them."""
        return list(self._services.values())

    def get(self, name: str) -> Service | None:
        """One by its name. None if there is none."""
        return self._services.get(name)

    def descriptions(self) -> tuple[ServiceDescription, ...]:
        """What they offer. One that cannot say it is said in the log and left out."""
        return tuple(said for service in self._services.values() if (said := _described(service)) is not None)


def _described(service: Service) -> ServiceDescription | None:
    try:
        said = service.describe()
        if said.name != service.name:
            raise ValueError(f"the service {service.name!r} calls itself {said.name!r} in its description")
        return said
    except Exception:  # a service's own; the others must still serve
        _log.exception("service_not_described", service=service.name)
        return None


def _is_called(service: Any, name: str) -> bool:
    """A worker process is told names, and finds by them what it runs."""
    called = getattr(service, "name", None)
    if called != name:
        _log.error("service_misnamed", entry_point=name, service=called)
    return bool(called == name)


def _load(group: str, names: Sequence[str]) -> list[tuple[str, Any]]:
    found = []
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        if names and entry.name not in names:
            continue
        try:
            found.append((entry.name, entry.load()))
        except Exception:  # a service's own import may fail in any way; the others must still serve
            _log.exception("entry_point_failed", group=group, entry_point=entry.value)
    return found


class InstalledProbe:
    """Implements ports.probe.Probe by what a distribution ships: an object or module with two functions.

    ``probe(path, *, max_seconds) -> mapping`` decodes in a child process, ``sniff(head) -> media type or None`` looks at the
    first bytes.
    """

    def __init__(self, shipped: Any, *, max_seconds: float | None, decodes: bool = True) -> None:
        self._shipped = shipped
        self._max_seconds = max_seconds
        self._decodes = decodes

    @classmethod
    def find(cls, *, name: str, max_seconds: float | None) -> InstalledProbe | None:
        """The first one installed, or the one of that name; without one, the worker is the first to look at a file.

        With a name that no probe has, "none" for example, nothing is decoded, and the first bytes are looked at all the same.
        """
        named = _load(PROBES, [name] if name else [])
        shipped = named or _load(PROBES, [])
        return cls(shipped[0][1], max_seconds=max_seconds, decodes=bool(named)) if shipped else None

    def sniff(self, head: bytes) -> str | None:
        """The media type that the first bytes show. None if they show no audio."""
        found: str | None = self._shipped.sniff(head)
        return found

    def probe(self, path: Path, *, filename: str) -> ProbeResult:
        """What the file is, by decoding it.

        Raises:
            TooLarge, UnusableInput: as the probe that is installed says.
            Unavailable: it could not be looked at now.
        """
        if not self._decodes:
            return ProbeResult()
        try:
            found = self._shipped.probe(path, max_seconds=self._max_seconds)
        except Exception as error:
            code, message = getattr(error, "code", None), str(error).replace(str(path), filename)
            if code is None or getattr(error, "retryable", False):
                raise Unavailable(f"The upload could not be looked at now, try again: {message}") from error
            kind = TooLarge if code in ("too_long", "too_large") else UnusableInput
            raise kind(message, code=code) from error
        return ProbeResult(duration=found.get("duration"), sample_rate=found.get("sample_rate"))
