"""Ways to the service other than the file chooser, uploads that fail, and what is said while a song is at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from origin import Origin, body
from playwright.sync_api import Dialog, Page, Request, expect
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
    expect(page.locator(".dropping")).to_be_hidden()
    page.get_by_role("button", name="Separate 2 songs").click()
    expect(page.get_by_role("link", name="Open mixer: Second.wav")).to_be_visible()


def test_a_file_is_taken_wherever_it_is_dropped(page: Page, fast: Service, song: Path, tmp_path: Path) -> None:
    """On the first page beside the card, and in a mixer; the page stays."""
    second = tmp_path / "Second.wav"
    second.write_bytes(song.read_bytes())
    open_page(page, fast.url)
    drop(page, "h1", files=(song,))
    expect(page.get_by_role("button", name="Separate 1 song")).to_be_enabled()
    expect(page).to_have_url(f"{fast.url}/")
    page.get_by_label("Model").select_option("half")
    page.get_by_role("button", name="Separate 1 song").click()
    page.get_by_role("link", name="Open mixer: Scale.wav").first.click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    drop(page, "h1", files=(second,))
    expect(page.get_by_role("button", name="Separate 1 song")).to_be_enabled()
    expect(page.get_by_role("list", name="Chosen songs")).to_contain_text("Second.wav")
    expect(page.locator(".dropping")).to_be_hidden()


def test_while_files_hover_the_page_says_what_will_happen(page: Page, fast: Service, song: Path) -> None:
    open_page(page, fast.url)
    tab = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(song)], "dragOperationsMask": 1}
    tab.send("Input.dispatchDragEvent", {"type": "dragEnter", "x": 300, "y": 700, "data": data})
    expect(page.get_by_text("Drop to separate")).to_be_visible()
    tab.send("Input.dispatchDragEvent", {"type": "dragCancel", "x": 300, "y": 700, "data": data})
    expect(page.get_by_text("Drop to separate")).to_be_hidden()


def test_values_out_of_range_are_said_and_nothing_is_sent(page: Page, fast: Service, song: Path) -> None:
    open_page(page, fast.url)
    page.get_by_label("Model").select_option("loud")
    page.get_by_label("Choose songs").set_input_files([song])
    if page.locator("details").is_hidden():
        page.get_by_label("Model").select_option("half")
    shifts = page.locator("#shifts")
    shifts.evaluate("field => { field.disabled = false; field.closest('details').hidden = false; field.value = '99' }")
    page.get_by_role("button", name="Separate 1 song").click()
    expect(page.get_by_role("alert").filter(has_text="Shifts is 99: 0 to 20")).to_be_visible()
    expect(shifts).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Separate 1 song")).to_be_enabled()
    shifts.fill("2")
    page.get_by_role("button", name="Separate 1 song").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_leaving_while_a_song_is_sent_asks_and_what_was_cut_off_is_told(page: Page, fast: Service, song: Path) -> None:
    asked: list[str] = []

    def accept(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    cut = song.with_name("Cut.wav")
    cut.write_bytes(song.read_bytes())
    open_page(page, fast.url)
    page.on("dialog", accept)
    page.route("**/api/upload", lambda route: None)  # it never gets through
    separate(page, cut)
    expect(page.get_by_role("listitem").filter(has_text="Cut.wav")).to_be_visible()
    page.reload()
    assert asked == ["beforeunload"]
    row = page.get_by_role("listitem").filter(has_text="Cut.wav")
    expect(row.get_by_text("It was cut off when the page was left. Choose it again.")).to_be_visible()
    row.get_by_role("button", name="Dismiss Cut.wav").click()
    page.reload()
    expect(page.locator("html[data-ready]")).to_have_count(1)
    expect(row).to_have_count(0)
    assert asked == ["beforeunload"]


def test_a_page_with_a_player_is_no_song(page: Page, fast: Service) -> None:
    open_page(page, fast.url)
    link = page.get_by_label("Or a link to a song")
    link.fill("https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    link.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="a page with a player, not a sound file")).to_be_visible()
    expect(page.get_by_role("list", name="Chosen songs").get_by_role("listitem")).to_have_count(0)


def test_what_another_tab_sends_and_removes_is_seen(page: Page, fast: Service, song: Path) -> None:
    other = page.context.new_page()
    shared = song.with_name("Shared.wav")
    shared.write_bytes(song.read_bytes())
    open_page(page, fast.url)
    open_page(other, fast.url)
    separate(page, shared)
    expect(other.get_by_role("link", name="Open mixer: Shared.wav")).to_be_visible()
    other.get_by_role("link", name="Open mixer: Shared.wav").click()
    expect(other.get_by_role("button", name="Play")).to_be_visible()
    page.get_by_role("button", name="Remove Shared.wav").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(other.get_by_text("This song was removed from the service.")).to_be_visible()
    other.get_by_role("link", name="All songs").click()
    expect(other.get_by_role("link", name="Open mixer: Shared.wav")).to_have_count(0)


def test_on_a_machine_of_ones_own_a_song_stays_and_downloads_are_called_after_it(
    page: Page, fast: Service, song: Path
) -> None:
    named = song.with_name("Größe 7.wav")
    named.write_bytes(song.read_bytes())
    open_page(page, fast.url)
    separate(page, named)
    page.get_by_role("link", name="Open mixer: Größe 7.wav").first.click()
    stays = page.get_by_text("The service keeps these files until you remove the song.")
    expect(stays).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download 2 stems").click()
    assert download.value.suggested_filename == "Größe 7 stems.zip"
    with page.expect_download() as stem:
        page.get_by_role("link", name="Download Rest").click()
    assert stem.value.suggested_filename == "Größe 7 rest.wav"
    jobs = fast.client.http.get("/api/jobs").json()["jobs"]
    assert {job["expires_at"] for job in jobs if job["filename"] == "Größe 7.wav"} == {None}
    expect(stays).to_be_visible()


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
