"""What a person does on the page, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

# What the fast model reads and writes; and as many uploads as the tests make.
FAST = {"STEMWRIGHT_PROBE": "none", "STEMWRIGHT_WEBSERVER_FORMAT": "wav", "STEMWRIGHT_WEBSERVER_UPLOAD_RATE": ""}


def open_page(page: Page, url: str) -> None:
    """Go there, and wait until it can be used."""
    page.goto(url)
    expect(page.locator("html[data-ready]")).to_have_count(1)
    expect(page.locator("#model option").first).to_be_attached()


def separate(page: Page, *songs: Path, model: str = "half") -> None:
    """Choose and send songs."""
    page.get_by_label("Model").select_option(model)
    page.get_by_label("Choose songs").set_input_files(list(songs))
    page.get_by_role("button", name="Separate").click()


def open_mixer(page: Page, name: str) -> None:
    """Wait for a song's stems, and open its mixer."""
    page.get_by_role("link", name=f"Open mixer: {name}").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def play(page: Page) -> None:
    """Press play, and wait until the song moves."""
    page.get_by_role("button", name="Play").click()
    before = position(page)
    wait(lambda: position(page) != before, "the song to move")


def position(page: Page) -> float:
    """Where the song is, seconds."""
    minutes, seconds = page.locator(".now").inner_text().split(":")
    return 60 * int(minutes) + float(seconds)


def level(page: Page) -> float:
    """The loudest sample of the last moments, as the page's analyser finds it."""
    return float(page.locator(".meter").evaluate("meter => meter.style.getPropertyValue('--level')"))


PAINTED = """canvases => canvases.map((canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let painted = 0;
  for (let at = 3; at < data.length; at += 4) painted += data[at] > 0;
  return painted / (data.length / 4);
})"""


def painted(page: Page) -> list[float]:
    """How much of each waveform's canvas is not blank, 0 to 1."""
    return [float(share) for share in page.locator("canvas.wave").evaluate_all(PAINTED)]


def slide(slider: Locator, value: float) -> None:
    """Move a slider, as a hand would."""
    slider.evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})) }", value
    )


def export(page: Page, folder: Path) -> Path:
    """Export the mix; the file."""
    with page.expect_download(timeout=120_000) as download:
        page.get_by_role("button", name="Export this mix").click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def wait(condition: Callable[[], bool], what: str, seconds: float = 60.0, *, events_of: Page | None = None) -> None:
    """Until it holds. ``events_of``: where it is the page's events that make it hold, they have to be let in."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        if events_of is None:
            time.sleep(0.05)
        else:
            events_of.wait_for_timeout(50)
