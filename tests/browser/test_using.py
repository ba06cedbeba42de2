"""The page as a person uses it: sending songs, following them, by hand and by keyboard, after a reload, with a token."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import axe
import jwt
import pytest
from hearing import SECONDS, tones
from origin import Origin, body
from playwright.sync_api import Browser, Page, Route, expect
from service import Service, running
from steps import FAST, level, open_mixer, open_page, painted, play, position, separate, slide, wait

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "take-it-all-apart" / "mix.flac"
STEMS = ("vocals", "drums", "bass", "other")


@pytest.fixture
def pocket(tmp_path: Path) -> Iterator[Service]:
    """The service with the model that ships."""
    own = {"STEMWRIGHT_MODELS": "demucs", "STEMWRIGHT_PROBE": "demucs"}
    with running(tmp_path / "data", own) as service:
        yield service


def test_the_example_song_is_sent_followed_heard_and_taken_home(page: Page, pocket: Service) -> None:
    frames: list[str] = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: frames.append(str(frame))))
    open_page(page, pocket.url)
    expect(page.get_by_text("Licence:")).to_be_visible()
    page.get_by_text("Advanced").click()
    assert axe.faults(page) == []
    page.get_by_label("Format").select_option("flac")
    separate(page, EXAMPLE, model="pocket")
    bar = page.get_by_role("progressbar", name="Progress of mix.flac")
    seen: list[float] = []

    def done() -> bool:
        # All in one look: between two looks the bar may give way to the mixer's link.
        seen.extend(bar.evaluate_all("bars => bars.map(bar => bar.value)"))
        return page.get_by_role("link", name="Open mixer: mix.flac").count() > 0

    wait(done, "the stems", seconds=300)
    assert seen == sorted(seen)
    assert any(0 < each < 100 for each in seen), "progress was seen on its way"
    assert any("/progress" in frame and '"progress"' in frame for frame in frames), "it came over the socket"
    fetched: list[str] = []
    page.on("response", lambda response: fetched.append(response.url) if response.status == 200 else None)
    open_mixer(page, "mix.flac")
    # Each waveform comes from the server's outline: something is drawn, not all of it, and no stem was loaded for it.
    wait(lambda: len(shares := painted(page)) == 4 and all(0.01 < each < 0.9 for each in shares), "four waveforms")
    peaks = [url.rpartition("/")[2] for url in fetched if "/api/peaks/" in url]
    assert sorted(peaks) == sorted(STEMS)
    assert not any(url.partition("?")[0].endswith(".flac") for url in fetched)
    page.get_by_label("Position").evaluate("seek => { seek.value = 12; seek.dispatchEvent(new Event('input')) }")
    page.get_by_label("Loop from", exact=True).fill("12")
    page.get_by_label("Loop to", exact=True).fill("16")
    page.get_by_label("Loop to", exact=True).press("Enter")
    play(page)
    wait(lambda: level(page) > 0.05, "sound")
    for stem in STEMS:
        page.get_by_role("button", name=f"Mute {stem}").click()
    wait(lambda: level(page) < 0.001, "silence")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download 4 stems").click()
    assert sorted(names(download.value.path())) == sorted(f"{stem}.flac" for stem in STEMS)
    page.get_by_role("checkbox", name="Drums").uncheck()
    page.get_by_role("checkbox", name="Other").uncheck()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download 2 stems").click()
    assert sorted(names(download.value.path())) == ["bass.flac", "vocals.flac"]
    with page.expect_download() as download:
        page.get_by_role("link", name="Download Vocals").click()
    assert download.value.path().read_bytes()[:4] == b"fLaC"


def names(path: Path) -> list[str]:
    """Of the files in a zip, which is whole."""
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return [Path(name).name for name in file.namelist()]


def test_all_of_it_works_by_keyboard(page: Page, fast: Service, tmp_path: Path) -> None:
    song = tmp_path / "Keys.wav"  # a name of its own: the list also has what other tests sent
    song.write_bytes(tones())
    page.on("filechooser", lambda chooser: None)  # from the start: the browser is told before the key is pressed
    open_page(page, fast.url)
    press = page.keyboard.press

    def tab_to(name: str) -> None:
        for _ in range(60):
            focused = page.evaluate(
                "(document.activeElement.ariaLabel || document.activeElement.textContent || '').trim()"
            )
            if focused.startswith(name):
                return
            press("Tab")
        raise AssertionError(f"Tab never came to {name!r}")

    press("Tab")
    press("Enter")
    expect(page.locator("main")).to_be_focused()
    press("Tab")
    expect(page.get_by_label("Choose songs")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files(song)
    tab_to("Separate 1 song")
    press("Enter")
    expect(page.get_by_role("heading", name="Songs")).to_be_focused()
    expect(page.get_by_role("link", name="Open mixer: Keys.wav")).to_be_visible()
    tab_to("Open mixer: Keys.wav")
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Keys.wav")
    tab_to("Play")
    press("l")
    press("Enter")
    wait(lambda: position(page) > 0, "the song to move")
    press(" ")  # on the button: it is the button's own key
    expect(page.get_by_role("button", name="Play")).to_be_focused()
    press("Home")
    press("ArrowRight")
    wait(lambda: position(page) == 5, "five seconds on")
    press("ArrowLeft")
    wait(lambda: position(page) == 0, "five seconds back")
    press("1")
    expect(page.get_by_role("button", name="Mute Quiet")).to_have_attribute("aria-pressed", "true")
    tab_to("Mute Rest")
    press("s")
    expect(page.get_by_role("button", name="Solo Rest")).to_have_attribute("aria-pressed", "true")
    press("Enter")
    expect(page.get_by_role("button", name="Mute Rest")).to_have_attribute("aria-pressed", "true")
    tab_to("Volume of Rest")
    press("ArrowLeft")
    volume = page.get_by_role("slider", name="Volume of Rest")
    expect(volume).to_have_attribute("aria-valuetext", "\u22120.5 dB")
    tab_to("Reset: Volume of Rest")
    press("Enter")
    expect(volume).to_have_attribute("aria-valuetext", "0 dB")
    expect(volume).to_be_focused()


def test_what_comes_and_goes_in_the_list_leaves_the_focus_where_it_is(
    page: Page, fast: Service, tmp_path: Path
) -> None:
    songs = [tmp_path / f"{name}.wav" for name in ("Stays", "Comes")]
    for path in songs:
        path.write_bytes(tones())
    open_page(page, fast.url)
    separate(page, songs[0])
    link = page.get_by_role("link", name="Open mixer: Stays.wav")
    expect(link).to_be_visible()
    held: list[Route] = []
    page.route("**/api/upload", lambda route: held.append(route))
    separate(page, songs[1])
    wait(lambda: bool(held), "the upload", events_of=page)
    link.focus()
    held[0].continue_()  # its row goes, that of the job comes
    expect(page.get_by_role("link", name="Open mixer: Comes.wav")).to_be_visible()
    expect(link).to_be_focused()


def test_keys_that_play_work_on_a_slider_and_with_caps_lock(page: Page, fast: Service, song: Path) -> None:
    open_page(page, fast.url)
    separate(page, song)
    open_mixer(page, "Scale.wav")
    volume, place = (page.get_by_role("slider", name=name) for name in ("Volume of Rest", "Position"))
    volume.focus()
    loop = page.get_by_role("button", name="Loop", exact=True)
    page.keyboard.press("L")  # as a keyboard with Caps Lock says it
    expect(loop).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("M")
    expect(page.get_by_role("button", name="Mute Rest")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(volume).to_have_attribute("aria-valuetext", "0 dB")
    place.focus()
    page.keyboard.press("Home")
    wait(lambda: position(page) == 0, "the start")
    page.keyboard.press("ArrowRight")
    wait(lambda: position(page) == 5, "five seconds on")
    page.keyboard.press("ArrowUp")
    wait(lambda: position(page) == 5.1, "a tenth of a second on")
    page.keyboard.press("ArrowLeft")
    wait(lambda: position(page) == 0.1, "five seconds back")
    page.get_by_text("Keyboard", exact=True).click()
    page.get_by_role("checkbox", name="Use these keys").uncheck()
    place.focus()
    page.keyboard.press("ArrowRight")
    wait(lambda: position(page) == 5.1, "the slider's own keys to work with the others off")
    page.keyboard.press("l")
    expect(loop).to_have_attribute("aria-pressed", "true")


def test_several_songs_at_once_and_one_removed(page: Page, fast: Service, tmp_path: Path) -> None:
    songs = [tmp_path / f"{name}.wav" for name in ("One", "Two", "Three")]
    for number, path in enumerate(songs):
        path.write_bytes(tones(seconds=number + 1))
    open_page(page, fast.url)
    separate(page, *songs)
    for path in songs:
        expect(page.get_by_role("link", name=f"Open mixer: {path.name}")).to_be_visible()
    # As they were chosen, the newest drop first.
    names = page.get_by_role("heading", level=3).all_inner_texts()
    assert names[:3] == ["One.wav", "Two.wav", "Three.wav"]
    page.get_by_role("button", name="Remove Two.wav").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("Two.wav", exact=True)).to_have_count(1)
    page.get_by_role("button", name="Remove Two.wav").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Two.wav", exact=True)).to_have_count(0)
    expect(page.get_by_role("link", name="Open mixer: Three.wav")).to_be_focused()
    page.reload()
    expect(page.get_by_text("Three.wav", exact=True)).to_be_visible()
    expect(page.get_by_text("Two.wav", exact=True)).to_have_count(0)


def test_a_song_by_link_is_separated_and_heard(page: Page, fast: Service, elsewhere: Origin, song: Path) -> None:
    elsewhere.answers["/music/A%20linked%20song.wav"] = body(song.read_bytes(), content_type="audio/wav")
    open_page(page, fast.url)
    link = page.get_by_label("Or a link to a song")
    link.fill("linked song")
    page.get_by_role("button", name="Add link").click()
    expect(page.get_by_role("alert").filter(has_text="no web address")).to_be_visible()
    link.fill(f"{elsewhere.url}/music/A%20linked%20song.wav?signature=secret")
    link.press("Enter")
    page.get_by_label("Model").select_option("half")
    page.get_by_role("button", name="Separate 1 song").click()
    open_mixer(page, "A linked song.wav")
    page.get_by_role("button", name="Loop", exact=True).click()
    play(page)
    wait(lambda: level(page) > 0.35, "sound")


def test_what_waits_and_what_runs_can_be_canceled(page: Page, fast: Service, elsewhere: Origin, tmp_path: Path) -> None:
    song = tmp_path / "Unheard.wav"  # no test has sent it before: it has to wait for the worker
    song.write_bytes(tones(amplitude=0.23))
    over = Event()  # the one worker waits for an answer as long as this test likes

    def slow(_: BaseHTTPRequestHandler) -> None:
        over.wait(600)

    elsewhere.answers["/slow.wav"] = slow
    open_page(page, fast.url)
    page.get_by_label("Or a link to a song").fill(f"{elsewhere.url}/slow.wav")
    page.get_by_role("button", name="Add link").click()
    page.get_by_role("button", name="Separate 1 song").click()
    runs, waits = (page.get_by_role("listitem").filter(has_text=name) for name in ("slow.wav", "Unheard.wav"))
    expect(page.get_by_role("button", name="Cancel slow.wav")).to_be_visible()  # no more an upload
    expect(runs.locator(".state")).not_to_contain_text("Waiting")
    separate(page, song)
    expect(waits.locator(".state")).to_contain_text("Waiting")
    page.get_by_role("button", name="Cancel Unheard.wav").click()
    expect(waits.locator(".state")).to_have_text("Canceled")
    page.get_by_role("button", name="Cancel slow.wav").click()
    expect(runs.locator(".state")).to_have_text("Canceled")
    over.set()
    separate(page, song)  # the worker is free again
    expect(page.get_by_role("link", name="Open mixer: Unheard.wav")).to_be_visible()
    page.reload()
    expect(runs.locator(".state")).to_have_text("Canceled")


def test_the_history_says_what_is_not_there_any_more(page: Page, fast: Service, song: Path) -> None:
    open_page(page, fast.url)
    page.evaluate(
        """() => localStorage.setItem("stemwright.songs", JSON.stringify([
             {job_id: "00000000-0000-4000-8000-000000000000", filename: "Old.mp3", created_at: "2026-01-01T10:00:00Z"}]))"""
    )
    page.reload()
    row = page.get_by_role("listitem").filter(has_text="Old.mp3")
    expect(row).to_contain_text("not on the service any more")
    row.get_by_role("button", name="Forget Old.mp3").click()
    expect(page.get_by_text("Old.mp3")).to_have_count(0)


def test_errors_are_said_in_words(page: Page, fast: Service, tmp_path: Path) -> None:
    text, empty = tmp_path / "Letter.mp3", tmp_path / "Empty.wav"
    text.write_text("Dear Sir or Madam, this is no song.")
    empty.touch()
    open_page(page, fast.url)
    page.get_by_label("Choose songs").set_input_files([empty])
    expect(page.get_by_role("alert").filter(has_text="Empty.wav is empty.")).to_be_visible()
    separate(page, text)
    row = page.get_by_role("listitem").filter(has_text="Letter.mp3")
    expect(row.locator(".state.bad")).to_have_text(re.compile("^(?!.*Error).+$"))
    assert axe.faults(page) == []
    page.goto(f"{fast.url}/#/song/00000000-0000-4000-8000-000000000000")
    expect(page.get_by_text("not on the service any more")).to_be_visible()


def test_a_token_is_asked_for_once_and_kept(browser: Browser, song: Path, tmp_path: Path) -> None:
    secret = "a secret of thirty-two characters"
    with running(tmp_path / "data", {**FAST, "JWT_SECRET": secret}) as service:
        context = browser.new_context()
        page = context.new_page()
        page.goto(service.url)
        field = page.get_by_label("Access token")
        field.fill("not.a.token")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("did not accept that token")).to_be_visible()
        assert axe.faults(page) == []
        claims = {"sub": "ann", "exp": int(time.time()) + 3600}
        field.fill(jwt.encode(claims, secret, algorithm="HS256"))
        page.get_by_role("button", name="Sign in").click()
        separate(page, song)
        open_mixer(page, "Scale.wav")
        page.reload()
        play(page)
        with page.expect_download() as download:
            page.get_by_role("button", name="Download 2 stems").click()
        assert zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())).testzip() is None
        assert "token" not in page.url
        context.close()


def test_it_takes_less_than_a_second_of_the_processor(browser: Browser, fast: Service) -> None:
    """The best of some loads: with a core's other thread at work, and its caches taken, the same work takes longer."""
    took: list[float] = []
    while len(took) < 10 and min(took, default=1.0) >= 1.0:
        context = browser.new_context()
        page = context.new_page()
        tab = context.new_cdp_session(page)
        tab.send("Performance.enable", {"timeDomain": "threadTicks"})  # the tab's own time, not that of its neighbours
        open_page(page, fast.url)
        metrics = {each["name"]: each["value"] for each in tab.send("Performance.getMetrics")["metrics"]}
        took.append(metrics["TaskDuration"])
        context.close()
    assert 0 < min(took) < 1, took


