"""A Celery worker of ours: what it does with a message, and how the API knows that it is there or gone.

The parent process speaks with the broker and never loads a model. Its one child runs tasks: it claims over the API, as
every worker does, so a message that comes twice, late or not at all does no harm.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import structlog
from celery import Celery, bootsteps, signals
from celery.utils.nodenames import default_nodename
from celery.worker.consumer import Consumer

from stemwright_server.adapters.broker.celery_app import RUN_JOB
from stemwright_server.adapters.broker.queue_names import least_priority, service_of
from stemwright_server.adapters.broker.quorum_repair import repair_quorum_queues
from stemwright_worker.client import ApiClient
from stemwright_worker.contract.codec import described
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.errors import AnnounceFirst, ContractMismatch, Unavailable
from stemwright_worker.process.parent_death import die_with_parent
from stemwright_worker.process.supervisor import GPU_LOST
from stemwright_worker.process.work_folder import keep_files_private, worker_folder
from stemwright_worker.runtime import GpuLost, Runtime
from stemwright_worker.service import Stopped

_HELLO_SECONDS = 20.0
_REFUSED_SECONDS = 2.0  # until the next try with a broker that does not let us in
_WITHOUT_GPU = 60.0  # seconds until a process that has lost its GPU makes way for another
_PID_DIGITS = 7  # as many as Linux gives at most
_LEAVE = signal.SIGUSR2  # what the parent tells a child with; Celery resets or uses the others
_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class CeleryWorker:
    """What belongs to one ``celery worker`` command, in the parent and, after the fork, in each child."""

    host: str
    root: Path | None  # where its folder goes; None: the system's place for temporary files
    device: str
    services: tuple[str, ...]
    finish_seconds: float  # what a job gets to end in by itself once the worker is told to go
    describe: Callable[[], tuple[ServiceDescription, ...]]  # in the parent, without importing a service
    client: ApiClient  # the parent's; a child makes its own after the fork
    build: Callable[[str, Path], Runtime]  # by worker id and work folder
    me: str = field(default="", init=False)  # the parent's own id
    prefix: str = field(default="", init=False)  # the ids of its children begin so
    folder: Path = field(default=Path(), init=False)  # each child has a folder in it
    runtime: Runtime | None = field(default=None, init=False)  # in a child
    offered: tuple[ServiceDescription, ...] = field(default=(), init=False)  # in the parent: what the services offer
    prepared: bool = field(default=False, init=False)
    stopping: bool = field(default=False, init=False)  # in the parent
    held: ExitStack = field(default_factory=ExitStack, init=False)

    def open(self) -> None:
        """In the parent, before anything else."""
        self.offered = self.describe()
        self.me, self.folder = self.held.enter_context(worker_folder(self.root, reap=self._reap))
        self.prefix = f"{self.host}-{self.me}-"

    def node_name(self, said: str) -> str:
        """The name that Celery's node gets, of the one that it would have: its own, unless `-n` said another.

        All workers of a host would have one name. RabbitMQ gives the queue of a node's remote control to the first of them
        alone (405 RESOURCE_LOCKED) and the others never start; on Redis they would answer in each other's place.
        """
        name, _, host = said.partition("@")
        return f"{name}-{self.me}@{host}" if said == default_nodename(None) else said

    def _reap(self, dead: str) -> None:
        """Children die with their parent: what they ran is for others."""
        self.tell(f"{self.host}-{dead}-", lost=True)

    def worker_id(self, pid: int) -> str:
        """A child's id with the API; no id is the beginning of another."""
        return f"{self.prefix}{pid:0{_PID_DIGITS}}"

    def run_job(self, queue: str) -> str:
        """In a child: take a job of the queue that a message came by. Returns what to say in Celery's log."""
        if self.runtime is None:
            raise RuntimeError("the worker process was not set up")
        try:
            if not self.prepared:
                self.runtime.prepare()
                self.prepared = True
            ran = self.runtime.once(
                wait_seconds=0.0, service=service_of(queue) or None, least_priority=least_priority(queue)
            )
        except Stopped:
            return "stopped"
        except GpuLost as error:
            _log.error("gpu_lost", error=str(error))
            with suppress(Stopped):
                time.sleep(_WITHOUT_GPU)  # the next process would lose its first job as fast
            os._exit(GPU_LOST)
        return "ran" if ran else "nothing waits"

    def began(self) -> None:
        """In a child, right after the fork."""
        die_with_parent()
        me = self.worker_id(os.getpid())
        self.runtime = self.build(me, self.folder / me)
        signal.signal(_LEAVE, self.runtime.leave)

    def hello(self, pid: int) -> None:
        """In the parent: say to the API that a child is there. A job may need what is announced before a child wakes up.

        Raises:
            ContractMismatch: the API speaks another version of the contract.
        """
        worker, digest = self.worker_id(pid), described(self.offered)
        try:
            try:
                self.client.hello(worker=worker, device=self.device, services=self.services, described=digest)
            except AnnounceFirst:
                self.client.announce(worker=worker, services=self.offered, described=digest)
        except Unavailable as error:
            _log.warning("hello_failed", error=str(error))

    def tell(self, worker: str, *, lost: bool) -> None:
        """In the parent: say to the API that a child went, or died."""
        if self.prefix and worker.startswith(self.prefix):
            shutil.rmtree(self.folder / worker, ignore_errors=True)
        try:
            self.client.leave(worker, lost=lost)
        except Unavailable as error:
            _log.warning("leave_failed", worker=worker, error=str(error))  # then the lease has to end first

    def stop(self, pids: Callable[[], list[int]]) -> None:
        """In the parent, told to shut down: give back what is held, so that another worker may begin with it.

        Celery itself takes nothing more from here on, and waits for the task at hand: so there is time to let it finish.
        """
        self.stopping = True
        if self.finish_seconds == 0:
            self._give_back(pids)
            return
        timer = Timer(self.finish_seconds, self._give_back, [pids])
        timer.daemon = True  # a worker that is done does not wait for it
        timer.start()

    def _give_back(self, pids: Callable[[], list[int]]) -> None:
        for pid in pids():
            with suppress(ProcessLookupError):
                os.kill(pid, _LEAVE)
            self.tell(self.worker_id(pid), lost=False)

    def close(self) -> None:
        """In the parent, at its end."""
        if self.finish_seconds:
            self.tell(self.prefix, lost=False)
        self.held.close()


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Celery's own, made to wait between two tries, and to do without queues that do not answer.

    Celery's tries again without a pause where a broker refuses it (one that starts, or a wrong password), and waits for ever
    for a queue that does not answer, until the broker closes the connection for want of heartbeats.
    """

    def connect(self) -> Any:
        """Connect, and delete queues that do not answer before anything is consumed from them."""
        super().connect().close()  # as soon as the broker is there
        repair_quorum_queues(self.app.conf.broker_url, [queue.name for queue in self.app.conf.task_queues])
        return super().connect()

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Wait before Celery tries again."""
        super().on_connection_error_before_connected(exc)
        time.sleep(_REFUSED_SECONDS)


