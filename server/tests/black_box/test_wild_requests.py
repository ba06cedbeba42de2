"""Whatever is asked, in every dialect: no answer is a fault of ours, and none has a status that the document does not name."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from chaos import scaled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_process import GAIN, SECRET, TOOLS, announce, api_of, caller_of
from pydantic import SecretStr
from service import wav
from starlette.testclient import TestClient
from track_tree import signed as signed_split
from wild_requests import Operation, Wild, operations, requests

from stemwright_worker.contract.signing import sign

TOKEN, KEY = "t" * 32, "j" * 32
EXAMPLES = scaled(20, 1000)  # of each operation
WORKERS = ("announce", "claim", "report", "parts", "leave")  # not in the document: they are for our own workers
# What takes a job that was worked on or that path and body name, a dead webhook, a signed URL: other tests have those.
UNREACHED = ("/split/", "/admin/webhooks/", "/blobs/", "/api/download/", "/api/peaks/")
HOOK = "https://hooks.example/told"


def bearer(*roles: str) -> dict[str, str]:
    token = jwt.encode({"sub": "ann", "exp": time.time() + 36000, "roles": list(roles)}, KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The API and what is in it."""

    client: TestClient = field(repr=False)
    words: dict[str, Sequence[Any]] = field(repr=False)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    api = api_of(
        tmp_path_factory.mktemp("api"),
        demucssvc_token=SecretStr(TOKEN),
        jwt_secret=SecretStr(KEY),
        api_webhook_url_allowlist=(HOOK,),
        webserver_upload_rate="",
        webserver_rate="",
        api_rate_limit=10**9,
        min_free_bytes=0,
        max_queued=0,
        webserver_model="half",
        webserver_format="wav",
        demucs_default_model="half",
    )
    client = caller_of(api)
    assert announce(client, GAIN, TOOLS) == 204
    api.wakeups.close()  # a stream ends with what there is to say now, and a claim waits for nothing
    yield client
    api.repository.close()


@pytest.fixture
def asked(client: TestClient) -> Asked:
    """With files and jobs of its own."""
    ann, song = bearer("admin"), wav(0.05, seed=secrets.randbelow(1 << 30))
    announced = client.post("/upload", json={"filename": "a.wav"}, headers=ann).json()
    later = client.post("/upload", json={"filename": "b.wav"}, headers=ann).json()
    client.put(announced["upload_url"], content=song)
    files, jobs = [announced["file_id"], later["file_id"]], []
    for name in ("loud", "half"):
        body = {"file_id": files[0], "model": "gain", "variation": name}
        jobs.append(client.post("/process", json=body, headers=ann).json()["job_id"])
    for path, name in (("/api/upload", "audio_file"), ("/api/v1/stemify", "file")):
        sent = {name: ("song.wav", song)}
        jobs.append(client.post(path, files=sent, data={"model": "half"}, headers=ann).json()["job_id"])
    client.post(f"/jobs/{jobs[0]}/cancel", headers=ann)
    words: dict[str, Sequence[Any]] = {
        "file_id": files,
        "job_id": jobs,
        "jobId": jobs,
        "before": ["1.5_abc", f"{time.time() + 9!r}_{'f' * 32}", "2026-12-01T00:00:00Z", "9999-12-31T23:59:59-12:00"],
        "model": ["gain", "half", "loud", "tools"],
        "variation": ["half", "count", "sum", "silence", "default"],
        "aiModel": ["half", "loud"],
        "json:params": [{}, {}, {"segments": 3}, {"seconds": 1e308}],
        "json:inputs": [None, None, [], [{"file_id": files[0]}], [{"job_id": jobs[1], "output": "quiet"}]],
        "json:stems": [None, ["quiet"], ["rest", "quiet"]],
        "json:uploadUrls": [None, {"quiet": "https://example.com/quiet", "rest": "https://example.com/rest"}],
        "json:priority": [0, 5, 9],
        "json:format": ["wav", "mp3"],
        "body:/process": [{"file_id": files[0], "model": "gain"}, {"model": "tools", "variation": "silence"}],
        "body:/split": [
            {"versionId": "v", "audioUrl": "https://example.com/s.wav", "aiModel": "half", "webhook": HOOK}
        ],
        "webhook": [HOOK],
        "webhook_url": [HOOK],
        "audioUrl": ["https://example.com/song.wav", "http://127.0.0.1/song.wav", "file:///etc/passwd"],
        "source_url": ["", "https://example.com/song.wav", "http://[::1]/", "https://example.com:99999/"],
        "youtube_url": ["", "https://youtu.be/abcdefghijk", "https://example.com/watch?v=abcdefghijk"],
        "format": ["wav", "mp3", "midi"],
        "output_format": ["wav", "mp3"],
        "worker": ["local-", "far-1"],
        "webhook_id": jobs,
        "stem": ["quiet", "rest"],
        "stems": ["all", "quiet", "quiet,rest", "vocals"],
        "priority": ["0", "9", "10", "-1"],
        "key": ["uploads/x", "outputs/a/b/c/d/e.wav"],
    }
    return Asked(client=client, words=words)


