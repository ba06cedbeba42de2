"""How a worker talks to the API and to signed URLs."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx2

from stemwright_worker.contract.codec import (
    dump_announcement,
    dump_claim,
    dump_leave,
    dump_multipart_request,
    dump_report,
    load_answer,
    load_multipart_plan,
    load_task,
)
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.signing import sign
from stemwright_worker.contract.tasks import (
    Announcement,
    ClaimRequest,
    Failed,
    Leave,
    MultipartPlan,
    MultipartRequest,
    Report,
    ReportAnswer,
    Task,
    TaskInput,
    UploadedFile,
)
from stemwright_worker.contract.worker_token import signing_key
from stemwright_worker.errors import AnnounceFirst, ContractMismatch, InvalidRequest, ServiceError, Unavailable

T = TypeVar("T")
_CHUNK = 1 << 18
_REFUSALS = {each.code: each for each in (AnnounceFirst, ContractMismatch)}
_TRIES = 4  # of a transfer; a report is tried as long as its lease holds


STORE_UNREACHABLE = "store_unreachable"
"""Code of a transfer that failed since the store is away, or lets nobody in: no fault of the job's."""
_AWAY = frozenset({401, 403, 408, 425, 429})  # statuses that, like 5xx, say nothing of what was sent


class TransferFailed(ServiceError):
    """Bytes could not be moved between the worker and the store."""

    code = "transfer_failed"
    retryable = True


BAD_TASK = "bad_task"  # the code of an attempt whose task a worker cannot read


