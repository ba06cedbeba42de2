"""The worker's loop against an API that answers what the test wants."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from stemwright_worker.client import ApiClient
from stemwright_worker.contract.codec import (
    described,
    dump_answer,
    dump_task,
    load_announcement,
    load_claim,
    load_report,
)
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.signing import Verifier
from stemwright_worker.contract.tasks import (
    Completed,
    Failed,
    Progressed,
    Publishing,
    Report,
    ReportAnswer,
    Task,
    TaskInput,
    TaskOutput,
)
from stemwright_worker.control import Pace
from stemwright_worker.errors import Unavailable
from stemwright_worker.net.outbound import Answer, Outbound
from stemwright_worker.ports.probe import ProbeResult
from stemwright_worker.ports.sources import Fetched, FetchLimits, SourceExpired
from stemwright_worker.runtime import GpuLost, Identity, Runtime
from stemwright_worker.service import LoadedModel, ProducedFile, Progress, RunRequest, RunResult, Service
from stemwright_worker.transfers import Transfers

MIX = b"mix" * 1000
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "

INPUT = TaskInput(
    name="input",
    url="http://api/in",
    filename="my song.wav",
    size=len(MIX),
    sha256=hashlib.sha256(MIX).hexdigest(),
)


class Loaded:
    def __init__(self, run: Callable[[RunRequest], RunResult]) -> None:
        self._run = run

    def run(self, request: RunRequest, on_progress: Callable[[Progress], None]) -> RunResult:
        on_progress(Progress(done=1, total=1, stage="separating"))
        return self._run(request)


class Services:
    """One model, and how often it was loaded."""

    name = "m"

    def __init__(self, run: Callable[[RunRequest], RunResult]) -> None:
        self._run = run
        self.loaded: list[tuple[str, str]] = []

    def all(self) -> Sequence[Service]:
        return [self]

    def get(self, name: str) -> Service | None:
        return self if name == "m" else None

    def descriptions(self) -> tuple[ServiceDescription, ...]:
        return (self.describe(),)

    def describe(self) -> ServiceDescription:
        return ServiceDescription(name="m", version="1")

    def prepare(self, device: str) -> None:
        pass

    def load(self, model: str, device: str) -> LoadedModel:
        self.loaded.append((model, device))
        return Loaded(self._run)


class Api:
    """Hands out tasks, keeps what is said and uploaded, and faults as often as told."""

    def __init__(self, tasks: list[Task], faults: dict[str, int] | None = None) -> None:
        self.tasks = tasks
        self.faults = faults or {}
        self.reports: list[Report] = []
        self.uploads: dict[str, bytes] = {}
        self.left = False
        self.known: set[str] = set()  # hashes of what was announced
        self.sent: list[str] = []  # URLs of callers that were PUT to
        self.answers: list[int] = []  # of those, the next ones
        self.grants = True  # whether leave to publish is given
        self.done: Callable[[], None] = lambda: None
        self._verifier = Verifier(["secret"])

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path, body = request.url.path, request.read()
        if self.faults.get(path, 0):
            self.faults[path] -= 1
            raise httpx2.ConnectError("as if the cable was out")
        if path == "/in":
            return httpx2.Response(200, content=MIX)
        if request.method == "PUT":
            digest = request.headers["Content-Digest"]
            assert digest.startswith("sha-256=:")
            self.uploads[path] = body
            return httpx2.Response(201)
        self._verifier.verify(body, request.headers)
        return self.post(path, body)

    def post(self, path: str, body: bytes) -> httpx2.Response:
        if path == "/worker/claim":
            claim = load_claim(body)
            assert claim.services == ("m",)
            if claim.described not in self.known:
                refusal = {"error": "Announce first.", "code": "announce_first"}
                return httpx2.Response(409, json=refusal)
            if self.tasks:
                return httpx2.Response(200, content=dump_task(self.tasks.pop(0)))
            self.done()
            return httpx2.Response(204)
        if path == "/worker/announce":
            self.known.add(load_announcement(body).described)
            return httpx2.Response(204)
        if path == "/worker/leave":
            self.left = True
            return httpx2.Response(204)
        report = load_report(body)
        self.reports.append(report)
        granted = self.grants or not isinstance(report, Publishing)
        return httpx2.Response(200, content=dump_answer(ReportAnswer(accepted=granted, stop=not granted)))

    @property
    def ends(self) -> list[Report]:
        return [report for report in self.reports if not isinstance(report, Progressed | Publishing)]


class WavProbe:
    """Knows wav files by their first bytes."""

    def sniff(self, head: bytes) -> str | None:
        return "audio/wav" if head[8:12] == b"WAVE" else None

    def probe(self, path: Path, *, filename: str) -> ProbeResult:
        return ProbeResult()


class Outside:
    """What lies beyond the API: a source, and callers' upload URLs."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def check(self, url: str) -> None:
        pass

    def fetch(
        self, url: str, into: Path, limits: FetchLimits, *, check: Callable[[int, int | None], None] = lambda *_: None
    ) -> Fetched:
        if "expired" in url:
            raise SourceExpired("The source answered 403.")
        data = WAV if "song" in url else b"<html>"
        check(len(data), None)
        into.write_bytes(data)
        return Fetched(size=len(data), sha256=hashlib.sha256(data).hexdigest(), filename="x", content_type="")

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], content: Iterable[bytes], seconds: float
    ) -> Any:
        self._api.sent.append(url)
        sent = b"".join(content)
        status = self._api.answers.pop(0) if self._api.answers else 200
        if status == 200:
            self._api.uploads[url] = sent
        return Answer(status=status, headers={})


