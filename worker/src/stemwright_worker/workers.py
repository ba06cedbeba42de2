"""Workers for a service elsewhere: one process for each environment and device, and a parent that watches them."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import structlog

from stemwright_worker.client import ApiClient
from stemwright_worker.devices import devices_elsewhere
from stemwright_worker.errors import ContractMismatch, InvalidRequest, Unavailable
from stemwright_worker.process.environments import Environment, Inquiry, Place, places
from stemwright_worker.process.supervisor import Supervisor
from stemwright_worker.process.work_folder import worker_folder
from stemwright_worker.settings import WorkerSettings
from stemwright_worker.wiring import dump_config, worker_config

_log = structlog.get_logger(__name__)


def run_workers(settings: WorkerSettings, environments: Sequence[Environment]) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        InvalidRequest: there is no secret, or no service.
        ContractMismatch: the API speaks another version of the contract.
    """
    if settings.worker_secret is None:
        raise InvalidRequest("A worker needs STEMWRIGHT_WORKER_SECRET, the same as the service has.")
    offered = Inquiry(environments, settings.models).answers()
    if not offered:
        raise InvalidRequest("No service is installed here, or none that STEMWRIGHT_MODELS names.", code="no_service")
    secret, host = settings.worker_secret.get_secret_value(), socket.gethostname()[:40]
    client = ApiClient(settings.api_url, secret)

    def reap(dead: str) -> None:
        """Children die with their parent: what they ran is for others."""
        _tell(client, f"{host}-{dead}-", lost=True)

    try:
        with worker_folder(settings.work_dir, reap=reap) as (me, folder):
            where = places(offered, devices_elsewhere(settings))
            asyncio.run(_run(settings, client, folder, where, prefix=f"{host}-{me}-", secret=secret))
    finally:
        client.close()


async def _run(
    settings: WorkerSettings, client: ApiClient, folder: Path, where: Sequence[Place], *, prefix: str, secret: str
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def config(worker: str, place: Place, watchdog: int) -> bytes:
        return dump_config(
            worker_config(
                settings,
                secret=secret,
                worker=worker,
                device=place.device,
                work_dir=folder / worker,
                services=place.services,
                watchdog=watchdog,
            )
        )

    def died(worker: str) -> None:
        shutil.rmtree(folder / worker, ignore_errors=True)
        _tell(client, worker, lost=not stop.is_set())

    supervisor = Supervisor(prefix, where, config, died, stop_seconds=settings.stop_seconds)
    working = asyncio.create_task(supervisor.run())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        raise ContractMismatch("No worker here can talk to the API: they are of other versions, as was said above.")
    _log.info("stopping")
    if settings.finish_seconds:
        supervisor.finish()
        await asyncio.wait({working}, timeout=settings.finish_seconds)
    await asyncio.to_thread(_tell, client, prefix, lost=False)  # others may begin while these still tidy up
    supervisor.stop()
    await working


def _tell(client: ApiClient, worker: str, *, lost: bool) -> None:
    try:
        client.leave(worker, lost=lost)
    except Unavailable as error:
        _log.warning("leave_failed", worker=worker, error=str(error))  # then the lease has to end first
