"""Services by what their workers announced, kept in the job store for every process of the API."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import structlog

from stemwright_server.domain.work import Offered, Work
from stemwright_server.domain.worker import AnnouncedService
from stemwright_server.ports.jobs import Services
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.errors import InvalidRequest

if TYPE_CHECKING:
    from stemwright_server.adapters.services.params import ParamsSchema

_FRESH = 2.0  # seconds that what was read is believed; another process may have heard more
_RENEWED = 3600.0  # a claim says that a service is still there; seconds between two notes of it
_FORGOTTEN = 7 * 86400.0  # of a service that nobody claims work for: its workers may only be started when jobs wait
_REMEMBERED = 10_000  # workers whose last announcement is remembered
_WORKER_LENGTH = 128  # characters that the store has for who announced; of a long path the end says more
_REVISION = "weights"  # a param: other weights under the same name are other work
_log = structlog.get_logger(__name__)


class AnnouncedServices:
    """Implements ports.planner.Planner."""

    def __init__(
        self,
        store: Services,
        *,
        names: Collection[str] = (),
        clock: Callable[[], float] = time.time,
        fresh_seconds: float = _FRESH,
    ) -> None:
        """``names``: the services that are offered, if not all."""
        self._store = store
        self._names = names
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._lock = Lock()
        self._known: Mapping[str, AnnouncedService] = {}
        self._read_at = float("-inf")  # by the monotonic clock
        self._said: dict[str, str] = {}  # by worker: the hash of what it announced to this process last

    def services(self) -> Sequence[ServiceDescription]:
        known = self._read()
        return [each.description for name, each in sorted(known.items()) if not self._names or name in self._names]

    def announce(self, services: Sequence[ServiceDescription], *, described: str, worker: str) -> None:
        for service in services:
            for model in service.models:
                try:
                    _schema(model.params)
                except InvalidRequest as error:
                    where = f"The service {service.name!r}, model {model.name!r}"
                    raise InvalidRequest(f"{where}: {error}", code=error.code) from error
        by = worker[-_WORKER_LENGTH:]
        for service in services:
            self._store.keep_service(
                AnnouncedService(description=service, described=described, announced_at=self._clock(), worker=by)
            )
        with self._lock:
            self._said.pop(worker, None)
            self._said[worker] = described
            while len(self._said) > _REMEMBERED:
                del self._said[next(iter(self._said))]
            self._read_at = float("-inf")
        _log.info("services_announced", worker=worker, services=[service.name for service in services])

    def knows(self, described: str, services: Sequence[str], *, worker: str) -> bool:
        known = self._read()
        if not self._is_known(described, services, worker, known):
            known = self._read(anew=True)  # another process may have heard it just now
            if not self._is_known(described, services, worker, known):
                return False
        now = self._clock()
        for each in (known[name] for name in services):
            if each.described == described and now - each.announced_at > _RENEWED:
                self._store.keep_service(replace(each, announced_at=now))
        return True

    def _is_known(
        self, described: str, services: Sequence[str], worker: str, known: Mapping[str, AnnouncedService]
    ) -> bool:
        # Two workers may describe a service differently, while one of them is upgraded: the last word holds, and neither
        # has to say its own again, until nobody renews the last word any more. A worker that goes back to what it said
        # before has to: its last word was another.
        with self._lock:
            said = self._said.get(worker) == described
        renewed = self._clock() - 2 * _RENEWED
        return all(
            name in known and (known[name].described == described or (said and known[name].announced_at > renewed))
            for name in services
        )

    def _read(self, *, anew: bool = False) -> Mapping[str, AnnouncedService]:
        now = time.monotonic()
        with self._lock:
            if not anew and now - self._read_at < self._fresh_seconds:
                return self._known
        oldest = self._clock() - _FORGOTTEN
        known = {each.description.name: each for each in self._store.services() if each.announced_at > oldest}
        with self._lock:
            self._known, self._read_at = known, now
        return known

    def plan(self, found: Offered, params: Mapping[str, Any]) -> Work:
        model = found.model
        if model.refusal is not None:
            raise InvalidRequest(model.refusal.message, code=model.refusal.code)
        complete = _schema(model.params).complete(params)
        outputs = model.outputs_of(complete)
        if not outputs:
            raise InvalidRequest(f"These params make no output of {model.name!r}.", code="bad_params")
        return Work(
            service=found.service,
            model=model.name,
            params=complete | ({_REVISION: model.revision} if model.revision else {}),
            outputs=outputs,
            inputs=model.inputs,
            limits=model.limits,
        )


def _schema(params: Mapping[str, Any]) -> ParamsSchema:
    return _compiled(json.dumps(params))


@functools.lru_cache(maxsize=256)
def _compiled(params: str) -> ParamsSchema:
    from stemwright_server.adapters.services.params import ParamsSchema  # takes a while to import

    return ParamsSchema(json.loads(params))