def task(number: int = 1, model: str = "v") -> Task:
    return Task(
        job_id=f"j{number}",
        attempt=1,
        file_id="f",
        request_id="r",
        service="m",
        model=model,
        params={},
        inputs=(INPUT,),
        outputs=(
            TaskOutput(name="a", filename="a.wav", content_type="audio/wav", url=f"http://api/out/{number}/a.wav"),
        ),
        lease_seconds=60.0,
        timeout_seconds=600.0,
        max_bytes=1 << 20,
        max_seconds=None,
    )


def reverse(request: RunRequest) -> RunResult:
    path = request.workdir / "a"
    path.write_bytes(request.inputs[0].path.read_bytes()[::-1])
    return RunResult(files=(ProducedFile(name="a", path=path, duration=1.0),), report={"x": 1})


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Api, Services], None]:
    def run(api: Api, services: Services) -> None:
        client = ApiClient("http://api", "secret", transport=httpx2.MockTransport(api))
        identity = Identity(worker="w", device="cpu", work_dir=tmp_path / "work")
        (tmp_path / "work" / "left").mkdir(parents=True)  # by an attempt that died
        outside = Outside(api)
        transfers = Transfers(
            client, sources={"http": outside}, probe=lambda max_seconds: WavProbe(), outbound=cast(Outbound, outside)
        )
        runtime = Runtime(client, transfers, services, identity, Pace(heartbeat=5.0, least=0.001, grace=5.0))
        api.done = runtime.leave
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        runtime.run()
        assert api.left
        assert not (tmp_path / "work").exists()

    return run


def test_a_task_is_fetched_run_uploaded_and_reported(work: Any) -> None:
    api = Api([task()])
    work(api, Services(reverse))
    assert api.uploads == {"/out/1/a.wav": MIX[::-1]}
    (end,) = api.ends
    assert isinstance(end, Completed)
    assert (end.files[0].size, end.files[0].sha256) == (len(MIX), hashlib.sha256(MIX[::-1]).hexdigest())
    assert (end.report["x"], end.report["device"]) == (1, "cpu")
    assert set(end.report["stage_seconds"]) == {"starting", "fetching", "loading", "separating", "uploading"}


def test_what_a_service_offers_is_announced_when_the_api_does_not_know_it_and_then_work_comes(work: Any) -> None:
    api = Api([task()])
    work(api, Services(reverse))
    assert api.known == {described([Services(reverse).describe()])}
    assert [type(end) for end in api.ends] == [Completed]


def test_the_last_variation_stays_loaded(work: Any) -> None:
    services = Services(reverse)
    work(Api([task(1), task(2), task(3, "other"), task(4, "other")]), services)
    assert services.loaded == [("v", "cpu"), ("other", "cpu")]


@pytest.mark.parametrize("path", ["/in", "/out/1/a.wav", "/worker/report"])
def test_a_short_fault_of_the_network_is_bridged(work: Any, path: str) -> None:
    api = Api([task()], {path: 2})
    work(api, Services(reverse))
    assert [type(end) for end in api.ends] == [Completed]


def test_a_long_one_is_a_passing_failure(work: Any) -> None:
    api = Api([task()], {"/in": 99})
    work(api, Services(reverse))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("store_unreachable", True)


