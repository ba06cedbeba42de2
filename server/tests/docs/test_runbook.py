"""docs/runbook.md: a section for each alert, and nothing in it that is not there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from service import COMMAND, Service, environment

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "runbook.md").read_text()
ALERTS = (ROOT / "deploy" / "observability" / "alerts.yml").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_alert_leads_to_a_section_of_steps_in_their_order() -> None:
    names = re.findall(r"- alert: (\w+)", ALERTS)
    links = re.findall(r"runbook_url: '(.+)'", ALERTS)
    assert [link.rpartition("#")[2] for link in links] == [name.lower() for name in names]
    assert all(link.startswith("https://") and "/docs/runbook.md#" in link for link in links)
    assert len(names) > 10
    for name in names:
        numbers = [int(number) for number in re.findall(r"^(\d+)\. ", SECTIONS[name], re.MULTILINE)]
        assert len(numbers) >= 2, name
        assert numbers == list(range(1, len(numbers) + 1)), name


def test_there_is_a_way_back_and_a_form_for_what_was_learned() -> None:
    assert {"Take a deployment back", "After an incident"} < SECTIONS.keys()
    assert "Root cause" in SECTIONS["After an incident"]


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`stemwright (\w+ \w+)", PAGE))))
def test_its_commands_are_there(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, *command.split(), "--help"],
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_its_metrics_settings_events_and_routes_are_there(service: Service) -> None:
    text = service.client.http.get("/metrics").text
    there = {name.removesuffix("_total") for name in re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)}
    assert {name.removesuffix("_total") for name in re.findall(r"`(demucs_\w+)`", PAGE)} <= there
    settings = (ROOT / "docs" / "settings.md").read_text()
    assert [name for name in re.findall(r"`([A-Z][A-Z0-9_]{5,})`", PAGE) if f"`{name}`" not in settings] == []
    events = (ROOT / "docs" / "operating.md").read_text()
    said = set(re.findall(r"[Ee]vents? `([a-z_]+)`", PAGE)) | {"store_back", "worker_died", "service_not_prepared"}
    assert [name for name in said if f"`{name}`" not in events] == []
    paths = service.client.http.get("/openapi.json").json()["paths"]
    for method, path in re.findall(r"`(GET|POST) (/admin/[^`?]+)", PAGE):
        assert method.lower() in paths[path], path
