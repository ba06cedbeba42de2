"""axe finds nothing serious on any view, light or dark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import axe
import pytest
from playwright.sync_api import Browser, expect
from service import Service
from steps import open_mixer, open_page, separate

pytestmark = pytest.mark.skipif(
    not axe.SCRIPT.exists(), reason="axe-core is not installed: scripts/install_web_tools.sh, with Node"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(browser: Browser, fast: Service, song: Path, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    open_page(page, fast.url)
    separate(page, song)
    expect(page.get_by_role("link", name="Open mixer: Scale.wav").first).to_be_visible()
    assert axe.faults(page) == []
    open_mixer(page, "Scale.wav")
    page.get_by_text("Keyboard", exact=True).click()
    page.get_by_role("button", name="Solo Rest").click()
    page.get_by_role("button", name="Mute Quiet").click()
    page.get_by_role("button", name="Loop", exact=True).click()
    assert axe.faults(page) == []
    context.close()