@cache
def documented() -> Sequence[Operation]:
    """Of the document as it is when every dialect is on."""
    import yaml

    root = Path(__file__).resolve().parents[3]
    found = {}
    for page in sorted((root / "dev" / "openapi").glob("*.yaml")):
        for each in operations(yaml.safe_load(page.read_text())):
            found[str(each)] = each
    return list(found.values())


def answer_to(asked: Asked, wild: Wild, who: dict[str, str]) -> tuple[int, str]:
    # What is signed has to be signed well, or everything behind the signature stays unseen.
    if wild.url.startswith(("/split", "/queue")):
        who = who and signed_split(wild.body or b"", TOKEN)
    headers = dict(wild.headers) | who
    if wild.body is not None:
        headers["Content-Type"] = "application/json"
    body = {"content": wild.body} if wild.body is not None else {"data": dict(wild.fields), "files": list(wild.files)}
    answer = asked.client.request(wild.method, wild.url, params=dict(wild.query), headers=headers, **body)
    return answer.status_code, answer.text[:500]


def shown(operation: Operation) -> str:
    return str(operation)


@pytest.mark.parametrize("operation", documented(), ids=shown)
def test_every_answer_is_one_that_the_document_names(asked: Asked, operation: Operation) -> None:
    seen: set[int] = set()

    @settings(max_examples=EXAMPLES)
    @given(wild=requests(operation, asked.words), who=st.sampled_from([bearer("admin")] * 6 + [bearer(), {}]))
    def ask(wild: Wild, who: dict[str, str]) -> None:
        status, text = answer_to(asked, wild, who)
        seen.add(status)
        assert status < 500, (status, text)
        assert str(status) in operation.about["responses"], (status, text)

    ask()
    if not operation.path.startswith(UNREACHED):  # else nothing behind the doors was looked at
        assert any(status < 300 for status in seen), seen


@pytest.mark.parametrize("route", WORKERS)
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_signed_nonsense_of_a_worker_is_a_fault_of_ours(asked: Asked, route: str, data: st.DataObject) -> None:
    names = st.sampled_from(
        ["contract", "worker", "services", "described", "nonce", "kind", "job_id", "attempt", "files", "device", "name"]
    )
    leaves = st.one_of(st.none(), st.integers(-1, 2**65), st.text(max_size=9), st.sampled_from(asked.words["job_id"]))
    value = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))
    said = data.draw(st.dictionaries(names, value, max_size=8) | value)
    if isinstance(said, dict) and data.draw(st.integers(0, 3)):
        said["contract"] = 1
    body = data.draw(st.binary(max_size=40)) if data.draw(st.integers(0, 9)) == 0 else json.dumps(said).encode()
    headers = sign(body, secret=SECRET, now=time.time())
    answer = asked.client.post(f"/worker/{route}", content=body, headers=headers)
    assert answer.status_code in (200, 204, 401, 409, 422), (answer.status_code, answer.text, body)
