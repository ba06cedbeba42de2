"""``stemwright worker``: workers for a service elsewhere, one process for each device, and a parent that watches them."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from pathlib import Path

import structlog

from stemwright_server.settings import Settings
from stemwright_server.wiring.worker import devices_elsewhere, worker_config
from stemwright_worker.client import ApiClient
from stemwright_worker.errors import Unavailable
from stemwright_worker.process.supervisor import Supervisor
from stemwright_worker.process.work_folder import worker_folder

_log = structlog.get_logger(__name__)


def work(settings: Settings, *, api_url: str, secret: str, root: Path | None) -> None:
    """Run until SIGTERM or SIGINT. ``root``: where the folders of tasks go; None: the system's place for such."""
    host = socket.gethostname()[:40]
    client = ApiClient(api_url, secret)

    def reap(dead: str) -> None:
        """Children die with their parent: what they ran is for others."""
        _tell(client, f"{host}-{dead}-", lost=True)

    try:
        with worker_folder(root, reap=reap) as (me, folder):
            asyncio.run(_run(settings, client, folder, prefix=f"{host}-{me}-", api_url=api_url, secret=secret))
    finally:
        client.close()


async def _run(settings: Settings, client: ApiClient, folder: Path, *, prefix: str, api_url: str, secret: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def died(worker: str) -> None:
        shutil.rmtree(folder / worker, ignore_errors=True)
        _tell(client, worker, lost=not stop.is_set())

    supervisor = Supervisor(
        prefix,
        devices_elsewhere(settings),
        worker_config(settings, api_url=api_url, secret=secret, work_dir=folder),
        died,
        stop_seconds=settings.stop_seconds,
    )
    working = asyncio.create_task(supervisor.run())
    await stop.wait()
    _log.info("stopping")
    await asyncio.to_thread(_tell, client, prefix, lost=False)  # others may begin while these still tidy up
    supervisor.stop()
    await working


def _tell(client: ApiClient, worker: str, *, lost: bool) -> None:
    try:
        client.leave(worker, lost=lost)
    except Unavailable as error:
        _log.warning("leave_failed", worker=worker, error=str(error))  # then the lease has to end first
