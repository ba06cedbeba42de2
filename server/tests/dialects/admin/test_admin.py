"""The admin dialect over HTTP: who may, and what it does to a service that works."""

from __future__ import annotations

import time
from collections.abc import Iterator

import jwt
import pytest
from service import Client, Service, running, until, wav

SECRET = "s" * 32
ROUTES = [
    ("GET", "/admin/jobs"),
    ("GET", "/admin/jobs/x"),
    ("POST", "/admin/jobs/x/retry"),
    ("POST", "/admin/jobs/x/cancel"),
    ("GET", "/admin/failures"),
    ("GET", "/admin/webhooks"),
    ("POST", "/admin/webhooks/x/replay"),
    ("GET", "/admin/workers"),
    ("POST", "/admin/workers/x/drain"),
    ("POST", "/admin/workers/x/resume"),
    ("GET", "/admin/services"),
    ("POST", "/admin/services/gain/pause"),
    ("POST", "/admin/services/gain/resume"),
]


def client(service: Service, subject: str, **claims: object) -> Client:
    said = {"sub": subject, "exp": int(time.time()) + 3600, **claims}
    return Client(service.url, jwt.encode(said, SECRET, algorithm="HS256"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("admin") / "data", {"JWT_SECRET": SECRET}) as service:
        yield service


@pytest.fixture(scope="module")
def boss(service: Service) -> Client:
    return client(service, "boss", roles=["user", "admin"])


@pytest.fixture(scope="module")
def user(service: Service) -> Client:
    return client(service, "user", roles=["user"])


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_without_the_role_gets_in_or_hears_of_anything(
    service: Service, user: Client, method: str, path: str
) -> None:
    refused = user.http.request(method, path)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    for claims in ({"roles": "administrator"}, {"roles": {"admin": True}}, {"roles": 1}, {"role": "admin"}, {}):
        assert client(service, "admin", **claims).http.request(method, path).status_code == 403
    assert Client(service.url).http.request(method, path).status_code == 401


def test_every_route_of_the_dialect_is_among_those_that_are_refused(service: Service, boss: Client) -> None:
    paths = boss.http.get("/openapi.json").json()["paths"]
    there = {(method.upper(), path) for path, ways in paths.items() if path.startswith("/admin/") for method in ways}
    shape = {(method, path.replace("/x", "/{}").replace("/gain", "/{}")) for method, path in ROUTES}
    assert {(method, _blank(path)) for method, path in there} == shape


def _blank(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def test_a_failed_job_of_anybodys_is_found_its_cause_told_and_it_is_done_again(boss: Client, user: Client) -> None:
    file_id = user.upload(wav(seed=1))
    job_id = user.submit(file_id, fail="it_broke")
    user.wait(file_id, job_id, "failed")
    found = boss.http.get("/admin/jobs", params={"status": "failed", "owner": "user"}).json()
    assert [(each["job_id"], each["error"]["code"]) for each in found["jobs"]] == [(job_id, "it_broke")]
    detail = boss.http.get(f"/admin/jobs/{job_id}").json()
    assert detail["params"]["fail"] == "it_broke"
    cause = boss.http.get("/admin/failures").json()["causes"][0]
    assert (cause["code"], cause["jobs"], cause["newest_job_id"]) == ("it_broke", 1, job_id)
    again = boss.http.post(f"/admin/jobs/{job_id}/retry")
    assert again.status_code == 200, again.text
    assert (again.json()["retry_of"], again.json()["owner"]) == (job_id, "user")
    user.wait(file_id, again.json()["job_id"], "failed")
    assert user.job(file_id, job_id)["status"] == "failed"


def test_jobs_come_page_by_page(boss: Client, user: Client) -> None:
    file_id = user.upload(wav(seed=2))
    sent = [user.submit(file_id, segments=count) for count in (1, 2, 3)]
    seen, before = [], ""
    while before is not None:
        page = boss.http.get(f"/admin/jobs?file_id={file_id}&limit=2{before and '&before='}{before}").json()
        seen.append([each["job_id"] for each in page["jobs"]])
        before = page["next"]
    assert seen == [sent[:0:-1], sent[:1]]
    for bad in ("x", "1_", "nan_1", "1_%00"):
        assert boss.http.get("/admin/jobs", params={"before": bad}).status_code == 422
    assert boss.http.get("/admin/jobs?owner=%00").status_code == 422


def test_a_paused_service_takes_jobs_in_and_hands_none_out(boss: Client, user: Client) -> None:
    assert boss.http.post("/admin/services/gain/pause").status_code == 204
    paused = boss.http.get("/admin/services").json()["services"]
    assert [(each["model"], each["paused"], each["workers"]) for each in paused] == [("gain", True, 1)]
    file_id = user.upload(wav(seed=3))
    job_id = user.submit(file_id)
    for _ in range(5):
        assert user.job(file_id, job_id)["status"] == "queued"
        time.sleep(0.1)
    assert boss.http.post(f"/admin/jobs/{job_id}/cancel").json()["status"] == "canceled"
    assert boss.http.post("/admin/services/gain/resume").status_code == 204
    other = user.submit(file_id)
    user.wait(file_id, other, "completed")


def test_workers_are_seen_drained_and_taken_back(boss: Client) -> None:
    worker = until(lambda: boss.http.get("/admin/workers").json()["workers"], what="a worker")[0]
    assert (worker["models"], worker["drained"]) == (["gain"], False)
    assert boss.http.post(f"/admin/workers/{worker['worker']}/drain").json() == {"workers": 1}
    assert boss.http.get("/admin/workers").json()["workers"][0]["drained"] is True
    assert boss.http.post(f"/admin/workers/{worker['worker']}/resume").status_code == 204
    assert boss.http.post(f"/admin/workers/{worker['worker']}/resume").status_code == 404


def test_webhooks_are_listed_and_only_what_is_there_is_sent_again(boss: Client) -> None:
    assert boss.http.get("/admin/webhooks").json() == {"webhooks": []}
    assert boss.http.post("/admin/webhooks/msg_none/replay").status_code == 404


def test_each_act_is_in_the_log_with_who_did_it(service: Service, boss: Client, user: Client) -> None:
    file_id = user.upload(wav(seed=4))
    job_id = user.submit(file_id, segments=50, sleep=0.2)
    assert boss.http.post(f"/admin/jobs/{job_id}/cancel").status_code == 200
    acts = [line for line in service.logged() if line["event"] == "admin_acted"]
    assert {"act": "cancel", "by": "boss", "job_id": job_id}.items() <= acts[-1].items()
