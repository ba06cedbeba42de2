"""The mixer's controls in the hand: a thumb that scrolls, a mouse and the space bar, small screens, two tabs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Locator, Page, expect
from service import Service
from steps import open_mixer, open_page, position, separate, slide, wait

LEAST_WIDTH = 130  # CSS pixels of a slider


@pytest.fixture
def phone(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 390, "height": 780}, is_mobile=True, has_touch=True)
    context.set_default_timeout(60_000)
    yield context
    context.close()


def mixer_of(page: Page, service: Service, song: Path) -> Page:
    open_page(page, service.url)
    separate(page, song)
    open_mixer(page, song.name)
    return page


@pytest.fixture
def mixer(page: Page, fast: Service, song: Path) -> Page:
    return mixer_of(page, fast, song)


def touch(hand: CDPSession, way: list[tuple[float, float]]) -> None:
    """Put a finger down at the first place, draw it along the rest, lift it."""
    for kind, (x, y) in zip(["touchStart", *["touchMove"] * (len(way) - 1)], way, strict=True):
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    hand.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def values(page: Page) -> list[str | None]:
    return [slider.get_attribute("aria-valuetext") for slider in page.get_by_role("slider").all()]


def at(slider: Locator, share: float) -> tuple[float, float]:
    """A place on a slider, as a share of its width."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box is not None
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def test_a_swipe_never_moves_a_fader_nor_draws_a_loop(phone: BrowserContext, fast: Service, song: Path) -> None:
    page = mixer_of(phone.new_page(), fast, song)
    hand = phone.new_cdp_session(page)
    before = values(page)
    over = [*page.get_by_role("slider").all(), *page.locator(".lane").all()]
    for each in over:
        for share in (0.2, 0.7):
            x, y = at(each, share)
            page.evaluate("scrollBy(0, -100)")  # room to scroll on
            x, y = at(each, share)
            scrolled = page.evaluate("scrollY")
            # As a thumb swipes: up, and a little to the side.
            stride = min(12, (y - 5) / 13)
            touch(hand, [(x, y), *[(x + step / 4, y - stride * step) for step in range(1, 14)]])
            wait(lambda: page.evaluate("scrollY") != scrolled, "the page to scroll", events_of=page)  # noqa: B023
    assert values(page) == before
    expect(page.get_by_role("button", name="Loop", exact=True)).to_have_attribute("aria-pressed", "false")


def test_a_finger_to_the_side_and_a_tap_do_move_a_fader(phone: BrowserContext, fast: Service, song: Path) -> None:
    page = mixer_of(phone.new_page(), fast, song)
    hand = phone.new_cdp_session(page)
    volume = page.get_by_role("slider", name="Volume of Rest")
    x, y = at(volume, 0.85)
    touch(hand, [(x, y), *[(x - 6 * step, y) for step in range(1, 10)]])
    expect(volume).to_have_attribute("aria-valuetext", re.compile(r"\u2212\d"))
    pan = page.get_by_role("slider", name="Pan of Rest")
    touch(hand, [at(pan, 0.1)])
    expect(pan).to_have_attribute("aria-valuetext", re.compile(r"left \d+ %"))


