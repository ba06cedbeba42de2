"""What keeps a device at work whatever goes wrong around its worker process."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from loops import in_loop
from structlog.testing import capture_logs

from stemwright_worker.process.environments import OWN, Place
from stemwright_worker.process.supervisor import Supervisor

PLACE = Place(environment=OWN, device="cpu", services=("a",))


def test_a_fault_around_a_worker_is_logged_and_the_device_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine refuses a process once, then the job store is locked when the first one has ended."""
    spawn, spawned, died = asyncio.create_subprocess_exec, [], []

    async def once_refused(*command: str, **options: Any) -> asyncio.subprocess.Process:
        spawned.append(command)
        if len(spawned) == 1:
            raise BlockingIOError("no more processes")
        return await spawn("/bin/true", **options)

    def config(worker: str, place: Place, watchdog: int) -> bytes:
        return b"{}"

    async def keep() -> None:
        def ended(worker: str) -> None:
            died.append(worker)
            if len(died) == 1:
                raise sqlite3.OperationalError("database is locked")
            loop.call_soon_threadsafe(supervisor.stop)

        loop = asyncio.get_running_loop()
        supervisor = Supervisor("w-", [PLACE], config, ended, stop_seconds=5.0)
        await asyncio.wait_for(supervisor.run(), 60.0)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", once_refused)
    before = _open_files()
    with capture_logs() as logs:
        in_loop(keep())
    assert len(set(died)) == 2
    assert [(log["event"], log.get("exc_info")) for log in logs if log["event"] == "worker_not_kept"] == [
        ("worker_not_kept", True)
    ] * 2
    assert _open_files() == before


def _open_files() -> set[Path]:
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found.add(each.readlink())
    return found
