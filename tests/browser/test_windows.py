"""Songs are fetched and decoded a window at a time, and what is made of the windows is the song again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hearing import RATE, heard, wav
from playwright.sync_api import Page, Route
from service import Service
from steps import export, level, open_mixer, open_page, play, position, separate, slide, wait

from stemwright.audio.writing.writer import open_writer

SECONDS = 13  # three windows


def sweep(seconds: int = SECONDS) -> np.ndarray:
    """A tone that rises all the time, so that no two moments are alike."""
    time = np.arange(seconds * RATE) / RATE
    found: np.ndarray = 0.4 * np.sin(2 * np.pi * (200 * time + 20 * time**2))
    return found


def mixer(page: Page, service: Service, path: Path) -> Page:
    open_page(page, service.url)
    separate(page, path)
    open_mixer(page, path.name)
    return page


def encoded(path: Path, samples: np.ndarray) -> bytes:
    """A stereo file in the format that its name ends in."""
    with open_writer(path, format=path.suffix[1:], sample_rate=RATE, channels=2) as file:
        file.write(np.stack([samples, samples]).astype(np.float32))
    return path.read_bytes()


def answer(route: Route, data: bytes) -> None:
    """As a store does: the range that was asked for, or all."""
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", route.request.headers.get("range", ""))
    part = data[int(asked[1]) : int(asked[2]) + 1] if asked else data
    route.fulfill(status=206 if asked else 200, body=part, content_type="application/octet-stream")


@pytest.mark.parametrize(("format", "most"), [("flac", 1e-4), ("mp3", 0.05), ("m4a", 0.05)])
def test_the_windows_of_a_compressed_stem_are_the_song(
    page: Page, fast: Service, tmp_path: Path, format: str, most: float
) -> None:
    """The fast model writes wav files alone: what comes in their place is compressed."""
    path = tmp_path / f"Sweep {format}.wav"
    path.write_bytes(wav(sweep()))
    data = encoded(tmp_path / f"quiet.{format}", sweep() / 2)
    page.route(re.compile(r"/blobs/.*\.wav"), lambda route: answer(route, data))
    mixer(page, fast, path)
    page.get_by_role("button", name="Mute Rest").click()
    mix = heard(export(page, tmp_path))[0]
    assert len(mix) == SECONDS * RATE
    for second in range(SECONDS):
        here = slice(second * RATE, (second + 1) * RATE)
        # A window that is not where it should be, or is not there, leaves as much as there was.
        assert np.sqrt(np.mean((mix[here] - sweep()[here] / 2) ** 2)) < most * np.sqrt(np.mean(sweep()[here] ** 2))
    slide(page.get_by_label("Position"), 11)
    play(page)
    wait(lambda: level(page) > 0.15, "sound from the last window", events_of=page)


def test_of_a_long_song_what_is_heard_is_fetched_and_no_more(page: Page, fast: Service, tmp_path: Path) -> None:
    path = tmp_path / "Long.wav"
    path.write_bytes(wav(sweep(120)))
    mixer(page, fast, path)
    fetched: list[int] = []
    page.on(
        "response",
        lambda response: fetched.append(int(response.headers["content-length"])) if "/blobs/" in response.url else None,
    )
    slide(page.get_by_label("Position"), 90)
    play(page)
    wait(lambda: level(page) > 0.3 and position(page) > 90, "sound", events_of=page)
    page.get_by_role("button", name="Pause").click()
    assert 0 < sum(fetched) < 2 * path.stat().st_size / 4  # of two stems
