"""What may wait for the job store waits in a thread: while the event loop waits, nobody is answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from starlette.testclient import TestClient
from track_tree import TOKEN, signed
from world import CALLER, make_world

from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
from stemwright_server.dialects.dialect import Context
from stemwright_server.dialects.split.router import SplitConfig, split_router
from stemwright_server.dialects.studio.router import studio_router
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import add_error_handlers
from stemwright_server.http.middleware.request_context import RequestContext
from stemwright_server.http.rates import Rates
from stemwright_server.ports.auth import Principal
from stemwright_server.routes.workers.router import workers_router
from stemwright_server.usecases.record import record
from stemwright_server.usecases.worker_registry import WorkerRegistry
from stemwright_worker.contract.codec import dump_report
from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.signing import Verifier, sign
from stemwright_worker.contract.tasks import GpuMemory, Progressed

SECRET = "s" * 32
NOTHING = cast(Any, None)


class Everybody:
    def preparation(self, authorization: str | None) -> None:
        return None

    def authenticate(self, authorization: str | None) -> Principal:
        return CALLER


def test_the_clock_of_the_job_store_is_never_read_on_the_event_loop(tmp_path: Path) -> None:
    wakeups, world = InProcessWakeUps(), make_world(tmp_path, now=time.time())  # for the signatures
    job = world.submitted()
    task = world.claimed()
    record(world.deps, world.upload(task))
    on_loop: list[bool] = []

    def clock() -> float:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            on_loop.append(False)
        else:
            on_loop.append(True)
        return world.clock[0]

    workers = WorkerRegistry(world.deps.repository, clock)
    deps, callers = replace(world.deps, clock=clock, workers=workers), Callers(Everybody(), None)
    app = FastAPI()
    add_error_handlers(app)
    app.add_middleware(RequestContext)
    app.include_router(workers_router(deps, wakeups, Verifier([SECRET])))
    app.include_router(split_router(deps, SplitConfig(secrets=[TOKEN], webhooks=()), NOTHING, callers))
    context = Context(deps=deps, callers=callers, rates=Rates(), wakeups=wakeups, sources={}, webhooks=None)
    app.include_router(studio_router(context))
    client = TestClient(app)

    def ran_in_a_thread() -> bool:
        """Since the last time."""
        found = bool(on_loop) and not any(on_loop)
        on_loop.clear()
        return found

    gpu = GpuMemory(host="h", index=0, used_bytes=1, total_bytes=2)
    report = dump_report(
        Progressed(job_id="none", attempt=1, progress=Progress(done=0, total=1, stage="separating"), gpus=(gpu,))
    )
    headers = sign(report, secret=SECRET, now=time.time())
    assert client.post("/worker/report", content=report, headers=headers).json() == {"accepted": False, "stop": True}
    assert ran_in_a_thread()
    named = b'{"jobId": "none"}'
    assert client.post("/split/none/cancel", content=named, headers=signed(named)).status_code == 404
    assert ran_in_a_thread()
    with client.stream("GET", f"/events/{job.track_id}") as stream:  # of a completed job: it has URLs
        lines = []
        for line in stream.iter_lines():
            lines.append(line)
            if line == "event: completed":
                wakeups.close()  # which ends the stream
    assert "event: completed" in lines
    assert ran_in_a_thread()
