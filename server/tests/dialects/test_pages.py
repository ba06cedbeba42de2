"""Lists of jobs come in pages: every job once, whatever comes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from one_process import GAIN, announce, api_of, caller_of, uploaded
from service import wav
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    api = api_of(tmp_path_factory.mktemp("api"))
    client = caller_of(api)
    assert announce(client, GAIN) == 204
    yield client
    api.repository.close()


def asked(client: TestClient, file_id: str, number: int) -> str:
    body = {"file_id": file_id, "model": "gain", "params": {"segments": number + 1}}
    answer = client.post("/process", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


def test_the_jobs_of_a_file_come_in_pages(client: TestClient) -> None:
    file_id = uploaded(client, wav(seed=1))
    made = [asked(client, file_id, number) for number in range(7)]
    seen: list[str] = []
    before, pages = None, 0
    while True:
        page = client.get(f"/status/{file_id}", params={"limit": 3} | ({"before": before} if before else {})).json()
        assert len(page["jobs"]) <= 3
        seen += [job["job_id"] for job in reversed(page["jobs"])]
        asked(client, file_id, 100 + pages)  # comes before the first page, and disturbs none after it
        before, pages = page["next"], pages + 1
        if before is None:
            break
    assert (seen, pages) == (made[::-1], 3)


def test_without_a_limit_the_newest_hundred_are_answered(client: TestClient) -> None:
    file_id = uploaded(client, wav(seed=2))
    made = [asked(client, file_id, number) for number in range(102)]
    page = client.get(f"/status/{file_id}").json()
    assert [job["job_id"] for job in page["jobs"]] == made[2:]
    rest = client.get(f"/status/{file_id}", params={"before": page["next"]}).json()
    assert ([job["job_id"] for job in rest["jobs"]], rest["next"]) == (made[:2], None)


def test_what_is_no_page_is_refused(client: TestClient) -> None:
    file_id = uploaded(client, wav(seed=3))
    for asks in ({"limit": 0}, {"limit": 501}, {"limit": "x"}, {"before": "yesterday"}, {"before": "1e+_a"}):
        assert client.get(f"/status/{file_id}", params=asks).status_code == 422, asks


def test_every_list_of_jobs_has_a_bound(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()
    listing = []
    for path, methods in schemas["paths"].items():
        for operation in (methods[method] for method in methods if method == "get"):
            answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            name = str(answer.get("schema", {}).get("$ref", "")).rpartition("/")[2]
            if "jobs" in schemas["components"]["schemas"].get(name, {}).get("properties", {}):
                limit = next(each for each in operation["parameters"] if each["name"] == "limit")
                assert limit["schema"]["maximum"] <= 500, path
                listing.append(path)
    assert set(listing) == {"/status/{file_id}", "/api/jobs", "/admin/jobs"}
