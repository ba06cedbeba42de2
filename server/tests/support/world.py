"""Use cases over a repository in memory and blobs in a folder, with a clock that the test turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory_jobs import MemoryJobRepository

from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.adapters.services.announced import AnnouncedServices
from stemwright_server.domain.inputs import Input, TrackInput
from stemwright_server.domain.job import Job, JobOptions
from stemwright_server.domain.lifecycle import CancelAsked, Policy, Transition, advance
from stemwright_server.domain.track import Track
from stemwright_server.domain.work import find
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.jobs import Submission, Waiting
from stemwright_server.usecases.claim import claim
from stemwright_server.usecases.deps import Deps, Limits
from stemwright_server.usecases.record import record
from stemwright_server.usecases.submit import Source, Stored, SubmitRequest, submit
from stemwright_server.usecases.sweep import clean, sweep
from stemwright_server.usecases.upload import announce, receive
from stemwright_server.usecases.worker_registry import WorkerRegistry
from stemwright_worker.contract.codec import described
from stemwright_worker.contract.description import (
    InputRule,
    ModelDescription,
    ModelLimits,
    OutputRule,
    ServiceDescription,
)
from stemwright_worker.contract.tasks import ClaimRequest, Completed, Task, UploadedFile
from stemwright_worker.ports.probe import ProbeResult

CALLER = Principal(subject="o")


def rounds(deps: Deps) -> None:
    """One of each that the service makes again and again."""
    sweep(deps)
    clean(deps)


SONG = b"RIFF\x24\x00\x00\x00WAVEfmt "


A_WAV = OutputRule(name="a", filename="a.wav", content_type="audio/wav")
# ``v`` separates; the others take no input, two, or what is short, and make something else.
SERVICE = ServiceDescription(
    name="m",
    version="1",
    models=(
        ModelDescription(name="v", description="", licence="", outputs=(A_WAV,)),
        ModelDescription(
            name="none",
            description="",
            licence="",
            kind="generation",
            inputs=InputRule(least=0, most=0),
            outputs=(A_WAV,),
        ),
        ModelDescription(
            name="two", description="", licence="", kind="mixing", inputs=InputRule(least=2, most=2), outputs=(A_WAV,)
        ),
        ModelDescription(
            name="short",
            description="",
            licence="",
            kind="transcription",
            outputs=(OutputRule(name="words", filename="words.txt", content_type="text/plain", role="text"),),
            limits=ModelLimits(max_seconds=3.0, max_bytes=50),
        ),
    ),
)


class WavProbe:
    """Knows wav files by their first bytes, and nothing more of them."""

    def sniff(self, head: bytes) -> str | None:
        return "audio/wav" if head[8:12] == b"WAVE" else None

    def probe(self, path: Path, *, filename: str) -> ProbeResult:
        return ProbeResult()


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

    def close(self) -> None:
        """Nobody is to be woken any more."""

    def tell(self, job: Job) -> None:
        self.told.append(job)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())

    def uploaded(self, data: bytes = SONG) -> Track:
        """A file of the caller's that is here."""
        track = announce(self.deps, CALLER, filename="s.wav", size=None, sha256=None, request_id="r").track
        self.deps.blobs.write(track.key, data)
        return receive(self.deps, track.id)

    def ask(
        self, source: Source, *, model: str = "v", caller: Principal = CALLER, key: str | None = None, **options: Any
    ) -> Submission:
        """What a dialect does."""
        work = self.deps.planner.plan(find(self.deps.planner.services(), "m", model), {})
        submit_request = SubmitRequest(
            request_id="r", options=JobOptions(dialect="studio", **options), key=key, meant=["m", model]
        )
        return submit(self.deps, caller, source, work, submit_request)

    def ask_of(self, *inputs: Input | str, **more: Any) -> Submission:
        """The same, of what is here; a track may be named by its id alone."""
        given = [TrackInput(track_id=each) if isinstance(each, str) else each for each in inputs]
        return self.ask(Stored(inputs=given), **more)

    def submitted(self) -> Job:
        return self.ask_of(self.uploaded().id).job

    def done(self, **more: Any) -> Job:
        """A completed job on a file of its own."""
        self.ask_of(self.uploaded(SONG + bytes([len(self.told)])).id, **more)
        task = self.claimed()
        record(self.deps, self.upload(task))
        return self.job(task)

    def claimed(self) -> Task:
        task = claim(self.deps, ClaimRequest(worker="w", device="cpu", services=("m",), nonce="n"))
        assert task is not None
        return task

    def upload(self, task: Task) -> Completed:
        self.deps.blobs.write(self.job(task).prefix(task.attempt) + "a.wav", b"stem")
        return self.report(task, "a")

    def report(self, task: Task, name: str) -> Completed:
        files = (UploadedFile(name=name, size=4, sha256="0" * 64),)
        return Completed(job_id=task.job_id, attempt=task.attempt, files=files, duration=1.0, sample_rate=8000)

    def canceled(self, job: Job) -> Transition:
        return advance(job, CancelAsked(), now=self.clock[0], policy=self.deps.policy)

    def job(self, task: Task) -> Job:
        found = self.deps.repository.job(task.job_id)
        assert found is not None
        return found


def make_world(root: Path, *, now: float = 1000.0) -> World:
    """Empty."""
    clock = [now]
    blobs = LocalBlobs(root / "blobs", root / "parts", secret=b"s" * 32, min_free_bytes=0, clock=lambda: clock[0])
    world = World(deps=None, root=root / "blobs", clock=clock)  # type: ignore[arg-type]
    repository = MemoryJobRepository()
    planner = AnnouncedServices(repository)  # by the real clock: tests turn theirs by years
    planner.announce([SERVICE], described=described([SERVICE]), worker="w")
    world.deps = Deps(
        repository=repository,
        blobs=blobs,
        broker=world,
        notifier=world,
        workers=WorkerRegistry(repository, lambda: clock[0]),
        planner=planner,
        probe=WavProbe(),
        policy=Policy(lease_seconds=60.0, max_attempts=2, retry_seconds=10.0),
        limits=Limits(max_bytes=100, max_seconds=None, upload_seconds=100.0, job_seconds=500.0),
        clock=lambda: clock[0],
    )
    return world
