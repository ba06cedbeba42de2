"""axe-core, run on a tab."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = "() => axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"


def faults(page: Page) -> list[Any]:
    """What axe minds, less what it calls minor or moderate."""
    page.evaluate(SCRIPT.read_text() + "; true")
    found = page.evaluate(RUN)
    assert len(found["passes"]) > 10
    return [
        (each["id"], each["impact"], [node["html"] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