def test_messages_name_the_file_as_the_caller_does(work: Any) -> None:
    def fail(request: RunRequest) -> RunResult:
        raise ValueError(f"cannot read '{request.inputs[0].path}'\nnor write '{request.workdir}/x'")

    api = Api([task()])
    work(api, Services(fail))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert end.message == "ValueError: cannot read 'my song.wav' nor write 'out/x'"
    assert (end.code, end.retryable) == ("crashed", True)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no weights in /home/svc/.cache/torch/hub/a-1.th: fetch them", "no weights in a-1.th: fetch them"),
        ("[Errno 2] No such file: '/srv/models/mine.yaml'", "[Errno 2] No such file: 'mine.yaml'"),
        ("asked https://example.com/a/b and /a", "asked https://example.com/a/b and /a"),
        ("1/2 of it, and/or all", "1/2 of it, and/or all"),
    ],
)
def test_messages_do_not_tell_where_things_lie_on_the_worker(work: Any, said: str, shown: str) -> None:
    def fail(request: RunRequest) -> RunResult:
        raise ValueError(said)

    api = Api([task()])
    work(api, Services(fail))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert end.message == f"ValueError: {shown}"


def test_a_failed_task_does_not_stop_the_next(work: Any) -> None:
    def odd(request: RunRequest) -> RunResult:
        if request.model == "bad":
            raise ValueError
        return reverse(request)

    api = Api([task(1, "bad"), task(2)])
    work(api, Services(odd))
    assert [type(end) for end in api.ends] == [Failed, Completed]


def test_a_work_folder_that_was_tidied_away_is_made_again(work: Any, tmp_path: Path) -> None:
    class Tidied(Api):
        def post(self, path: str, body: bytes) -> httpx2.Response:
            if path == "/worker/claim":
                shutil.rmtree(tmp_path / "work", ignore_errors=True)  # a claim may be answered "announce first"
            return super().post(path, body)

    api = Tidied([task(1), task(2)])
    work(api, Services(reverse))
    assert [type(end) for end in api.ends] == [Completed, Completed]


