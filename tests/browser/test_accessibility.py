"""axe finds nothing serious on any view, light or dark, wide or narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import axe
import pytest
from playwright.sync_api import Browser, expect
from service import Service
from steps import open_mixer, open_page, separate, slide


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320), ("dark", 390)])
def test_nobody_is_kept_out(
    browser: Browser, fast: Service, song: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(
        color_scheme=scheme, reduced_motion="reduce", viewport={"width": width, "height": 800}, is_mobile=width < 800
    )
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
    slide(page.get_by_role("slider", name="Key"), 2)  # which brings its reset
    assert axe.faults(page) == []
    context.close()