def add_worker(app: Celery, worker: CeleryWorker) -> None:
    """Make ``celery worker`` on this app one of ours."""

    @app.task(name=RUN_JOB, bind=True)  # type: ignore[untyped-decorator]
    def run_job(task: Any, job_id: str) -> str:
        delivered = task.request.delivery_info or {}
        said = worker.run_job(str(delivered.get("routing_key") or ""))
        _log.info("message_done", job_id=job_id, said=said)
        return said

    class ChildMonitor(bootsteps.StartStopStep):  # type: ignore[misc]
        """In the parent, each second: which children live; the dead are reported, the living say hello."""

        requires = frozenset({"celery.worker.components:Timer", "celery.worker.components:Pool"})

        def start(self, parent: Any) -> None:
            known: set[int] = set()
            next_hello = 0.0

            def look() -> None:
                nonlocal next_hello
                living = set(parent.pool.info["processes"])
                for pid in known - living:
                    worker.tell(worker.worker_id(pid), lost=not worker.stopping)
                hello = living - known if time.monotonic() < next_hello else living
                known.clear()
                known.update(living)
                if hello == living:
                    next_hello = time.monotonic() + _HELLO_SECONDS
                try:
                    for pid in hello:
                        worker.hello(pid)
                except ContractMismatch as error:  # no repeat helps
                    _log.error("contract_mismatch", error=str(error))
                    os.kill(os.getpid(), signal.SIGTERM)

            def leave(**_: Any) -> None:
                worker.stop(lambda: list(parent.pool.info["processes"]))

            parent.timer.call_repeatedly(1.0, look)
            signals.worker_shutting_down.connect(leave, weak=False)

    app.conf.worker_consumer = f"{__name__}:{PatientConsumer.__name__}"
    app.steps["worker"].add(ChildMonitor)

    @signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
    def begin(instance: Any, **_: Any) -> None:
        keep_files_private()
        worker.open()
        instance.hostname = worker.node_name(instance.hostname)

    signals.worker_shutdown.connect(lambda **_: worker.close(), weak=False)
    signals.worker_process_init.connect(lambda **_: worker.began(), weak=False)