def test_a_work_folder_that_cannot_be_made_fails_the_task_and_not_the_worker(
    work: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path.mkdir

    def mkdir(path: Path, *args: Any, **options: Any) -> None:
        if path.name == "j1-1":
            raise PermissionError(13, "Permission denied", str(path))
        made(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    api = Api([task(1), task(2)])
    work(api, Services(reverse))
    assert [type(end) for end in api.ends] == [Failed, Completed]
    failed = cast(Failed, api.ends[0])
    assert (failed.message, failed.retryable) == (
        "The worker cannot make a folder to work in: Permission denied.",
        True,
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_is_full_or_broken_is_said_to_be_the_workers_fault(work: Any, number: int) -> None:
    def full(request: RunRequest) -> RunResult:
        raise OSError(number, os.strerror(number), str(request.workdir / "vocals.wav"))

    api = Api([task()])
    work(api, Services(full))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("worker_disk_full", True)
    assert os.strerror(number) in end.message


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: unspecified launch failure",
        "CUDA error: device-side assert triggered",
        "CUDA error: uncorrectable ECC error encountered",
        "No CUDA GPUs are available",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_a_worker_that_lost_its_gpu_gives_the_job_back_and_leaves(work: Any, words: str) -> None:
    def lost(request: RunRequest) -> RunResult:
        try:
            raise RuntimeError(words)
        except RuntimeError as error:
            raise ValueError("segment 3 could not be computed") from error

    api = Api([task(1), task(2)])
    with pytest.raises(GpuLost):
        work(api, Services(lost))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == ("gpu_lost", True)
    assert api.left
    assert len(api.tasks) == 1  # the next one is for others


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB",
        "CUDA error: out of memory",
        "CUDA error: no kernel image is available for execution on the device",
    ],
)
def test_a_gpu_without_room_for_a_song_or_code_is_not_lost(work: Any, words: str) -> None:
    def short(request: RunRequest) -> RunResult:
        if request.model == "long":
            raise RuntimeError(words)
        return reverse(request)

    api = Api([task(1, "long"), task(2)])
    work(api, Services(short))
    assert [type(end) for end in api.ends] == [Failed, Completed]


@pytest.mark.parametrize(
    ("said", "handed_back"),
    [
        (b'{"contract": 1, "job_id": "odd", "attempt": 4, "inputs": "none"}', [("odd", 4)]),
        (b'{"contract": 1, "job_id": "odd", "attempt": "x"}', []),
        (b"[1, 2]", []),
        (b"<html>a proxy's page</html>", []),
        (b"\xff", []),
    ],
)
def test_a_task_that_cannot_be_read_is_handed_back_and_the_worker_goes_on(
    work: Any, said: bytes, handed_back: list[tuple[str, int]]
) -> None:
    class Odd(Api):
        odd = True

        def post(self, path: str, body: bytes) -> httpx2.Response:
            if path == "/worker/claim" and self.known and self.odd:
                self.odd = False
                return httpx2.Response(200, content=said)
            return super().post(path, body)

    api = Odd([task()])
    work(api, Services(reverse))
    *back, end = api.ends
    assert isinstance(end, Completed)
    assert [(each.job_id, each.attempt) for each in back] == handed_back
    assert all(isinstance(each, Failed) and each.code == "bad_task" and each.retryable for each in back)


class Broken(Services):
    """A service that cannot be prepared, and one that can."""

    name = "broken"

    def __init__(self, *others: Services) -> None:
        super().__init__(reverse)
        self._others = others

    def all(self) -> Sequence[Service]:
        return [self, *self._others]

    def get(self, name: str) -> Service | None:
        return next((each for each in self.all() if each.name == name), None)

    def descriptions(self) -> tuple[ServiceDescription, ...]:
        return tuple(each.describe() for each in self.all())

    def describe(self) -> ServiceDescription:
        return ServiceDescription(name="broken", version="1")

    def prepare(self, device: str) -> None:
        raise ImportError("libcudart.so.12: cannot open shared object file")


def test_a_service_that_cannot_be_prepared_keeps_no_other_from_serving(work: Any) -> None:
    api = Api([task()])
    work(api, Broken(Services(reverse)))  # every claim names the other alone
    assert [type(end) for end in api.ends] == [Completed]


def test_a_worker_none_of_whose_services_can_be_prepared_says_so_and_ends(work: Any) -> None:
    with pytest.raises(Unavailable, match="No service here can be prepared: broken"):
        work(Api([task()]), Broken())


def linked(url: str = "https://a/song", *, source: str = "http", upload_url: str = "https://b/a.wav") -> Task:
    """A task whose input is a link and whose output goes to the caller's own URL."""
    given = task()
    outputs = tuple(replace(output, url=upload_url, external=True) for output in given.outputs)
    link = replace(INPUT, source=source, url=url, size=None, sha256=None)
    return replace(given, inputs=(link,), outputs=outputs)


def test_a_link_is_fetched_by_its_source_and_the_stem_put_to_the_callers_url_with_leave(work: Any) -> None:
    api = Api([linked()])
    work(api, Services(reverse))
    assert api.uploads == {"https://b/a.wav": WAV[::-1]}
    kinds = [report.kind for report in api.reports if not isinstance(report, Progressed)]
    assert kinds == ["publishing", "completed"]


def test_without_leave_not_a_byte_is_put_and_nothing_more_is_said(work: Any) -> None:
    api = Api([linked()])
    api.grants = False
    work(api, Services(reverse))
    assert api.sent == []
    assert api.ends == []


@pytest.mark.parametrize(
    ("given", "code", "retryable"),
    [
        (linked("https://a/expired"), "source_expired", False),
        (linked("https://a/page"), "not_audio", False),
        (linked(source="carrier pigeon"), "unavailable", True),
    ],
)
def test_a_link_that_leads_to_nothing_usable_says_why(work: Any, given: Task, code: str, retryable: bool) -> None:
    api = Api([given])
    work(api, Services(reverse))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert (end.code, end.retryable) == (code, retryable)
    assert api.sent == []


@pytest.mark.parametrize(
    ("answers", "code", "retryable", "tries"),
    [([403], "upload_refused", False, 1), ([301], "upload_refused", False, 1), ([503] * 9, "transfer_failed", True, 4)],
)
def test_a_callers_url_that_does_not_take_the_stem_fails_the_job_with_its_answer(
    work: Any, answers: list[int], code: str, retryable: bool, tries: int
) -> None:
    api = Api([linked(upload_url="https://store.example/a.wav?X-Amz-Signature=secret")])
    api.answers = list(answers)
    work(api, Services(reverse))
    (end,) = api.ends
    assert isinstance(end, Failed)
    assert (end.code, end.retryable, len(api.sent)) == (code, retryable, tries)
    assert f"store.example answered {answers[0]} to the upload of a" in end.message
    assert "secret" not in end.message
    if answers == [403]:  # a URL that signs another Content-Type is refused so as well
        assert "signed for something else than a PUT with Content-Type audio/wav" in end.message


def test_a_short_fault_of_the_callers_store_is_bridged(work: Any) -> None:
    api = Api([linked()])
    api.answers = [503, 429]
    work(api, Services(reverse))
    assert [type(end) for end in api.ends] == [Completed]


def test_a_report_that_is_said_again_within_a_second_is_no_replay() -> None:
    """The API may have taken the first one and failed to answer; the API here remembers every signature, as the real one."""
    api = Api([])
    client = ApiClient("http://api", "secret", transport=httpx2.MockTransport(api))
    for report in (
        Progressed(job_id="j", attempt=1, progress=Progress(done=1, total=2, stage="separating")),
        Publishing(job_id="j", attempt=1),
        Failed(job_id="j", attempt=1, code="crashed", message="m", retryable=True),
    ):
        assert [client.report(report).accepted for _ in range(3)] == [True] * 3
