"""What takes long holds up nothing that does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI
from loops import in_loop

from stemwright_server.http.pools import HEALTH, STORE, Pool

MANY = 100  # more than the framework's own 40 threads, and more than a pool has


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Set when what waits may go on; it always is in the end."""
    event = threading.Event()
    yield event
    event.set()


def app_of(stuck: threading.Event) -> FastAPI:
    app = FastAPI()

    @app.post("/upload")
    async def upload() -> bool:
        return await STORE.run(stuck.wait, 60.0)

    @app.get("/status")
    def status() -> str:
        return "in a thread of the framework's"

    @app.get("/health")
    async def health() -> str:
        return await HEALTH.run(str, "well")

    return app


def test_status_and_health_answer_while_every_upload_hangs(stuck: threading.Event) -> None:
    async def ask() -> list[int]:
        transport = httpx2.ASGITransport(app=app_of(stuck))
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            uploads = [asyncio.create_task(client.post("/upload")) for _ in range(MANY)]
            await asyncio.sleep(0)
            answers = [(await client.get(path)).status_code for path in ("/status", "/health") for _ in range(5)]
            assert not any(each.done() for each in uploads)
            stuck.set()
            return answers + [each.status_code for each in await asyncio.gather(*uploads)]

    assert in_loop(ask()) == [200] * (10 + MANY)


def test_a_pool_runs_as_many_at_once_as_it_has_threads_and_passes_on_what_is_raised() -> None:
    pool, inside, most = Pool("of a test", 3), 0, 0
    lock = threading.Lock()
    together = threading.Barrier(3)

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait(60)
        with lock:
            inside -= 1

    async def taken() -> None:
        await asyncio.gather(*(pool.run(work) for _ in range(9)))
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)

    in_loop(taken())
    assert most == 3


def test_items_are_taken_one_by_one_in_threads() -> None:
    async def taken() -> list[int]:
        return [item async for item in STORE.iterate(iter(range(5)))]

    assert in_loop(taken()) == [0, 1, 2, 3, 4]
