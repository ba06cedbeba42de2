"""The song generator: seeded, true stems, no clipping, every licence listed."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from stemwright_training import card, dataset, mixing
from stemwright_training.compose import compose
from stemwright_training.example import TITLE, example_song
from stemwright_training.patches import render_patch
from stemwright_training.render import OWN, Production, quantise, render
from stemwright_training.score import SAMPLE_RATE, STEMS, Song
from stemwright_training.soundfonts import SOUND_FONTS, midi_file, render_notes
from stemwright_training.styles import STYLES
from stemwright_training.synths import render_synth
from stemwright_training.voice import SPEAKERS, sing

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / TITLE


@pytest.fixture(scope="module")
def song() -> Song:
    """A short song with a singer, a sampled and a synthesised instrument."""
    for seed in range(50, 90):
        found = compose(seed, seconds=8.0)
        kinds = {part.instrument.split(":")[0] for part in found.parts}
        if {"gm", "synth", "voice"} <= kinds:
            return found
    raise AssertionError("no seed gives such a song")


@pytest.mark.parametrize("style", [style.name for style in STYLES])
def test_every_style_composes_all_four_stems_inside_its_tempo_and_length(style: str) -> None:
    made = compose(3, seconds=30.0, style=style)
    limits = next(s for s in STYLES if s.name == style)
    assert {part.stem for part in made.parts} == set(STEMS)
    assert limits.tempo[0] <= made.tempo <= limits.tempo[1]
    assert all(0 <= note.start < made.seconds for part in made.parts for note in part.notes)
    assert all(1 <= note.velocity <= 127 for part in made.parts for note in part.notes)


def test_the_same_seed_composes_the_same_song_and_another_seed_another() -> None:
    assert compose(7) == compose(7)
    assert compose(7).parts != compose(8).parts


def test_songs_differ_in_style_key_metre_and_voice() -> None:
    songs = [compose(seed, seconds=16.0) for seed in range(40)]
    assert len({song.style for song in songs}) >= 8
    assert len({song.key for song in songs}) >= 12
    assert {song.beats_per_bar for song in songs} == {3.0, 4.0}
    voices = {part.instrument for song in songs for part in song.parts if part.stem == "vocals"}
    assert len([voice for voice in voices if voice.startswith("voice:")]) >= 6
    assert any(voice.startswith("gm:") for voice in voices)


def test_rendering_again_gives_the_same_samples(song: Song) -> None:
    first, second = render(song, Production()), render(song, Production())
    assert first.dtype == np.int16
    assert first.shape[:2] == (4, 2)
    np.testing.assert_array_equal(first, second)
    assert all(np.abs(stem).max() > 300 for stem in first)


def test_the_mix_of_a_song_does_not_clip_nor_does_a_stem(song: Song) -> None:
    stems = render(song, Production(lossy=1.0, resampled=1.0))
    mix = stems.astype(np.int32).sum(axis=0)
    assert np.abs(mix).max() <= 32767
    assert np.abs(stems.astype(np.int32)).max() <= 32767


def test_stems_that_would_clip_together_get_one_joint_gain() -> None:
    loud = np.full((4, 2, 10), 0.5, np.float32)
    loud[1] *= 0.5
    whole = quantise(loud)
    assert whole.astype(np.int32).sum(axis=0).max() <= 32767
    np.testing.assert_allclose(whole[1] / whole[0], 0.5, atol=1e-3)


def test_held_out_songs_share_no_seed_with_training_songs_and_half_have_a_font_of_their_own() -> None:
    train, held_out = dataset.training_items(500), dataset.held_out_items(24)
    assert not {item.seed for item in train} & {item.seed for item in held_out}
    assert dataset.EXAMPLE_SEED not in {item.seed for item in train}
    assert "timgm" not in {item.font for item in train}
    assert sum(item.font == "timgm" for item in held_out) == 12


def test_every_sound_font_and_program_that_makes_sound_has_its_licence_on_the_card() -> None:
    rows = "\n".join(card.licence_rows())
    for font in SOUND_FONTS.values():
        assert font.name in rows
        assert font.licence in rows
    for program in ("espeak-ng", "pyworld", "fluidsynth", "synths"):
        assert program in rows
    written = (Path(__file__).resolve().parents[2] / "docs/models/pocket.md").read_text()
    assert rows in written


def test_the_singer_sings_the_pitch_that_is_written() -> None:
    notes = example_song().parts[-3].notes[:1]
    note = notes[0].__class__(start=0.1, duration=1.2, pitch=69, velocity=100, syllable="ah")
    sung = sing(1, [note], SAMPLE_RATE * 2, np.random.default_rng(0))
    held = sung[int(0.6 * SAMPLE_RATE) : int(1.1 * SAMPLE_RATE)]
    spectrum = np.abs(np.fft.rfft(held * np.hanning(held.size)))
    near = slice(int(380 * held.size / SAMPLE_RATE), int(500 * held.size / SAMPLE_RATE))
    peak = (near.start + int(np.argmax(spectrum[near]))) * SAMPLE_RATE / held.size
    assert abs(12 * np.log2(peak / 440)) < 0.8
    assert len(SPEAKERS) >= 10


def test_a_midi_file_is_read_by_the_player_and_sounds_at_its_time() -> None:
    note = example_song().parts[1].notes[0].__class__(start=0.5, duration=0.5, pitch=60, velocity=100)
    assert midi_file([(0, 0, 0.0, [note])]).startswith(b"MThd")
    played = render_notes("timgm", "gm:0", [note], SAMPLE_RATE)
    sounding = np.flatnonzero(np.abs(played).max(axis=0) > 0.01)
    assert 0.49 < sounding[0] / SAMPLE_RATE < 0.52


def test_a_synthesiser_plays_its_notes_in_tune() -> None:
    note = example_song().parts[1].notes[0].__class__(start=0.0, duration=1.0, pitch=45, velocity=100)
    played = render_synth("sawbass", [note], SAMPLE_RATE, np.random.default_rng(1))
    spectrum = np.abs(np.fft.rfft(played))
    assert abs(int(np.argmax(spectrum)) - 110) <= 1


def test_an_instrument_drawn_for_a_part_plays_in_tune_and_another_part_has_another() -> None:
    note = example_song().parts[1].notes[0].__class__(start=0.25, duration=1.0, pitch=57, velocity=100)
    for program in (0, 16, 33, 40, 73, 88):
        played = render_patch(program, [note], 2 * SAMPLE_RATE, np.random.default_rng(program))
        again = render_patch(program, [note], 2 * SAMPLE_RATE, np.random.default_rng(program))
        other = render_patch(program, [note], 2 * SAMPLE_RATE, np.random.default_rng(program + 1))
        np.testing.assert_array_equal(played, again)
        assert np.abs(played - other).max() > 0.01
        sounding = np.flatnonzero(np.abs(played) > 0.01)
        assert 0.25 <= sounding[0] / SAMPLE_RATE < 0.5
        peak = int(np.argmax(np.abs(np.fft.rfft(played[: 2 * SAMPLE_RATE])))) / 2
        harmonic = peak / 220
        assert abs(harmonic - round(harmonic * 2) / 2) < 0.03


def test_a_song_of_drawn_instruments_has_all_stems_at_about_one_level() -> None:
    stems = render(compose(3, seconds=8.0, style="pop"), Production(font=OWN)).astype(np.float64)
    levels = [10 * np.log10((stem**2).mean()) for stem in stems]
    assert max(levels) - min(levels) < 12


def test_mp3_and_another_sample_rate_keep_length_and_alignment() -> None:
    x = (0.3 * np.random.default_rng(0).standard_normal((2, SAMPLE_RATE))).astype(np.float32)
    x = mixing.pass_filter(mixing.pass_filter(x, "lowpass", 3000), "lowpass", 3000)
    for changed in (mixing.through_mp3(x, 192), mixing.through_rate(x, 22050)):
        assert changed.shape == x.shape
        assert ((changed - x) ** 2).sum() < 0.05 * (x**2).sum()


def test_the_stems_of_the_example_song_sum_to_its_mix_and_the_files_are_small() -> None:
    mix, rate = soundfile.read(EXAMPLE / "mix.flac", dtype="int16")
    stems = [soundfile.read(EXAMPLE / f"{stem}.flac", dtype="int16")[0].astype(np.int32) for stem in STEMS]
    np.testing.assert_array_equal(sum(stems), mix)
    assert rate == SAMPLE_RATE
    assert 20 <= len(mix) / rate <= 40
    assert all(np.abs(stem).max() > 1000 for stem in stems)
    assert sum(file.stat().st_size for file in EXAMPLE.iterdir()) < 8e6