class ApiClient:
    """Implements the worker's side of the workers' API. Used by two threads at once. ``secret``: it, or a worker's token."""

    def __init__(self, api_url: str, secret: str, *, transport: httpx2.BaseTransport | None = None) -> None:
        self._api = api_url.rstrip("/")
        self._secret, self._said = signing_key(secret)
        # No proxy from the environment: URLs are the API's own, and signatures are nobody else's business.
        self._http = httpx2.Client(trust_env=False, timeout=httpx2.Timeout(30.0, connect=5.0), transport=transport)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def correlate(self, request_id: str | None) -> None:
        """Send this id with all that follows, so that the API's log shows what a request caused."""
        self._http.headers.pop("X-Request-ID", None)
        if request_id is not None:
            self._http.headers["X-Request-ID"] = request_id

    def claim(
        self,
        *,
        worker: str,
        device: str,
        services: tuple[str, ...],
        described: str,
        wait_seconds: float,
        least_priority: int = 0,
    ) -> Task | None:
        """A task, or None after the wait.

        Raises:
            AnnounceFirst: the API does not know what ``described`` stands for.
            ContractMismatch: it is of another version than this worker.
            Unavailable: it does not answer, or not as expected.
        """
        request = ClaimRequest(
            worker=worker,
            device=device,
            services=services,
            described=described,
            wait_seconds=wait_seconds,
            least_priority=least_priority,
            nonce=secrets.token_hex(8),
        )
        response = self._post("/worker/claim", dump_claim(request), timeout=wait_seconds + 15.0)
        if response.status_code != 200:
            return None
        try:
            return load_task(response.content)
        except InvalidRequest as error:
            self._hand_back(response.content, str(error))
            raise Unavailable(f"The API gave a task that cannot be read: {error}") from error

    def _hand_back(self, body: bytes, why: str) -> None:
        """A task that cannot be read goes back to the API for others, if it can be told which one it is."""
        try:
            said = json.loads(body)
            self.report(
                Failed(
                    job_id=str(said["job_id"]),
                    attempt=int(said["attempt"]),
                    code=BAD_TASK,
                    message=why[:1000],
                    retryable=True,
                )
            )
        except (ValueError, KeyError, TypeError, Unavailable):
            return  # its lease has to end first

    def announce(self, *, worker: str, services: Sequence[ServiceDescription], described: str) -> None:
        """Say what the services here offer. Raises ContractMismatch, Unavailable."""
        message = Announcement(worker=worker, services=tuple(services), described=described, nonce=secrets.token_hex(8))
        self._post("/worker/announce", dump_announcement(message), timeout=15.0)

    def report(self, report: Report) -> ReportAnswer:
        """Say how an attempt goes. Raises Unavailable: the caller decides how long to try."""
        fresh = replace(report, nonce=secrets.token_hex(8))  # one that is said again within a second is no replay
        try:
            return load_answer(self._post("/worker/report", dump_report(fresh), timeout=15.0).content)
        except InvalidRequest as error:
            raise Unavailable(f"The API's answer to a report cannot be read: {error}") from error

    def hello(self, *, worker: str, device: str, services: tuple[str, ...], described: str) -> None:
        """Say that this worker is there, waiting elsewhere for its next task.

        Raises:
            AnnounceFirst: the API does not know what ``described`` stands for.
            ContractMismatch: it is of another version than this worker.
            Unavailable: it does not answer, or not as expected.
        """
        request = ClaimRequest(
            worker=worker,
            device=device,
            services=services,
            described=described,
            take=False,
            nonce=secrets.token_hex(8),
        )
        self._post("/worker/claim", dump_claim(request), timeout=3.0)

    def leave(self, worker: str, *, lost: bool = False) -> None:
        """Say that this worker, or all whose ids begin so, goes; or, of another one, that it died. Raises Unavailable."""
        message = Leave(worker=worker, nonce=secrets.token_hex(8), lost=lost)
        self._post("/worker/leave", dump_leave(message), timeout=5.0)

    def _post(self, path: str, body: bytes, *, timeout: float) -> httpx2.Response:
        headers = sign(body, secret=self._secret, now=time.time()) | self._said | {"Content-Type": "application/json"}
        try:
            response = self._http.post(self._api + path, content=body, headers=headers, timeout=timeout)
        except httpx2.HTTPError as error:
            raise Unavailable(f"The API at {self._api} does not answer: {error}.") from error
        if response.status_code == 409 and (refusal := _REFUSALS.get(_code(response))) is not None:
            raise refusal(response.json()["error"])
        if response.status_code not in (200, 204):
            raise Unavailable(f"The API answered {response.status_code} to {path}: {response.text[:300]}")
        return response

    def fetch(self, given: TaskInput, path: Path, check: Callable[[], None]) -> None:
        """Download an input that lies in the store. ``check`` is called for each chunk and may raise. Raises TransferFailed."""

        def once() -> None:
            digest, size = hashlib.sha256(), 0
            with path.open("wb") as file, self._http.stream("GET", given.url) as response:
                _raise_for(response, "input")
                for chunk in response.iter_bytes(_CHUNK):
                    check()
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
            if (size, digest.hexdigest()) != (given.size, given.sha256):  # both known of what lies in the store
                raise TransferFailed(f"The input came with {size} bytes, not whole as the {given.size} uploaded.")

        _try(once, check)

    def upload(self, url: str, path: Path, *, sha256: str, content_type: str, check: Callable[[], None]) -> None:
        """PUT a file, with its digest for the store to check. Raises TransferFailed."""
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(path.stat().st_size),
            "Content-Digest": f"sha-256=:{digest}:",
        }

        def once() -> None:
            body = _chunks(path, 0, path.stat().st_size, check)
            _raise_for(self._http.put(url, content=body, headers=headers), path.name)

        _try(once, check)

    def upload_in_parts(self, task: Task, file: UploadedFile, path: Path, check: Callable[[], None]) -> UploadedFile:
        """PUT a large output part by part; what to report of it. Raises TransferFailed or Unavailable."""
        plan = self._plan(task, file)
        etags = []
        for number, url in enumerate(plan.urls):
            begin = number * plan.part_bytes
            etags.append(self._put_part(url, path, begin, min(plan.part_bytes, file.size - begin), check))
        return replace(file, upload_id=plan.upload_id, etags=tuple(etags))

    def _plan(self, task: Task, file: UploadedFile) -> MultipartPlan:
        request = MultipartRequest(
            job_id=task.job_id, attempt=task.attempt, name=file.name, size=file.size, nonce=secrets.token_hex(8)
        )
        try:
            return load_multipart_plan(
                self._post("/worker/parts", dump_multipart_request(request), timeout=30.0).content
            )
        except InvalidRequest as error:
            raise Unavailable(f"The API's plan for an upload cannot be read: {error}") from error

    def _put_part(self, url: str, path: Path, begin: int, count: int, check: Callable[[], None]) -> str:
        def once() -> str:
            body, headers = _chunks(path, begin, count, check), {"Content-Length": str(count)}
            response = self._http.put(url, content=body, headers=headers)
            _raise_for(response, f"a part of {path.name}")
            return str(response.headers["ETag"])

        return _try(once, check)


def _code(response: httpx2.Response) -> str:
    try:
        return str(response.json()["code"])
    except (ValueError, TypeError, KeyError):
        return ""  # it is not the API that answers


def _chunks(path: Path, begin: int, count: int, check: Callable[[], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while count and (chunk := file.read(min(_CHUNK, count))):
            check()
            count -= len(chunk)
            yield chunk


def _raise_for(response: httpx2.Response, what: str) -> None:
    if not response.is_success:
        away = response.status_code >= 500 or response.status_code in _AWAY
        raise TransferFailed(
            f"The store answered {response.status_code} to {what}.", code=STORE_UNREACHABLE if away else None
        )


def _try(once: Callable[[], T], check: Callable[[], None]) -> T:
    """What it returns; again after a passing fault, with growing waits."""
    tried = 1
    while True:
        try:
            return once()
        except (httpx2.HTTPError, TransferFailed) as error:
            if tried == _TRIES:
                code = error.code if isinstance(error, TransferFailed) else STORE_UNREACHABLE
                raise TransferFailed(f"Gave up after {tried} tries: {error}", code=code) from error
            check()
            time.sleep(0.25 * 2**tried)
            tried += 1
