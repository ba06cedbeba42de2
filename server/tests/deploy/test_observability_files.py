"""deploy/observability: checked by promtool, made of metrics that are there, and scraped by a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
from backing import free_port
from service import Service, until

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "observability"
_WORD = re.compile(r"\bdemucs_\w+")


@pytest.mark.parametrize(
    "check",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_is_content(check: tuple[str, ...]) -> None:
    found = subprocess.run(["promtool", *check], cwd=FOLDER, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_alert_is_tested_both_ways() -> None:
    alerts = re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text())
    tests = (FOLDER / "alerts_test.yml").read_text()
    assert len(alerts) >= 10
    assert all(f"name: {alert} fires\n" in tests and f"name: {alert} is quiet\n" in tests for alert in alerts)


def test_rules_and_dashboard_are_made_of_metrics_that_are_there(service: Service) -> None:
    text = service.client.http.get("/metrics").text
    there = set()
    for name, kind in re.findall(r"^# TYPE (demucs_\w+) (\w+)", text, re.MULTILINE):
        there.add(name)
        if kind in ("histogram", "summary"):
            there |= {f"{name}_sum", f"{name}_count"} | ({f"{name}_bucket"} if kind == "histogram" else set())
    used = set(_WORD.findall((FOLDER / "alerts.yml").read_text())) | set().union(*map(_used, _expressions()))
    assert used - there == set()
    assert len(used) > 15


def test_an_error_that_an_alert_names_is_counted_from_zero(service: Service) -> None:
    rules = (FOLDER / "alerts.yml").read_text()
    named = {
        code for codes in re.findall(r'demucs_errors_total\{code=~?"([^"]+)"\}', rules) for code in codes.split("|")
    }
    text = service.client.http.get("/metrics").text
    assert named >= {"out_of_memory", "worker_lost"}
    assert set(re.findall(r'^demucs_errors_total\{code="(\w+)"\}', text, re.MULTILINE)) >= named


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)


def test_a_prometheus_server_scrapes_the_service_and_the_dashboard_reads_it(service: Service, tmp_path: Path) -> None:
    target = service.url.removeprefix("http://")
    config = (FOLDER / "prometheus.yml").read_text().replace("127.0.0.1:8080", target).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(config)
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    port = free_port()
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=tmp_path, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=10.0) as api:

            def ask(expression: str) -> Any:
                try:
                    answer = api.get("/query", params={"query": expression})
                except httpx2.HTTPError:
                    return []
                if answer.status_code == 503:  # it starts
                    return []
                assert answer.status_code == 200, (expression, answer.text)
                return answer.json()["data"]["result"]

            up = until(lambda: ask('up{job="stemwright"} == 1'), what="a scrape")
            assert up[0]["metric"]["instance"] == target
            assert until(lambda: ask("demucs_build_info"), what="the release")[0]["metric"]["version"]
            until(lambda: ask("max(demucs_workers) >= 1"), what="a worker to be counted")
            for expression in _expressions():
                ask(expression)  # whatever comes of it, it is a query
            groups = api.get("/rules").json()["data"]["groups"]
            assert all(rule["health"] != "err" for group in groups for rule in group["rules"])
    finally:
        process.terminate()
        process.wait(30)


def _expressions() -> list[str]:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def _used(expression: str) -> set[str]:
    return set(_WORD.findall(expression))
