"""``celery -A stemwright_server.queues worker``: a worker that is woken by RabbitMQ or Redis.

One for each device; start several, each with a CUDA_VISIBLE_DEVICES of its own. ``-Q`` names the queues it hears, for
example ``-Q stemwright.demucs.high``. The settings are those of ``stemwright worker``, and the broker's.
"""

from __future__ import annotations

import socket
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from celery import Celery, signals

from stemwright_server.adapters.broker.celery_app import celery_app
from stemwright_server.processes.celery_worker import CeleryWorker, add_worker
from stemwright_server.settings import Settings
from stemwright_server.settings.reading import end, read_settings
from stemwright_worker.client import ApiClient
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.devices import device_of_one
from stemwright_worker.errors import InvalidRequest
from stemwright_worker.process.environments import OWN, Inquiry
from stemwright_worker.runtime import Runtime
from stemwright_worker.telemetry import configure_logging
from stemwright_worker.wiring import build_worker, worker_config


def build(settings: Settings) -> Celery:
    """The app of ``celery worker``. Raises InvalidRequest without a broker or a secret."""
    if settings.broker_address is None or settings.worker_secret is None:
        raise InvalidRequest("A Celery worker needs BROKER_URL (or REDIS_URL) and STEMWRIGHT_WORKER_SECRET.")
    secret, device = settings.worker_secret.get_secret_value(), device_of_one(settings)
    services = settings.models or tuple(sorted(entry.name for entry in entry_points(group="stemwright.services")))
    app = celery_app(
        settings.broker_address, services=services, job_seconds=settings.job_seconds, stop_seconds=settings.stop_seconds
    )

    def runtime(worker: str, folder: Path) -> Runtime:
        return build_worker(
            worker_config(
                settings,
                secret=secret,
                worker=worker,
                device=device,
                work_dir=folder,
                services=services,
            )
        )

    def describe() -> tuple[ServiceDescription, ...]:
        return tuple(said for each in Inquiry([OWN], services).answers() for said in each.services)

    worker = CeleryWorker(
        host=socket.gethostname()[:40],
        root=settings.work_dir,
        device=device,
        services=services,
        finish_seconds=settings.finish_seconds,
        describe=describe,
        client=ApiClient(settings.api_url, secret),
        build=runtime,
    )
    add_worker(app, worker)

    @signals.setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
    def logging(**_: Any) -> None:
        configure_logging(settings.log_threshold)

    return app


def __getattr__(name: str) -> Celery:
    """``app``, which Celery's command looks for: made when asked for, so that importing this reads no settings."""
    if name != "app":
        raise AttributeError(name)
    try:
        app = globals()["app"] = build(read_settings())
    except InvalidRequest as error:  # Celery's command would show where it was raised
        end(str(error))
    return app