@pytest.mark.parametrize("name", ["Solo Rest", "Mute Quiet", "Loop", "To the start"])
def test_space_plays_after_a_button_was_pressed_with_the_mouse(mixer: Page, name: str) -> None:
    button = mixer.get_by_role("button", name=name, exact=True)
    button.click()
    pressed = button.get_attribute("aria-pressed")
    mixer.keyboard.press(" ")
    expect(mixer.get_by_role("button", name="Pause")).to_be_visible()
    assert button.get_attribute("aria-pressed") == pressed
    mixer.keyboard.press(" ")
    expect(mixer.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_space_presses_the_button_that_was_reached_by_keyboard(mixer: Page) -> None:
    mixer.get_by_role("button", name="Mute Rest").focus()
    mixer.keyboard.press("Tab")
    expect(mixer.get_by_role("button", name="Solo Rest")).to_be_focused()
    mixer.keyboard.press(" ")
    expect(mixer.get_by_role("button", name="Solo Rest")).to_have_attribute("aria-pressed", "true")
    expect(mixer.get_by_role("button", name="Play", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("width", "height"),
    [(360, 740), (390, 780), (740, 360), (768, 1024), (820, 1180), (844, 390), (1024, 768), (1280, 900)],
)
def test_every_slider_is_wide_enough_for_a_finger(mixer: Page, width: int, height: int) -> None:
    mixer.set_viewport_size({"width": width, "height": height})
    widths = mixer.get_by_role("slider").evaluate_all("sliders => sliders.map(slider => slider.clientWidth)")
    assert min(widths) >= LEAST_WIDTH, widths
    assert mixer.evaluate("document.documentElement.scrollWidth") <= width


def test_one_end_of_a_loop_moves_alone(mixer: Page) -> None:
    start, end = (mixer.get_by_label(f"Loop {which}", exact=True) for which in ("from", "to"))

    def typed(field: Locator, text: str) -> list[str]:
        field.fill(text)
        field.press("Enter")
        return [start.input_value(), end.input_value()]

    assert typed(end, "0:04.2479") == ["0:00.000", "0:04.248"]
    # The end is not what its field shows but what was typed: to the sample, for a loop that is to go round in time.
    assert typed(start, "1.0484") == ["0:01.048", "0:04.248"]
    assert kept(mixer)["region"] == {"start": 1.0484, "end": 4.2479}
    assert typed(start, "nonsense") == ["0:01.048", "0:04.248"]
    assert typed(start, "5") == ["0:05.000", "0:06.000"]  # behind the other end, which goes to the song's
    assert typed(end, "3") == ["0:00.000", "0:03.000"]


def kept(page: Page) -> dict[str, object]:
    """How the song of this page is mixed, as the browser keeps it."""
    found: dict[str, object] = page.evaluate(
        "JSON.parse(localStorage.getItem('stemwright.mix.' + location.hash.split('/').pop()))"
    )
    return found


def test_the_window_is_called_as_the_song(mixer: Page) -> None:
    expect(mixer).to_have_title("Scale.wav · Stemwright")
    mixer.reload()
    expect(mixer).to_have_title("Scale.wav · Stemwright")
    mixer.get_by_role("link", name="All songs").click()
    expect(mixer).to_have_title("Stemwright")


def test_time_and_length_are_said_alike(mixer: Page) -> None:
    expect(mixer.locator(".time")).to_have_text("0:00.0 / 0:06.0")


def test_two_tabs_of_one_song_have_one_mix(context: BrowserContext, mixer: Page) -> None:
    other = context.new_page()
    other.goto(mixer.url)
    slide(other.get_by_role("slider", name="Volume of Quiet"), -20)
    slide(other.get_by_role("slider", name="Tempo"), 80)
    expect(mixer.get_by_role("slider", name="Volume of Quiet")).to_have_attribute("aria-valuetext", "\u221220 dB")
    expect(mixer.get_by_role("slider", name="Tempo")).to_have_attribute("aria-valuetext", "80 %")
    mixer.get_by_role("button", name="Mute Rest").click()
    expect(other.get_by_role("button", name="Mute Rest")).to_have_attribute("aria-pressed", "true")
    other.reload()
    expect(other.get_by_role("slider", name="Volume of Quiet")).to_have_attribute("aria-valuetext", "\u221220 dB")
    expect(other.get_by_role("button", name="Mute Rest")).to_have_attribute("aria-pressed", "true")


TRACK = """async ({picture, y}) => {
  const canvas = document.createElement("canvas");
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(picture)]));
  Object.assign(canvas, {width: bitmap.width, height: bitmap.height});
  const pen = canvas.getContext("2d");
  pen.drawImage(bitmap, 0, 0);
  const {data} = pen.getImageData(Math.round(bitmap.width * 0.25), 0, 1, bitmap.height);
  return new Set(Array.from({length: bitmap.height}, (_, row) => data.slice(4 * row, 4 * row + 3).join())).size;
}"""


def test_sliders_have_a_track_in_high_contrast(browser: Browser, fast: Service, song: Path) -> None:
    context = browser.new_context(forced_colors="active", viewport={"width": 1280, "height": 900})
    page = mixer_of(context.new_page(), fast, song)
    slide(page.get_by_role("slider", name="Key"), 6)
    for name in ("Key", "Position", "Pan of Rest"):
        slider = page.get_by_role("slider", name=name)
        colours = page.evaluate(TRACK, {"picture": list(slider.screenshot()), "y": 0})
        assert colours > 1, f"{name}: nothing but the ground beside its thumb"
    assert position(page) == 0
    context.close()
