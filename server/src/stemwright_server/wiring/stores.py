"""The stores of the settings: jobs, blobs, and what wakes workers. Each imports what it needs, nothing is opened at import."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright_server.settings import Settings
from stemwright_worker.errors import Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from stemwright_server.adapters.jobs.sql import SqlJobRepository
    from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
    from stemwright_server.ports.blobs import BlobStore
    from stemwright_server.ports.broker import Broker
    from stemwright_server.ports.wakeups import WakeUps


def job_engine(settings: Settings) -> Engine:
    """The engine of the job store that the settings name; nothing is opened or made.

    Raises:
        Unavailable: its driver is not here.
    """
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    if settings.on_postgres:
        from sqlalchemy import make_url

        from stemwright_server.adapters.jobs.postgres import postgres_engine

        return postgres_engine(make_url(url.replace("postgres://", "postgresql://", 1)), pool=settings.database_pool)
    from stemwright_server.adapters.jobs.sqlite import sqlite_engine

    return sqlite_engine(Path(url.removeprefix("sqlite:///")) if url else settings.data_dir / "stemwright.db")


def open_jobs(settings: Settings) -> tuple[SqlJobRepository, InProcessWakeUps, Callable[[], float]]:
    """The job store that the settings name, brought forward, its wake-ups and its clock.

    Raises:
        Unavailable: it cannot be reached, or is not one that this version can use.
    """
    from stemwright_server.adapters.jobs.sql import SqlJobRepository

    engine = job_engine(settings)
    repository = SqlJobRepository(engine)
    if settings.on_postgres:
        from stemwright_server.adapters.jobs.postgres import DatabaseClock

        # Needs the driver; the engine has said so if it is not here.
        from stemwright_server.adapters.wakeups.postgres import PostgresWakeUps

        return repository, PostgresWakeUps(engine), DatabaseClock(repository.time)
    from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps

    return repository, InProcessWakeUps(), time.time


def incoming_folders(settings: Settings, process: str) -> tuple[Path, Path]:
    """Where a process keeps files on their way into a bucket, and into the data folder; they go with it."""
    data = settings.data_dir
    return data / "fetched" / process, data / "blobs" / ".parts" / process  # no key of a blob begins with a dot


def open_blobs(settings: Settings, me: str) -> BlobStore:
    """The blobs that the settings name.

    Raises:
        Unavailable: they name a bucket that refuses us or is not there.
    """
    fetched, parts = incoming_folders(settings, me)
    if (options := settings.s3_options()) is not None:
        from stemwright_server.adapters.blobs.s3 import open_bucket

        public = settings.s3_public_endpoint or None
        return open_bucket(options, fetched, public_endpoint=public, part_bytes=settings.part_bytes)
    from stemwright_server.adapters.blobs.local import LocalBlobs

    return LocalBlobs(
        settings.data_dir / "blobs",
        parts,
        secret=_kept_secret(settings.data_dir / "url.key"),
        min_free_bytes=settings.min_free_bytes,
    )


def check_owner(data_dir: Path, installation: str) -> None:
    """Several processes of one installation may share its blobs; those of two would remove each other's.

    Raises:
        Unavailable: the folder is another installation's.
    """
    path = data_dir / "installation"
    mine = data_dir / f"installation.{secrets.token_hex(8)}"
    mine.write_text(installation)
    try:
        os.link(mine, path)  # whole or not at all, and only if there is none
    except FileExistsError:
        if path.read_text() != installation:
            raise Unavailable(
                f"{data_dir} holds the files of another installation, with another database; give this one another "
                f"--data-dir, or remove {path} if that one is gone for good.",
                code="data_dir_in_use",
            ) from None
    finally:
        mine.unlink()


def _kept_secret(path: Path) -> bytes:
    """The key that signs our own URLs: made once and kept, so that URLs outlive a restart."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) >= 32:
            return secret
        path.unlink()  # a crash cut it short before anything was signed with it
        return _kept_secret(path)
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(32)
        file.write(secret)
    return secret


def build_broker(settings: Settings, wakeups: WakeUps) -> Broker:
    """The broker that the settings name; whichever it is, workers that ask the API themselves are woken as well.

    Raises:
        Unavailable: its library is not here.
    """
    from stemwright_server.adapters.broker.in_process import InProcessBroker

    address = settings.broker_address or ""
    extras = ["celery", "redis"] if address.startswith("redis") else ["celery"]
    missing = [extra for extra in extras if find_spec(extra) is None]
    if not address or (settings.broker_url is None and missing):
        return InProcessBroker(wakeups)
    if missing:
        raise Unavailable(
            f"BROKER_URL needs what is not here: pip install 'stemwright-server[{','.join(extras)}]'.",
            code="extra_missing",
        )
    from stemwright_server.adapters.broker.celery_broker import CeleryBroker

    return CeleryBroker(wakeups, address, job_seconds=settings.job_seconds, stop_seconds=settings.stop_seconds)
