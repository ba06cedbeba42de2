"""A new dialect is one value: what the service asks of a dialect, it asks of this one, which no other file knows of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Request
from jobs import job
from pydantic import Field, SecretStr
from service import until
from starlette.testclient import TestClient
from track_tree import Receiver

from stemwright_server.dialects import DIALECTS
from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.domain.job import JobOptions, Webhook
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.http.error_shape import ErrorShape
from stemwright_server.http.middleware.body_limit import MAX_JSON_BYTES
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.deliveries import WebhookBody
from stemwright_server.settings import Settings
from stemwright_server.settings_section import Section
from stemwright_server.usecases.cancel import cancel
from stemwright_server.usecases.deps import Deps
from stemwright_server.wiring.api import Api, build_api
from stemwright_worker.errors import NotFound

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "stemwright_server" / "dialects"


class RadioSettings(Section):
    """The radio dialect."""

    radio: bool = Field(False, description="Whether it is served.")
    radio_name: str = Field("none", validation_alias="RADIO_NAME", description="What it calls itself.")


def routes(context: Context, settings: RadioSettings) -> APIRouter:
    router = APIRouter(tags=["radio"])

    @router.get("/radio/name")
    def name() -> str:
        return settings.radio_name

    @router.get("/radio/songs/{song}")
    def song(song: str) -> None:
        raise NotFound(f"There is no song {song!r}.", code="song_not_found")

    @router.put("/radio/live")
    async def live(request: Request) -> int:
        return len(await request.body())

    @router.post("/radio/songs")
    async def text(request: Request) -> int:
        return len(await request.body())

    return router


def off_air() -> APIRouter:
    router = APIRouter(tags=["radio"])

    @router.get("/radio/on")
    def on() -> bool:
        return False

    return router


def error_body(status: int, code: str, message: str, context: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"static": code, "loud": status}


def webhook_body(deps: Deps) -> WebhookBody:
    return lambda job: json.dumps({"song": job.id, "over": job.state.value}).encode()


RADIO = Dialect(
    name="radio",
    routes=routes,
    settings=RadioSettings,
    is_on=lambda settings: settings.radio,
    routes_when_off=off_air,
    error_shapes=(ErrorShape(prefix="/radio", body=error_body, statuses={404: 410}),),
    uncapped=("/radio/live",),
    webhook_body=webhook_body,
)


class WithRadio(Settings, RadioSettings):
    """The settings of a service that has it."""


def api_of(folder: Path, **settings: Any) -> Api:
    return build_api(WithRadio(data_dir=folder, **settings), me="m", worker_secret="s", dialects=(*DIALECTS, RADIO))


@pytest.fixture
def api(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("RADIO_NAME", "FM")
    secret = SecretStr("whsec_" + "QUJD" * 8)
    api = api_of(tmp_path, radio=True, api_webhook_url_allowlist=(receiver.url,), webhook_secret=secret)
    yield api
    api.repository.close()


def test_its_routes_see_its_section_of_the_settings(api: Api) -> None:
    assert TestClient(api.app).get("/radio/name").json() == "FM"


def test_its_errors_have_its_shape_and_those_of_others_have_theirs(api: Api) -> None:
    client = TestClient(api.app)
    refused = client.get("/radio/songs/1")
    assert (refused.status_code, refused.json()) == (410, {"static": "song_not_found", "loud": 410})
    assert client.get("/radio/nothing").json() == {"static": "not_found", "loud": 410}
    assert client.get("/api/v1/nothing").json()["error"]["code"] == "not_found"
    assert client.get("/nothing").headers["content-type"] == "application/problem+json"


def test_bodies_are_capped_but_where_it_caps_them_itself(api: Api) -> None:
    client, large = TestClient(api.app), b"x" * (MAX_JSON_BYTES + 1)
    refused = client.post("/radio/songs", content=large)
    assert (refused.status_code, refused.json()) == (413, {"static": "too_large", "loud": 413})
    assert client.put("/radio/live", content=large).json() == len(large)


def test_off_it_answers_what_is_answered_all_the_same(tmp_path: Path) -> None:
    api = api_of(tmp_path, radio=False)
    client = TestClient(api.app)
    assert client.get("/radio/on").json() is False
    assert client.get("/radio/name").headers["content-type"] == "application/problem+json"
    api.repository.close()


def test_the_end_of_its_job_is_told_in_its_words(api: Api, receiver: Receiver) -> None:
    options = JobOptions(dialect=RADIO.name, webhook=Webhook(url=receiver.url, kind=RADIO.name))
    track = Track(
        id="t",
        owner="o",
        filename="",
        key="",
        created_at=0.0,
        upload_until=0.0,
        request_id="r",
        state=TrackState.REMOTE,
    )
    api.repository.submit(job(options=options), key=None, track=track)
    api.dispatcher.start()
    cancel(api.deps, Principal(subject="o"), "j")
    until(lambda: receiver.received, what="the webhook")
    api.dispatcher.stop(10.0)
    assert [each.json() for each in receiver.received] == [{"song": "j", "over": "canceled"}]


def test_every_folder_is_a_dialect_with_a_page_and_a_name() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {dialect.name for dialect in DIALECTS} == folders
    assert [name for name in folders if not (PACKAGE / name / "README.md").is_file()] == []
