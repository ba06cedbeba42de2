"""What no route has is refused in the shape of the dialect whose prefix it bears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from one_process import api_of, caller_of
from pydantic import SecretStr
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    api = api_of(tmp_path_factory.mktemp("api"), demucssvc_token=SecretStr("t" * 32))
    yield caller_of(api)
    api.repository.close()


def webserver(answer: Any) -> tuple[str, str]:
    body = answer.json()
    assert set(body) == {"error", "code"}
    assert answer.headers["content-type"] == "application/json"
    return body["code"], body["error"]


def stemify(answer: Any) -> tuple[str, str]:
    body = answer.json()["error"]
    assert set(body) == {"code", "message", "status_code", "context"}
    assert body["status_code"] == answer.status_code
    return body["code"], body["message"]


def problem(answer: Any) -> tuple[str, str]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == answer.status_code
    return body["code"], body["detail"]


DIALECTS = [
    (webserver, "/api", "/api/status/1"),
    (webserver, "/api/", "/api/models"),
    (webserver, "/api/nope", "/api/peaks/1/vocals"),
    (webserver, "/api/v1x", "/api/cancel/1"),
    (stemify, "/api/v1", "/api/v1/stemify"),
    (stemify, "/api/v1/nope/nope", "/api/v1/jobs/1"),
    (problem, "/split/1", "/split"),
    (problem, "/queue", "/queue/status"),
    (problem, "/nope", "/status/1"),
    (problem, "/apix", "/models"),
    (problem, "/admin/nope", "/admin/jobs"),
]


@pytest.mark.parametrize(("shape", "nothing", "something"), DIALECTS)
def test_an_unknown_path_and_a_wrong_method_have_the_shape_of_the_dialect(
    client: TestClient, shape: Any, nothing: str, something: str
) -> None:
    unknown = client.get(nothing)
    assert unknown.status_code == 404
    assert shape(unknown) == ("not_found", f"Not Found: GET {nothing}.")
    wrong = client.patch(something)
    assert wrong.status_code == 405
    assert wrong.headers["allow"]
    code, message = shape(wrong)
    assert code == "method_not_allowed"
    assert message.endswith(f"it takes {wrong.headers['allow']}.")
