"""The whole API in the process of a test: real stores in a folder, no worker, and a caller of it."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from service import FAST_MODEL
from starlette.testclient import TestClient

from stemwright_server.settings import Settings
from stemwright_server.wiring.api import Api, build_api
from stemwright_worker.contract.codec import described, dump_announcement
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.signing import sign
from stemwright_worker.contract.tasks import Announcement

sys.path.append(str(FAST_MODEL))
_fast_model = import_module("stemwright_fast_model")

GAIN: ServiceDescription = _fast_model.Gain().describe()  # as a worker of the fast model announces it
TOOLS: ServiceDescription = _fast_model.Tools().describe()  # models that take in nothing, two files, or one
SECRET = "w" * 32  # of the API's workers


def api_of(folder: Path, **settings: Any) -> Api:
    """An API over the folder; nothing of the environment is read but what ``settings`` leave out."""
    folder.mkdir(parents=True, exist_ok=True)
    return build_api(Settings(data_dir=folder, **settings), me="test", worker_secret=SECRET)


def caller_of(api: Api) -> TestClient:
    """What a caller beside it would use; an error that nobody expected is a 500, as in a service."""
    return TestClient(api.app, base_url="http://127.0.0.1", raise_server_exceptions=False)


def announce(client: TestClient, *services: ServiceDescription) -> int:
    """Have a worker announce services; the status of the answer."""
    said = Announcement(worker="far-1", services=services, described=described(services), nonce="n")
    body = dump_announcement(said)
    return client.post("/worker/announce", content=body, headers=sign(body, secret=SECRET, now=time.time())).status_code


def uploaded(client: TestClient, data: bytes) -> str:
    """The file_id of a file that was announced and sent."""
    announced = client.post("/upload", json={"filename": "song.wav", "size": len(data)})
    assert announced.status_code == 200, announced.text
    stored = client.put(announced.json()["upload_url"], content=data)
    assert stored.status_code == 201, stored.text
    return str(announced.json()["file_id"])
