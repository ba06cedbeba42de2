"""Keeps a worker process alive in each of its places, and ends them when told."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress

import structlog

from stemwright_worker.process.environments import Place
from stemwright_worker.process.watchdog import WatchdogMonitor

FINISH = signal.SIGUSR1  # a worker process that gets it takes nothing more, and ends when its task is done
CONTRACT_MISMATCH = os.EX_PROTOCOL  # how a worker ends that the API does not understand
GPU_LOST = os.EX_OSERR  # how one ends that has lost its GPU
_GPU_BACKOFF = (30.0, 600.0)  # seconds, the first and the longest: a GPU comes back with its driver, or not at all
_STEADY = 30.0  # seconds of life after which a death is the first of its kind
_LONGEST_BACKOFF = 5.0
_LOOK = 0.5  # seconds between two looks at the watchdog
_log = structlog.get_logger(__name__)


class Supervisor:
    """Starts, watches, restarts. Run in the main thread's event loop: a worker is killed when that thread ends."""

    def __init__(
        self,
        prefix: str,
        places: Sequence[Place],
        config: Callable[[str, Place, int], bytes],
        died: Callable[[str], None],
        *,
        stop_seconds: float,
    ) -> None:
        """Keep workers; none is started yet.

        Args:
            prefix: How the workers' ids begin.
            places: Where workers run; one for each place.
            config: Makes the line that a worker reads at its start, of its id, its place and the watchdog's descriptor.
            died: Called with a worker's id after each end.
            stop_seconds: What a worker gets to leave before it is killed.
        """
        self._prefix = prefix
        self._places = places
        self._config = config
        self._died = died
        self._stop_seconds = stop_seconds
        self._stopping = asyncio.Event()
        self._finishing = False
        self._living: set[asyncio.subprocess.Process] = set()

    async def run(self) -> None:
        """Until ``stop``, or until no worker of any place speaks the API's version of the contract."""
        await asyncio.gather(*(self._keep(place) for place in self._places))

    def stop(self) -> None:
        """Ask all workers to go; ``run`` returns once they went, or were made to."""
        self._stopping.set()

    def finish(self) -> None:
        """Let every worker go when its task is done; ``run`` returns then. None is started any more."""
        self._finishing = True
        for process in self._living:
            with suppress(ProcessLookupError):
                process.send_signal(FINISH)

    async def _keep(self, place: Place) -> None:
        crashes, lost = 0, 0
        while not (self._stopping.is_set() or self._finishing):
            began = time.monotonic()
            worker = f"{self._prefix}{place.device.replace(':', '')}-{secrets.token_hex(6)}"
            status, heard = None, False
            try:
                with closing(WatchdogMonitor()) as watch:
                    status = await self._one(worker, place, watch)
                    watch.expired()  # what it said last
                    heard = watch.heard
            except Exception:  # whatever it was, it may pass, and without another try nobody works on this device
                _log.exception("worker_not_kept", worker=worker)
            if self._stopping.is_set() or self._finishing:
                return
            if status == CONTRACT_MISMATCH:  # the worker said so; another one would say the same
                _log.error("worker_given_up", worker=worker, python=str(place.environment.python))
                return
            # One that got as far as a task is no worker that cannot start; what a task does to it is counted there.
            steady = heard or time.monotonic() - began >= _STEADY
            crashes = 1 if steady else crashes + 1
            wait = min(_LONGEST_BACKOFF, 0.1 * 2**crashes)
            lost = lost + 1 if status == GPU_LOST else 0
            if lost:
                wait = min(_GPU_BACKOFF[1], _GPU_BACKOFF[0] * 2.0 ** (lost - 1))
            _log.error("worker_died", worker=worker, status=status, restart_in=wait)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _one(self, worker: str, place: Place, watch: WatchdogMonitor) -> int:
        """One worker process from start to end; its exit status."""
        config = self._config(worker, place, watch.theirs)
        # A session of its own: Ctrl-C reaches the service only, and the worker's children can be ended with it.
        process = await asyncio.create_subprocess_exec(
            place.environment.python,
            "-m",
            "stemwright_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr.fileno(),  # what a model prints is no output of the service
            pass_fds=(watch.theirs,),
            start_new_session=True,
            env=place.environment.variables(),
        )
        watch.started()
        self._living.add(process)
        _log.info("worker_started", worker=worker, device=place.device, services=place.services, pid=process.pid)
        assert process.stdin is not None
        try:
            with suppress(ConnectionError):
                process.stdin.write(config + b"\n")
                await process.stdin.drain()
            ended = asyncio.create_task(process.wait())
            stopping = asyncio.create_task(self._stopping.wait())
            while not (ended.done() or stopping.done() or watch.expired()):
                await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED, timeout=_LOOK)
            stopping.cancel()
            if not ended.done() and not self._stopping.is_set():
                _log.error("worker_ran_away", worker=worker)  # it holds its own interpreter: only this is left
                process.kill()
            elif not ended.done():
                process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(ended), self._stop_seconds)
            return process.returncode if process.returncode is not None else -signal.SIGKILL
        finally:
            self._living.discard(process)
            # The group holds what the worker started, too.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            process.stdin.close()
            await asyncio.to_thread(self._died, worker)
