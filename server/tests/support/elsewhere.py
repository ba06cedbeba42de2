"""Workers outside ``stemwright serve``, as an operator starts them: Celery's own command, and ``stemwright worker``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from service import COMMAND, Service, alive, environment, until

SECRET = {"STEMWRIGHT_WORKER_SECRET": "s" * 32}
CELERY = [sys.executable, "-m", "celery", "-A", "stemwright_server.queues", "worker", "--loglevel=info"]


class Worker:
    """A worker of a service, its parent process and its child."""

    def __init__(
        self, service: Service, folder: Path, settings: Mapping[str, str], *, celery: bool = True, queues: str = ""
    ) -> None:
        """``queues``: the only ones that a Celery worker hears."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.log = folder / "worker.log"
        own = {"STEMWRIGHT_API_URL": service.url, "STEMWRIGHT_WORK_DIR": str(folder / "work")}
        heard = ["-Q", queues] if queues else []
        command = [*CELERY, *heard] if celery else [*COMMAND, "worker"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment(service.state, {**SECRET, **settings, **own}), stdout=log, stderr=log
            )

    def children(self) -> list[int]:
        """Its process that runs models, while there is one."""
        try:
            found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in found]

    def kill(self) -> None:
        """The parent, as by the kernel; the child has to follow."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        until(lambda: not any(alive(pid) for pid in children), what="the children to die with their parent")

    def kill_child(self) -> None:
        """As the kernel does when memory is short."""
        for pid in self.children():
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        """In good order; the exit code."""
        self.process.terminate()
        return self.process.wait(120)

    def files(self) -> list[str]:
        """What it keeps of tasks."""
        root = self.folder / "work"
        found = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
        return sorted(str(path.relative_to(root)) for path in found if path.suffix != ".lock")


@contextmanager
def worker_of(
    service: Service,
    folder: Path,
    settings: Mapping[str, str] | None = None,
    *,
    celery: bool = True,
    queues: str = "",
) -> Iterator[Worker]:
    """A worker, ended at the end however the test went."""
    worker = Worker(service, folder, settings or {}, celery=celery, queues=queues)
    try:
        yield worker
    except BaseException:
        sys.stderr.write(worker.log.read_text()[-6000:])
        raise
    finally:
        if worker.process.poll() is None:
            worker.kill()
