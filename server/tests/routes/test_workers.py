"""The routes of workers: what is announced, and which contract is spoken."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from elsewhere import worker_of
from service import COMMAND, Service, environment, running, until, wav

from stemwright_worker.contract.codec import (
    described,
    dump_announcement,
    dump_claim,
    dump_leave,
    dump_multipart_request,
    dump_report,
)
from stemwright_worker.contract.description import ModelDescription, OutputRule, ServiceDescription
from stemwright_worker.contract.signing import sign
from stemwright_worker.contract.tasks import Announcement, ClaimRequest, Failed, Leave, MultipartRequest
from stemwright_worker.contract.worker_token import mint, signing_key

SECRET = "w" * 32
OFFERED = ServiceDescription(
    name="whisper",
    version="1.0",
    models=(
        ModelDescription(
            name="large",
            description="Words.",
            licence="MIT",
            kind="transcription",
            outputs=(OutputRule(name="text", filename="text.json", content_type="application/json", role="text"),),
        ),
    ),
)
SETTINGS = {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_WORKER_SECRET": SECRET, "STEMWRIGHT_MODELS": ""}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "data", SETTINGS) as service:
        yield service


def a_claim() -> bytes:
    said = described([OFFERED])
    nonce = secrets.token_hex(8)
    return dump_claim(ClaimRequest(worker="far-1", device="cpu", services=("whisper",), described=said, nonce=nonce))


def post(api: Service, path: str, body: bytes) -> httpx2.Response:
    headers = sign(body, secret=SECRET, now=time.time()) | {"Content-Type": "application/json"}
    return api.client.http.post(path, content=body, headers=headers)


def announce(api: Service, offered: ServiceDescription = OFFERED) -> httpx2.Response:
    said = Announcement(worker="far-1", services=(offered,), described=described([offered]), nonce="n")
    return post(api, "/worker/announce", dump_announcement(said))


def changed(body: bytes, **values: Any) -> bytes:
    return json.dumps({**json.loads(body), **values}).encode()


def test_a_worker_announces_before_it_gets_work_and_its_service_is_offered_from_then_on(api: Service) -> None:
    first = post(api, "/worker/claim", a_claim())
    assert (first.status_code, first.json()["code"]) == (409, "announce_first"), first.text
    assert announce(api).status_code == 204
    assert post(api, "/worker/claim", a_claim()).status_code == 204
    offered = {each["name"]: each for each in api.client.http.get("/models").json()["models"]}
    assert [each["name"] for each in offered["whisper"]["variations"]] == ["large"]


def test_what_was_announced_outlives_the_api(tmp_path: Path) -> None:
    with running(tmp_path / "data", SETTINGS) as service:
        assert announce(service).status_code == 204
    with running(tmp_path / "data", SETTINGS) as service:
        assert "whisper" in {each["name"] for each in service.client.http.get("/models").json()["models"]}
        assert post(service, "/worker/claim", a_claim()).status_code == 204


@pytest.mark.parametrize("path", ["/worker/claim", "/worker/announce"])
@pytest.mark.parametrize(("contract", "older"), [(0, "stemwright-worker"), (2, "stemwright-server")])
def test_another_contract_is_refused_and_the_answer_says_what_to_upgrade(
    api: Service, path: str, contract: int, older: str
) -> None:
    answer = post(api, path, json.dumps({"contract": contract}).encode())
    assert (answer.status_code, answer.json()["code"]) == (409, "contract_mismatch"), answer.text
    assert f"upgrade {older} where it runs" in answer.json()["error"]


def test_a_field_of_the_next_version_keeps_no_worker_out(api: Service) -> None:
    said = Announcement(worker="far-1", services=(OFFERED,), described=described([OFFERED]), nonce="n")
    services = [json.loads(dump_announcement(said))["services"][0] | {"colour": "red"}]
    newer = changed(dump_announcement(said), services=services, described="hash of what is not all known here", mood=1)
    assert post(api, "/worker/announce", newer).status_code == 204
    claim = changed(a_claim(), described="hash of what is not all known here", mood=1)
    assert post(api, "/worker/claim", claim).status_code == 204


def test_a_service_whose_params_are_no_schema_is_refused(api: Service) -> None:
    model = ModelDescription(name="v", description="", licence="", params={"type": "thing"})
    answer = announce(api, ServiceDescription(name="bad", version="1", models=(model,)))
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_description"), answer.text


def test_nobody_leaves_without_a_name(api: Service) -> None:
    """Every id begins with nothing: all workers would be gone."""
    refused = post(api, "/worker/leave", dump_leave(Leave(worker="", nonce="n")))
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_message")


def test_nobody_announces_unsigned(api: Service) -> None:
    answer = api.client.http.post("/worker/announce", content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_missing")


def workers(service: Service, *arguments: str) -> str:
    """What ``stemwright workers`` prints, beside the running service."""
    command = [*COMMAND, "workers", *arguments, "--data-dir", str(service.data_dir)]
    return subprocess.run(
        command, env=environment(service.state, {}), capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_drained_worker_ends_its_job_and_gets_no_other_until_it_is_resumed(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_WORKER_SECRET": SECRET}
    with running(tmp_path / "data", settings) as service, worker_of(service, tmp_path / "w", settings, celery=False):
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, segments=20, sleep=0.1)
        client.wait_for_segment(file_id, job_id, seconds=240.0)
        (line,) = workers(service, "list").splitlines()
        worker = line.split()[0]
        assert f"job={job_id}  open  device=" in line
        host = worker.rsplit("-", 3)[0] + "-"
        assert worker.startswith(host)
        assert workers(service, "drain", host) == "1 workers get no new jobs"
        client.wait(file_id, job_id, "completed", seconds=240.0)
        time.sleep(2.0)  # so long a process may go by what it asked before
        waits = client.submit(file_id, segments=3)
        with worker_of(service, tmp_path / "w2", settings, celery=False):  # of the same host: drained as well
            until(
                lambda: len(workers(service, "list").splitlines()) == 2, seconds=120.0, what="the second to say hello"
            )
            listed = workers(service, "list").splitlines()
            assert [each.split()[1:3] for each in listed] == [["idle", "drained"]] * 2
            assert client.job(file_id, waits)["status"] == "queued"
        assert workers(service, "resume", host) == f"{host} gets jobs again"
        client.wait(file_id, waits, "completed", seconds=240.0)


def token_of(service: Service, name: str, secret: str = SECRET) -> str:
    """As the command prints it."""
    command = [*COMMAND, "workers", "token", "--service", name, "--ttl", "1h"]
    settings = environment(service.state, {"STEMWRIGHT_WORKER_SECRET": secret})
    return subprocess.run(command, env=settings, capture_output=True, text=True, check=True).stdout.strip()


def test_a_worker_with_a_token_gets_and_touches_the_jobs_of_its_services_only(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_WORKER_SECRET": SECRET}
    with running(tmp_path / "data", settings) as service:
        key, headers = signing_key(token_of(service, "whisper"))

        def as_whisper(path: str, body: bytes) -> tuple[int, str]:
            signature = sign(body, secret=key, now=time.time()) | headers
            answer = service.client.http.post(path, content=body, headers=signature)
            return answer.status_code, answer.json()["code"] if answer.content else ""

        refused = (403, "service_not_allowed")
        whisper = Announcement(worker="w-1", services=(OFFERED,), described=described([OFFERED]), nonce="n")
        assert as_whisper("/worker/announce", dump_announcement(whisper)) == (204, "")
        demucs = replace(OFFERED, name="demucs")
        both = Announcement(worker="w-1", services=(OFFERED, demucs), described=described([OFFERED, demucs]), nonce="n")
        assert as_whisper("/worker/announce", dump_announcement(both)) == refused
        assert as_whisper("/worker/claim", a_claim()) == (204, "")
        gain = {"STEMWRIGHT_WORKER_SECRET": token_of(service, "gain")}
        with worker_of(service, tmp_path / "w", gain, celery=False):
            file_id = service.client.upload(wav())
            job_id = service.client.submit(file_id, segments=200, sleep=0.05)
            service.client.wait_for_segment(file_id, job_id, seconds=240.0)
            for services in (("gain",), ("whisper", "gain")):
                claim = ClaimRequest(worker="w-1", device="cpu", services=services, nonce=secrets.token_hex(8))
                assert as_whisper("/worker/claim", dump_claim(claim)) == refused
            failed = Failed(job_id=job_id, attempt=1, code="x", message="", retryable=False, nonce="n")
            assert as_whisper("/worker/report", dump_report(failed)) == refused
            part = MultipartRequest(job_id=job_id, attempt=1, name="a", size=1, nonce="n")
            assert as_whisper("/worker/parts", dump_multipart_request(part)) == refused
            (other,) = [line.split()[0] for line in workers(service, "list").splitlines() if "services=gain" in line]
            for worker in (other[:3], other):
                leave = Leave(worker=worker, nonce=secrets.token_hex(8), lost=True)
                assert as_whisper("/worker/leave", dump_leave(leave)) == refused
            assert service.client.job(file_id, job_id)["status"] in ("running", "completed")
            service.client.wait(file_id, job_id, "completed", seconds=240.0)
        elsewhere = Leave(worker="far-1", nonce="n")
        assert as_whisper("/worker/leave", dump_leave(elsewhere)) == (204, "")


@pytest.mark.parametrize(
    ("arguments", "secret", "said"),
    [
        (["--service", "a b"], SECRET, "'a b' is no name of a service"),
        (["--service", "a", "--ttl", "soon"], SECRET, "is no time"),
        (["--service", "a", "--ttl", "0s"], SECRET, "out of range"),
        (["--service", "a"], "", "set STEMWRIGHT_WORKER_SECRET"),
        (["--service", "a"], mint(SECRET, services=["a"], expires_at=9e9), "is a worker's token"),
    ],
)
def test_a_token_that_cannot_be_made_is_one_line(tmp_path: Path, arguments: list[str], secret: str, said: str) -> None:
    settings = environment(tmp_path, {"STEMWRIGHT_WORKER_SECRET": secret} if secret else {})
    command = [*COMMAND, "workers", "token", *arguments]
    refused = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