READY = """() => {
  const enabled = document.querySelector("#files:enabled");
  return enabled ? Number(document.documentElement.dataset.ready) : null;
}"""


def test_it_can_be_used_in_less_than_a_second(browser: Browser, fast: Service) -> None:
    """From the start of the navigation to the first control, nothing cached; the best of some loads, for other programs
    keep the machine busy in many of them."""
    took: list[float] = []
    while len(took) < 40 and min(took, default=1000) >= 1000:
        context = browser.new_context()
        page = context.new_page()
        open_page(page, fast.url)
        took.append(page.evaluate(READY))
        context.close()
    assert 0 < min(took) < 1000, took


BEYOND = """() => [...document.querySelectorAll(".card, .strip")].flatMap((card) => {
  const edge = card.getBoundingClientRect().right - parseFloat(getComputedStyle(card).paddingRight);
  const broken = [...card.querySelectorAll(".label")].filter((each) => each.getClientRects()[0].height > 30);
  return [...card.querySelectorAll("input, select, button, .button, .zone, .lane, .value, .time")]
    .filter((each) => {
      const text = document.createRange(); // words may run out of their box
      text.selectNodeContents(each);
      const right = Math.max(each.getBoundingClientRect().right, text.getBoundingClientRect().right);
      return right > edge + 1 && !each.classList.contains("unseen");
    })
    .concat(broken)
    .map((each) => each.outerHTML.slice(0, 80));
})"""  # what reaches into the padding of its card or strip, and labels that are broken over two lines


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_is_wide_enough(browser: Browser, fast: Service, song: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, is_mobile=True, has_touch=True)
    page = context.new_page()
    open_page(page, fast.url)
    separate(page, song)
    expect(page.get_by_role("link", name="Open mixer: Scale.wav").first).to_be_visible()
    overflow = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    assert page.evaluate(BEYOND) == []
    open_mixer(page, "Scale.wav")
    expect(page.locator(".strip")).to_have_count(2)
    for name, longest in (("Key", -12), ("Volume of Quiet", -39.5), ("Pan of Quiet", -1)):
        slide(page.get_by_role("slider", name=name), longest)
    expect(page.get_by_role("button", name="Reset: Key")).to_be_visible()
    assert page.evaluate(overflow) <= 0
    assert page.evaluate(BEYOND) == []
    here = page.get_by_role("button", name="Loop from here").bounding_box()
    assert here is not None
    assert here["height"] < 50, "its word is on one line"
    page.get_by_role("button", name="Play").tap()
    wait(lambda: 0 < position(page) <= SECONDS, "the song to move")
    context.close()
