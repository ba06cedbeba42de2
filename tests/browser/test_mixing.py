"""The mixer: what it is set to is what is heard, and what is exported."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hearing import RATE, SECONDS, heard, pitch
from playwright.sync_api import Page, expect
from service import Service
from steps import export, level, open_mixer, open_page, painted, play, position, separate, slide, wait


@pytest.fixture
def mixer(page: Page, fast: Service, song: Path) -> Page:
    """The mixer of a song of which one stem is half of the mix and the other the other half."""
    open_page(page, fast.url)
    separate(page, song)
    open_mixer(page, "Scale.wav")
    return page


def loudness(page: Page, low: float, high: float) -> None:
    wait(lambda: low < level(page) < high, f"a level from {low} to {high}; it is {level(page)}")


def moment(page: Page, end: str) -> float:
    """Where the loop begins or ends, seconds."""
    return float(page.get_by_label(f"Loop {end}", exact=True).input_value().split(":")[1])


def test_a_waveform_that_the_server_has_not_is_drawn_once_its_stem_is_heard(mixer: Page) -> None:
    note = mixer.get_by_text("its waveform appears when it is loaded")
    expect(note).to_have_count(2)
    assert painted(mixer) == [0, 0]
    mixer.get_by_role("button", name="Mute Quiet").click()
    play(mixer)
    wait(lambda: [share > 0.3 for share in painted(mixer)] == [False, True], "the waveform of what is heard")
    expect(note).to_have_count(1)


def test_every_fader_goes_back_to_where_it_was(mixer: Page) -> None:
    rests = {"Tempo": "100 %", "Key": "as it is", "Volume of the whole mix": "0 dB"}
    rests |= {
        f"{what} of {stem}": rest
        for what, rest in (("Volume", "0 dB"), ("Pan", "centre"))
        for stem in ("Quiet", "Rest")
    }
    expect(mixer.get_by_role("button", name="Reset:")).to_have_count(0)
    for name, rest in rests.items():
        slider = mixer.get_by_role("slider", name=name)
        slide(slider, 1)
        expect(slider).not_to_have_attribute("aria-valuetext", rest)
        mixer.get_by_role("button", name=f"Reset: {name}").click()
        expect(slider).to_have_attribute("aria-valuetext", rest)
    expect(mixer.get_by_role("button", name="Reset:")).to_have_count(0)
    mixer.get_by_role("button", name="Loop", exact=True).click()
    slide(mixer.get_by_role("slider", name="Volume of the whole mix"), -40)
    play(mixer)
    loudness(mixer, -1, 0.01)
    mixer.get_by_role("button", name="Reset: Volume of the whole mix").click()
    loudness(mixer, 0.35, 0.45)


def test_mute_solo_and_volume_change_what_is_heard(mixer: Page) -> None:
    mixer.get_by_role("button", name="Loop", exact=True).click()  # so that it does not end
    play(mixer)
    loudness(mixer, 0.35, 0.45)
    mixer.get_by_role("button", name="Mute Quiet").click()
    loudness(mixer, 0.15, 0.25)
    mixer.get_by_role("button", name="Mute Rest").click()
    loudness(mixer, -1, 0.01)
    mixer.get_by_role("button", name="Mute Quiet").click()
    mixer.get_by_role("button", name="Mute Rest").click()
    loudness(mixer, 0.35, 0.45)
    mixer.get_by_role("button", name="Solo Rest").click()
    loudness(mixer, 0.15, 0.25)
    slide(mixer.get_by_role("slider", name="Volume of Rest"), 6)
    loudness(mixer, 0.36, 0.44)
    slide(mixer.get_by_role("slider", name="Volume of the whole mix"), -40)
    loudness(mixer, -1, 0.01)


def test_seeking_and_looping(mixer: Page) -> None:
    slide(mixer.get_by_label("Position"), 4)
    wait(lambda: position(mixer) == 4.0, "four seconds")
    lane = mixer.locator(".lane").first
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": box["width"] / 2, "y": 10})
    wait(lambda: abs(position(mixer) - SECONDS / 2) < 0.1, "the middle")
    mixer.mouse.move(box["x"] + box["width"] / 6, box["y"] + 10)
    mixer.mouse.down()
    mixer.mouse.move(box["x"] + box["width"] / 3, box["y"] + 10, steps=4)
    mixer.mouse.up()
    expect(mixer.get_by_role("button", name="Loop", exact=True)).to_have_attribute("aria-pressed", "true")
    wait(lambda: abs(moment(mixer, "from") - 1) < 0.1, "the loop to begin where it was drawn")
    wait(lambda: abs(moment(mixer, "to") - 2) < 0.1, "the loop to end where it was drawn")
    play(mixer)
    seen = [position(mixer)]

    def twice_round() -> bool:
        seen.append(position(mixer))
        return sum(later < earlier for earlier, later in pairwise(seen)) >= 2

    wait(twice_round, "two rounds")
    assert 0.9 < min(seen) <= max(seen) < 2.2


def test_an_export_is_the_mix_to_the_sample(mixer: Page, song: Path, tmp_path: Path) -> None:
    mix = heard(export(mixer, tmp_path))
    truth = np.frombuffer(song.read_bytes()[44:], dtype="<i2").reshape(-1, 2).T / 2**15
    assert mix.shape == truth.shape
    # Half a step of 16 bit: browsers decode positive samples to 1/32767, negative ones to 1/32768.
    assert np.abs(mix - truth).max() < 2**-16


def test_an_export_has_what_was_set(mixer: Page, tmp_path: Path) -> None:
    mixer.get_by_role("button", name="Mute Rest").click()
    slide(mixer.get_by_role("slider", name="Pan of Quiet"), -1)
    mixer.get_by_label("Loop from", exact=True).fill("0:02")
    mixer.get_by_label("Loop to", exact=True).fill("3")
    mixer.get_by_label("Loop to", exact=True).press("Enter")
    path = export(mixer, tmp_path)
    assert path.name == "Scale loop.wav"
    loop = heard(path)
    assert loop.shape == (2, RATE)
    assert abs(pitch(loop) - 900) < 2
    assert np.abs(loop[0]).max() > 0.3  # both channels of a stereo stem go to the left
    assert np.abs(loop[1]).max() < 1e-3


@pytest.mark.parametrize(
    ("tempo", "key", "length", "tone"), [(50, 0, 2.0, 900), (100, 12, 1.0, 1800), (125, -5, 0.8, 674)]
)
def test_tempo_and_key_change_independently(
    mixer: Page, tmp_path: Path, tempo: int, key: int, length: float, tone: float
) -> None:
    slide(mixer.get_by_role("slider", name="Tempo"), tempo)
    slide(mixer.get_by_role("slider", name="Key"), key)
    mixer.get_by_label("Loop from", exact=True).fill("2")
    mixer.get_by_label("Loop to", exact=True).fill("3")
    mixer.get_by_label("Loop to", exact=True).press("Enter")
    changed = heard(export(mixer, tmp_path))
    assert changed.shape[1] == round(length * RATE)
    middle = changed[:, changed.shape[1] // 4 : -changed.shape[1] // 4]
    assert abs(pitch(middle) - tone) < 8
    assert np.abs(middle).max() > 0.2


def test_another_tempo_is_heard_live(mixer: Page) -> None:
    mixer.get_by_role("button", name="Loop", exact=True).click()
    slide(mixer.get_by_role("slider", name="Tempo"), 80)
    slide(mixer.get_by_role("slider", name="Key"), 2)
    play(mixer)
    loudness(mixer, 0.2, 0.8)
    slide(mixer.get_by_role("slider", name="Tempo"), 100)
    slide(mixer.get_by_role("slider", name="Key"), 0)
    loudness(mixer, 0.35, 0.45)


def test_how_a_song_is_mixed_survives_a_reload(mixer: Page) -> None:
    mixer.get_by_role("button", name="Mute Rest").click()
    slide(mixer.get_by_role("slider", name="Tempo"), 75)
    mixer.reload()
    expect(mixer.get_by_role("button", name="Mute Rest")).to_have_attribute("aria-pressed", "true")
    expect(mixer.get_by_role("slider", name="Tempo")).to_have_attribute("aria-valuetext", "75 %")
