"""Event streams: each change once, over connections that end and begin again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jobs import job
from one_process import GAIN, announce, api_of, caller_of, uploaded
from service import wav
from starlette.testclient import TestClient

from stemwright_server.dialects.studio.resuming import Told
from stemwright_server.domain.job import JobState
from stemwright_server.domain.lifecycle import Expire
from stemwright_server.usecases.record import apply
from stemwright_server.wiring.api import Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = api_of(tmp_path)
    yield api
    api.repository.close()


def asked(client: TestClient, file_id: str, segments: int) -> str:
    answer = client.post("/process", json={"file_id": file_id, "model": "gain", "params": {"segments": segments}})
    return str(answer.json()["job_id"])


def events(api: Api, file_id: str, *, until: str, last: str = "") -> list[dict[str, Any]]:
    """Those of a stream up to the first one about the job ``until``; then the connection ends."""
    found: list[dict[str, Any]] = []
    event: dict[str, Any] = {}
    headers = {"Last-Event-ID": last} if last else {}
    with caller_of(api).stream("GET", f"/events/{file_id}", headers=headers) as stream:
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            event |= {name: value} if name in ("event", "id", "data") else {}
            if line == "" and "data" in event:
                found.append(event | json.loads(event["data"]))
                if found[-1]["job_id"] == until:
                    api.wakeups.close()  # which ends every stream
                event = {}
    api.wakeups.closed = False
    return found


def test_who_connects_again_is_told_what_has_changed_since_and_nothing_else(api: Api) -> None:
    client = caller_of(api)
    assert announce(client, GAIN) == 204
    file_id = uploaded(client, wav())
    first, second = asked(client, file_id, 1), asked(client, file_id, 2)
    told = events(api, file_id, until=second)
    assert [(each["job_id"], each["event"]) for each in told] == [(first, "progress"), (second, "progress")]
    client.post(f"/jobs/{first}/cancel")
    again = events(api, file_id, until=first, last=told[-1]["id"])
    assert [(each["job_id"], each["event"]) for each in again] == [(first, "canceled")]
    apply(api.deps, first, Expire(at=api.deps.clock() + 100.0))  # changes the job, and is no news of its end
    third = asked(client, file_id, 3)
    last = events(api, file_id, until=third, last=again[-1]["id"])
    assert [each["job_id"] for each in last] == [third]
    whole = events(api, file_id, until=third)  # who says nothing is told all
    assert [each["job_id"] for each in whole] == [first, second, third]
    for nonsense in ("x", "a:b,c", "," * 9999, f"{third[:12]}:-1", "a:1" + "9" * 30):
        assert len(events(api, file_id, until=third, last=nonsense)) == 3


def test_what_was_told_is_no_news_and_an_end_is_the_last() -> None:
    told = Told()
    running = job("a" * 32, revision=3)
    assert told.is_news(running)
    last = told.note(running)
    for each in (told, Told(last)):
        assert not each.is_news(running)
        assert not each.is_news(job("a" * 32, revision=2))
        assert each.is_news(job("a" * 32, revision=4))
        assert each.is_news(job("b" * 32, revision=1))
    over = Told(told.note(job("a" * 32, revision=4, state=JobState.COMPLETED)))
    assert not over.is_news(job("a" * 32, revision=9, state=JobState.COMPLETED))


def test_an_id_stays_short_however_many_jobs_a_file_has() -> None:
    told = Told()
    ids = [told.note(job(f"{number:032x}"[::-1], revision=number)) for number in range(1000)]
    assert len(ids[-1]) < 2000
    assert not Told(ids[-1]).is_news(job(f"{999:032x}"[::-1], revision=999))
