"""One process that is the whole service: API, sweep, and the worker processes it keeps."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import ipaddress
import math
import os
import secrets
import shutil
import signal
import socket
import stat
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
import uvicorn
import uvloop

from stemwright_server.http.connection import Connection, most_connections
from stemwright_server.settings import Settings
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.sweep import clean, sweep
from stemwright_server.usecases.workers import worker_left, worker_lost
from stemwright_server.wiring.api import LOOPBACK_HOSTS, Api, build_api
from stemwright_server.wiring.stores import incoming_folders
from stemwright_worker.contract.codec import described
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.devices import devices
from stemwright_worker.errors import InvalidRequest, ServiceError, Unavailable
from stemwright_worker.process.environments import EnvironmentServices, Inquiry, Place, places
from stemwright_worker.process.instance import instance, reap_dead
from stemwright_worker.process.supervisor import Supervisor
from stemwright_worker.process.work_folder import keep_files_private
from stemwright_worker.wiring import dump_config, worker_config

LOCAL_WORKER = "local-"
# Seconds that a thread may hold the interpreter while others wait: a call waits for it several times, and with Python's
# own 5 ms every upload that is looked at would make every call late.
_SWITCH = 0.0005
_LAST_WEBHOOKS = 5.0  # seconds that webhooks under way get at the end; the others are sent at the next start
_log = structlog.get_logger(__name__)


def serve(settings: Settings, inquiry: Inquiry, *, host: str, port: int, insecure: bool) -> None:
    """Run until SIGTERM or SIGINT. ``inquiry``: of what is installed here.

    Raises:
        ServiceError: it may not or cannot start.
    """
    addresses = _resolve(host, port)
    loopback = all(ipaddress.ip_address(str(address[4][0]).partition("%")[0]).is_loopback for address in addresses)
    stranger = not loopback and not settings.sign_in and not insecure
    if stranger and settings.demucssvc_token is None:
        raise InvalidRequest(
            f"{host} can be reached from other machines and nobody would have to authenticate: set JWT_ISSUER, JWT_SECRET or "
            "DEMUCSSVC_TOKEN, or say --insecure if that is what you want.",
            code="insecure",
        )
    if settings.secret_is_known:
        _for_ones_own_machine(settings, host, loopback=loopback)
    with _owned(settings), _listening(addresses, host, port) as listener, ExitStack() as held:
        instances = settings.data_dir / "instances"
        me = held.enter_context(instance(instances))
        held.callback(_remove_incoming, settings, me)
        secret = secrets.token_hex(32)
        hosts = _hosts(settings, host, loopback=loopback)
        if settings.api_webhook_url_allowlist and not (loopback or settings.public_url or settings.allowed_hosts):
            _log.warning("public_url_unset", reason="links in webhooks name the address that a request came in at")
        api = build_api(settings, me=me, worker_secret=secret, hosts=hosts, closed=stranger)
        for part in (api.deps.tracer, api.repository, api.wakeups, api.deps.broker):  # the last one is closed first
            held.callback(part.close)
        reap_dead(instances, partial(_reap, settings, api))
        held.enter_context(_metrics(settings, api, host))
        answers = inquiry.answers()
        if settings.models and not answers and _devices(settings):
            raise InvalidRequest(
                f"STEMWRIGHT_MODELS is {','.join(settings.models)!r}, and no service here is called so: services are named "
                "there, as demucs is one, and not the models that they offer.",
                code="no_service",
            )
        offered = _announced(api, answers)
        runner = held.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        runner.run(_Service(settings, api, listener, secret, offered, f"{LOCAL_WORKER}{me}-").run())


def _for_ones_own_machine(settings: Settings, host: str, *, loopback: bool) -> None:
    """The secret that everybody knows. Raises InvalidRequest where somebody else could use it."""
    public = urlsplit(settings.public_url or "http://localhost").hostname or ""
    reached = None if loopback else f"{host} can be reached from other machines"
    reached = reached or (None if public in LOOPBACK_HOSTS else f"STEMWRIGHT_PUBLIC_URL is {settings.public_url}")
    reached = reached or (None if settings.environment == "local" else f"ENVIRONMENT is {settings.environment}")
    if reached is not None:
        raise InvalidRequest(
            f"JWT_SECRET is the one of the documents, which everybody knows, and {reached}: it is for ENVIRONMENT=local on "
            "loopback; make one with: openssl rand -hex 32",
            code="insecure",
        )
    _log.warning("development_secret", note="JWT_SECRET is known to everybody: who reaches this port can be anybody")
    from jwt.warnings import InsecureKeyLengthWarning

    warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # the same, at the first token


def _announced(api: Api, offered: Sequence[EnvironmentServices]) -> list[EnvironmentServices]:
    """What the services here offer is known before the first request comes. One that says nonsense is left out."""
    good = []
    for each in offered:
        where, services = str(each.environment.python), each.services
        if not _announce(api, services, where):
            services = tuple(service for service in services if _announce(api, (service,), where))
            if services:
                _announce(api, services, where)  # as their worker says it: all in one
        if services:
            good.append(replace(each, services=services))
    return good


def _announce(api: Api, services: Sequence[ServiceDescription], where: str) -> bool:
    try:
        api.deps.planner.announce(services, described=described(services), worker=where)
    except InvalidRequest as error:
        _log.error("service_refused", python=where, error=str(error))
        return False
    return True


def _reap(settings: Settings, api: Api, dead: str) -> None:
    """Workers die with their service, and nobody goes on with what it was taking in."""
    prefix = f"{LOCAL_WORKER}{dead}-"
    worker_lost(api.deps, prefix)
    api.deps.workers.forget(prefix)
    for left in (settings.data_dir / "work").glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    _remove_incoming(settings, dead)


def _remove_incoming(settings: Settings, process: str) -> None:
    for left in incoming_folders(settings, process):
        shutil.rmtree(left, ignore_errors=True)


def _metrics(settings: Settings, api: Api, host: str) -> AbstractContextManager[None]:
    if settings.prometheus_port is None:
        return nullcontext()
    from stemwright_server.routes.metrics.port import metrics_port

    return metrics_port(api.metrics, host, settings.prometheus_port)


def _resolve(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise InvalidRequest(f"{host!r} is no address of this machine: {error}.", code="bad_host") from error


def _hosts(settings: Settings, host: str, *, loopback: bool) -> tuple[str, ...]:
    """Without authentication, a page that points its own name at 127.0.0.1 must not get in."""
    if settings.allowed_hosts:
        return (*settings.allowed_hosts, *LOOPBACK_HOSTS)  # our own workers come by loopback
    return (*LOOPBACK_HOSTS, host) if loopback and not settings.sign_in else ()


@contextmanager
def _owned(settings: Settings) -> Iterator[None]:
    """The data folder: for one service at a time, or for any number if the job store is one that they may share."""
    data_dir = settings.data_dir
    keep_files_private()
    made = not data_dir.exists()
    data_dir.mkdir(parents=True, exist_ok=True)
    ours = made or (data_dir / "url.key").exists()  # not a folder of others, as /tmp is, that was named by mistake
    if ours and not data_dir.stat().st_mode & stat.S_ISVTX:
        with suppress(PermissionError):  # another user's, who decides
            data_dir.chmod(0o700)
    if settings.on_postgres:
        yield
        return
    with (data_dir / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Unavailable(
                f"{data_dir} is in use by another stemwright serve (process {lock.read().strip() or 'unknown'}); stop it, "
                "or give this one another --data-dir.",
                code="data_dir_in_use",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _listening(addresses: list[Any], host: str, port: int) -> Iterator[socket.socket]:
    family, _, _, _, address = addresses[0]
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise Unavailable(
                f"Cannot listen on {host} port {port}: {error.strerror}.", code="cannot_listen"
            ) from error
        listener.listen(2048)
        yield listener


def _devices(settings: Settings) -> list[str]:
    """The device of each worker here: none if there is a broker for workers elsewhere."""
    return [] if settings.workers is None and settings.broker_url is not None else devices(settings)


def _look_at_store(deps: Deps) -> None:
    if deps.store is not None:
        deps.store.look()


class _Uvicorn(uvicorn.Server):
    def capture_signals(self) -> Any:
        """Signals are ours: we end the workers and the open streams first, and exit with 0."""
        return nullcontext()


class _Service:
    def __init__(
        self,
        settings: Settings,
        api: Api,
        listener: socket.socket,
        secret: str,
        offered: Sequence[EnvironmentServices],
        workers: str,
    ) -> None:
        self._settings = settings
        self._api = api
        self._listener = listener
        self._secret = secret
        self._offered = offered
        self._workers = workers  # the ids of our workers begin so; no other worker's do
        config = uvicorn.Config(
            api.app,
            http=Connection,
            # A caller's word for its address counts only where the operator says whose word it is.
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=math.ceil(settings.stop_seconds),
        )
        self._server = _Uvicorn(config)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        Connection.most = most_connections()
        sys.setswitchinterval(_SWITCH)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        where = places(self._offered, _devices(self._settings))
        supervisor = Supervisor(
            self._workers, where, self._config, self._worker_died, stop_seconds=self._settings.stop_seconds
        )
        serving = asyncio.create_task(self._server.serve([self._listener]))
        while not self._server.started and not serving.done():
            await asyncio.sleep(0.005)
        print(f"Stemwright listens on {self._url()}", flush=True)
        gc.freeze()  # what is here now stays: no later collection looks through it, and requests wait for none
        gc.enable()
        working = asyncio.create_task(supervisor.run())
        sweeping = [asyncio.create_task(self._again_and_again(each)) for each in (sweep, clean, _look_at_store)]
        self._api.dispatcher.start()
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        _log.info("stopping")
        await asyncio.to_thread(self._gone, self._workers)
        supervisor.stop()
        await working
        self._api.wakeups.close()  # long polls and event streams end
        self._server.should_exit = True
        await serving
        await asyncio.gather(*sweeping)
        await asyncio.to_thread(self._api.dispatcher.stop, _LAST_WEBHOOKS)

    def _config(self, worker: str, place: Place, watchdog: int) -> bytes:
        return dump_config(
            worker_config(
                self._settings,
                api_url=self._url(),
                secret=self._secret,
                worker=worker,
                device=place.device,
                work_dir=self._settings.data_dir / "work" / worker,
                services=place.services,
                watchdog=watchdog,
            )
        )

    def _url(self) -> str:
        """Where to reach the listener from this machine."""
        host, port = self._listener.getsockname()[:2]
        if ipaddress.ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _worker_died(self, worker: str) -> None:
        shutil.rmtree(self._settings.data_dir / "work" / worker, ignore_errors=True)
        self._gone(worker)

    def _gone(self, prefix: str) -> None:
        """Workers whose ids begin so get nothing more, and what they held is for others."""
        try:
            self._api.deps.workers.forget(prefix)
            (worker_left if self._stop.is_set() else worker_lost)(self._api.deps, prefix)
        except ServiceError as error:  # the job store is away: then the lease has to end first
            _log.warning("leave_failed", worker=prefix, error=str(error))
        except Exception:  # the same, and neither the end of the service nor a worker's next life waits for it
            _log.exception("leave_failed", worker=prefix)

    async def _again_and_again(self, chore: Callable[[Deps], None]) -> None:
        while not self._stop.is_set():
            try:
                await asyncio.to_thread(chore, self._api.deps)
            except ServiceError as error:
                _log.warning("sweep_failed", step=chore.__name__, code=error.code, error=str(error))
            except Exception:  # whatever it was, the next round may succeed, and without rounds leases never end
                _log.exception("sweep_failed", step=chore.__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._settings.sweep_seconds)
