"""Use cases over a repository in memory and blobs in a folder, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.adapters.jobs.memory import MemoryJobRepository
from stemwright_server.domain.job import Job
from stemwright_server.domain.lifecycle import Policy
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.jobs import Waiting
from stemwright_server.usecases.claim import claim
from stemwright_server.usecases.deps import Deps, Limits
from stemwright_server.usecases.submit import submit
from stemwright_server.usecases.upload import announce
from stemwright_server.usecases.worker_registry import WorkerRegistry
from stemwright_worker.contract.service import OutputSpec, ServiceModel
from stemwright_worker.contract.tasks import ClaimRequest, Completed, Task, UploadedFile

CALLER = Principal(subject="o")
SONG = b"RIFF\x24\x00\x00\x00WAVEfmt "


class Offer:
    name = "m"

    def models(self) -> Sequence[ServiceModel]:
        return [ServiceModel(name="v", description="", outputs=("a",), licence="")]

    def check(self, model: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return params

    def outputs(self, model: str, params: Mapping[str, Any]) -> tuple[OutputSpec, ...]:
        return (OutputSpec(name="a", filename="a.wav", content_type="audio/wav"),)


class Offers:
    def offers(self) -> Sequence[Offer]:
        return [Offer()]

    def offer(self, name: str) -> Offer | None:
        return Offer() if name == "m" else None


@dataclass
class World:
    deps: Deps
    root: Path
    clock: list[float]
    woken: list[str] = field(default_factory=list)
    told: list[Job] = field(default_factory=list)

    def wake(self, waiting: Waiting) -> None:
        self.woken.append(waiting.job_id)

    def remind(self, waiting: Sequence[Waiting]) -> None:
        self.woken += [each.job_id for each in waiting]

    def tell(self, job: Job) -> None:
        self.told.append(job)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def submitted(self) -> Job:
        track = announce(self.deps, CALLER, filename="s.wav", size=None, sha256=None, request_id="r").track
        self.deps.blobs.write(track.key, SONG)
        return submit(
            self.deps, CALLER, track_id=track.id, service="m", model=None, params={}, key=None, request_id="r"
        ).job

    def claimed(self) -> Task:
        task = claim(self.deps, ClaimRequest(worker="w", device="cpu", services=("m",), nonce="n"))
        assert task is not None
        return task

    def upload(self, task: Task) -> Completed:
        key = f"outputs/{task.file_id}/m/v/{task.job_id}-{task.attempt}/a.wav"
        self.deps.blobs.write(key, b"stem")
        files = (UploadedFile(name="a", size=4, sha256="0" * 64),)
        return Completed(job_id=task.job_id, attempt=task.attempt, files=files, duration=1.0, sample_rate=8000)

    def job(self, task: Task) -> Job:
        found = self.deps.repository.job(task.job_id)
        assert found is not None
        return found


def make_world(root: Path) -> World:
    """Empty, at second 1000."""
    clock = [1000.0]
    blobs = LocalBlobs(root / "blobs", root / "parts", secret=b"s" * 32, min_free_bytes=0, clock=lambda: clock[0])
    world = World(deps=None, root=root / "blobs", clock=clock)  # type: ignore[arg-type]
    repository = MemoryJobRepository()
    world.deps = Deps(
        repository=repository,
        blobs=blobs,
        broker=world,
        notifier=world,
        workers=WorkerRegistry(repository, lambda: clock[0]),
        catalogue=Offers(),
        probe=None,
        policy=Policy(lease_seconds=60.0, max_attempts=2, retry_seconds=10.0),
        limits=Limits(max_bytes=100, max_seconds=None, upload_seconds=100.0, job_seconds=500.0),
        clock=lambda: clock[0],
    )
    return world
