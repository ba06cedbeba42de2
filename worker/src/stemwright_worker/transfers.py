"""What an attempt moves: its inputs from the store or a stranger's URL, its outputs to the store or the caller's URLs."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from stemwright_worker.client import ApiClient, TransferFailed
from stemwright_worker.contract.service import Progress, plain
from stemwright_worker.contract.tasks import Task, TaskInput, TaskOutput, UploadedFile
from stemwright_worker.control import Control
from stemwright_worker.errors import ServiceError, Unavailable, UnusableInput
from stemwright_worker.net.outbound import Outbound, OutboundFailed, OutboundRefused
from stemwright_worker.ports.probe import HEAD_BYTES, Probe
from stemwright_worker.ports.sources import FetchLimits, SourceFetcher
from stemwright_worker.service import ProducedFile, RunInput, RunResult

_CHUNK = 1 << 18
_TRIES = 4  # of a PUT to a caller's URL
_FETCH_SHARE = 0.5  # of the attempt's time that fetching may take


class WrongResult(ServiceError):
    """A model did not make what it announced. Its own fault, and a repeat makes the same."""

    code = "wrong_result"


class UploadRefused(ServiceError):
    """The caller's own URL does not take the stem: expired, signed for something else, or gone."""

    code = "upload_refused"


class Transfers:
    """Fetches and uploads for a worker."""

    def __init__(
        self,
        client: ApiClient,
        *,
        sources: Mapping[str, SourceFetcher],
        probe: Callable[[float | None], Probe | None],
        outbound: Outbound,
    ) -> None:
        """``probe(max_seconds)``: what looks into a file before a model decodes it, if anything does."""
        self._client = client
        self._sources = sources
        self._probe = probe
        self._outbound = outbound

    def fetch(self, task: Task, folder: Path, control: Control) -> tuple[tuple[RunInput, ...], str | None]:
        """The task's inputs, each whole, in a folder made for them; and the title that the source of one tells, if any.

        Raises TransferFailed, UnusableInput, TooLarge, StorageFull.
        """
        control.stage("fetching")
        folder.mkdir()
        fetched = [self._fetch(task, given, folder, control) for given in task.inputs]
        return tuple(each for each, _ in fetched), next((title for _, title in fetched if title), None)

    def _fetch(self, task: Task, given: TaskInput, folder: Path, control: Control) -> tuple[RunInput, str | None]:
        path = folder / plain(given.name, "input")
        fetched = RunInput(name=given.name, path=path, filename=given.filename)
        if not given.source:
            self._client.fetch(given, path, control.check)
            return fetched, None
        source = self._sources.get(given.source)
        if source is None:
            raise Unavailable(f"This worker has no source {given.source!r}.")
        # All of them together are to leave time for the work itself.
        seconds = _FETCH_SHARE * task.timeout_seconds / len(task.inputs)
        limits = FetchLimits(max_bytes=task.max_bytes, total_seconds=seconds)
        title = source.fetch(given.url, path, limits, check=_Meter(control)).title
        self._look(fetched, task.max_seconds)
        return fetched, title or None

    def _look(self, fetched: RunInput, max_seconds: float | None) -> None:
        """What the API does with an upload: by content, then by decoding, somewhere it can do no harm."""
        probe = self._probe(max_seconds)
        if probe is None:
            return
        with fetched.path.open("rb") as file:
            if probe.sniff(file.read(HEAD_BYTES)) is None:
                raise UnusableInput(f"{fetched.filename!r} is not audio, judging by its content.", code="not_audio")
        probe.probe(fetched.path, filename=fetched.filename)

    def upload(self, task: Task, result: RunResult, control: Control) -> tuple[UploadedFile, ...]:
        """Hash and upload all outputs; those to the caller's URLs last, and only with leave.

        Raises WrongResult, TransferFailed, UploadRefused, or Stopped.
        """
        made = {file.name: file for file in result.files}
        if set(made) != {output.name for output in task.outputs}:
            announced = ", ".join(output.name for output in task.outputs)
            raise WrongResult(f"{task.service} made {', '.join(made) or 'nothing'}, announced were {announced}.")
        control.stage("uploading")
        uploaded = [_described(output, made[output.name]) for output in task.outputs]
        external, done = [], []
        for output, file in zip(task.outputs, uploaded, strict=True):
            path = made[output.name].path
            if output.external:
                external.append((output, path))
                done.append(file)
                continue
            if task.multipart_over is not None and file.size > task.multipart_over:
                done.append(self._client.upload_in_parts(task, file, path, control.check))
            else:
                self._client.upload(
                    output.url, path, sha256=file.sha256, content_type=output.content_type, check=control.check
                )
                done.append(file)
            path.unlink()
        if external:
            control.ask_leave()
            for output, path in external:
                self._put(output, path, control)
        return tuple(done)

    def _put(self, output: TaskOutput, path: Path, control: Control) -> None:
        """PUT to a URL that another attempt may hold as well: not a byte leaves once the lease is over."""

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    control.hold()
                    yield chunk

        headers = {"Content-Type": output.content_type, "Content-Length": str(path.stat().st_size)}
        host = urlsplit(output.url).hostname
        for tried in range(1, _TRIES + 1):
            control.hold()
            try:
                answer = self._outbound.send("PUT", output.url, headers=headers, content=chunks(), seconds=900.0)
                if 200 <= answer.status < 300:
                    return
                said = f"{host} answered {answer.status} to the upload of {output.name}"
                if answer.status < 500 and answer.status not in (408, 425, 429):
                    raise UploadRefused(
                        f"{said}: the URL has expired, or it is signed for something else than a PUT with "
                        f"Content-Type {output.content_type}, which is what was sent; sign a new one for that, or one that "
                        "leaves the Content-Type open."
                    )
            except OutboundRefused as error:
                raise UploadRefused(f"The upload of {output.name}: {error}") from error
            except OutboundFailed as error:
                said = f"The upload of {output.name} failed: {error}"
            if tried == _TRIES:
                raise TransferFailed(f"Gave up after {tried} tries: {said}")
            time.sleep(0.25 * 2**tried)


class _Meter:
    """Tells of bytes fetched, not of every chunk, and stops the fetch when the attempt is to end."""

    _EVERY = 0.25  # seconds

    def __init__(self, control: Control) -> None:
        self._control = control
        self._next = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        self._control.check()
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + self._EVERY
        size = f"{done / 1e6:.1f} MB" if total is None else f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
        self._control.on_progress(Progress(done=0, total=0, stage="fetching", message=f"fetching, {size}"))


def _described(output: TaskOutput, file: ProducedFile) -> UploadedFile:
    return UploadedFile(
        name=output.name,
        size=file.path.stat().st_size,
        sha256=file.sha256 or _sha256(file.path),
        duration=file.duration,
        crc32=_crc32(file.path),
    )


def _crc32(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
