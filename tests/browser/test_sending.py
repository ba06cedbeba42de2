"""Ways to the service other than the file chooser, uploads that fail, and what is said while a song is at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from origin import Origin, body
from playwright.sync_api import Page, Request, expect
from service import Service, running
from steps import FAST, open_page, separate, wait

SLOW = {"FAST_MODEL_DEFAULTS": '{"segments": 40, "sleep": 0.3}'}  # long enough that there is time left to speak of


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "data", {**FAST, **SLOW}) as service:
        yield service


def drop(page: Page, onto: str, *, files: tuple[Path, ...] = (), link: str = "") -> None:
    """Let go of files or a link over an element, as the browser itself does it: what nobody takes, it would open."""
    box = page.locator(onto).bounding_box()
    assert box is not None
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    items = [{"mimeType": "text/uri-list", "data": link}] if link else []
    data = {"items": items, "files": [str(file) for file in files], "dragOperationsMask": 1}
    tab = page.context.new_cdp_session(page)
    for step in ("dragEnter", "dragOver", "drop"):
        tab.send("Input.dispatchDragEvent", {"type": step, **where, "data": data})


def test_files_are_dropped_and_separated(page: Page, fast: Service, song: Path, tmp_path: Path) -> None:
    second = tmp_path / "Second.wav"
    second.write_bytes(song.read_bytes())
    open_page(page, fast.url)
    page.get_by_label("Model").select_option("half")
    drop(page, ".zone", files=(song, second))
    expect(page.get_by_role("list", name="Chosen songs").get_by_role("listitem")).to_have_count(2)
    expect(page.locator(".zone.over")).to_have_count(0)
    page.get_by_role("button", name="Separate 2 songs").click()
    expect(page.get_by_role("link", name="Open mixer: Second.wav")).to_be_visible()


def test_a_file_that_misses_the_zone_does_not_take_the_page_away(page: Page, fast: Service, song: Path) -> None:
    open_page(page, fast.url)
    drop(page, "h1", files=(song,))
    drop(page, ".zone", files=(song,))
    expect(page.get_by_role("button", name="Separate 1 song")).to_be_enabled()
    expect(page).to_have_url(f"{fast.url}/")


def test_a_link_is_dropped_and_separated(page: Page, fast: Service, elsewhere: Origin, song: Path) -> None:
    elsewhere.answers["/Dropped.wav"] = body(song.read_bytes(), content_type="audio/wav")
    open_page(page, fast.url)
    page.get_by_label("Model").select_option("half")
    expect(page.get_by_label("Or a link to a song")).to_be_visible()
    drop(page, ".zone", link=f"{elsewhere.url}/Dropped.wav")
    page.get_by_role("button", name="Separate 1 song").click()
    expect(page.get_by_role("link", name="Open mixer: Dropped.wav")).to_be_visible()


def test_an_upload_that_failed_is_tried_again_and_makes_one_job(page: Page, fast: Service, song: Path) -> None:
    keys: list[str | None] = []

    def note(request: Request) -> None:
        if request.url.endswith("/api/upload"):
            keys.append(request.header_value("idempotency-key"))

    again = song.with_name("Again.wav")
    again.write_bytes(song.read_bytes())
    open_page(page, fast.url)
    page.on("requestfinished", note)
    page.on("requestfailed", note)
    page.route("**/api/upload", lambda route: route.abort("connectionreset"))
    separate(page, again)
    expect(page.get_by_text("The service does not answer.")).to_be_visible()
    page.unroute("**/api/upload")
    page.get_by_role("button", name="Try again to upload Again.wav").click()
    expect(page.get_by_role("link", name="Open mixer: Again.wav")).to_have_count(1)
    expect(page.get_by_text("The service does not answer.")).to_have_count(0)
    wait(lambda: len(keys) == 2, "both uploads", events_of=page)
    assert keys[0]
    assert keys[0] == keys[1], "the service can tell that it is the same"


def test_what_the_service_would_refuse_again_is_not_offered_again(page: Page, fast: Service, tmp_path: Path) -> None:
    letter = tmp_path / "Letter.mp3"
    letter.write_text("Dear Sir or Madam, this is no song.")
    open_page(page, fast.url)
    separate(page, letter)
    row = page.get_by_role("listitem").filter(has_text="Letter.mp3")
    expect(row.get_by_role("button", name="Dismiss Letter.mp3")).to_be_visible()
    expect(row.get_by_role("button", name="Try again")).to_have_count(0)
    row.get_by_role("button", name="Dismiss Letter.mp3").click()
    expect(row).to_have_count(0)


def test_the_time_left_is_said_while_a_song_is_at_work(page: Page, slow: Service, song: Path) -> None:
    open_page(page, slow.url)
    separate(page, song)
    row = page.get_by_role("listitem").filter(has_text="Scale.wav")
    seen: list[str] = []

    def done() -> bool:
        seen.extend(row.locator(".state").all_inner_texts())
        return page.get_by_role("link", name="Open mixer: Scale.wav").count() > 0

    wait(done, "the stems", seconds=300)
    assert any(" left" in text and "%" in text for text in seen), sorted(set(seen))
