"""Resampling, scanning, mixing channels and scaling samples: against plain definitions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from signals import snr_db
from sounds import encode, sound

from stemwright.audio import Resampler, open_writer, resampled_length, scan
from stemwright.audio.channels import mix_channels, mixing_matrix
from stemwright.audio.reading.scan import Moments
from stemwright.audio.samples import Samples, to_float, to_integers

RATES = st.sampled_from([8000, 11025, 22050, 32000, 37800, 44100, 48000, 88200, 96000, 192000])


def resample(samples: Samples, from_rate: int, to_rate: int, steps: list[int]) -> Samples:
    resampler = Resampler(from_rate, to_rate, len(samples))
    blocks: list[Samples] = []
    at = 0
    while at < samples.shape[1]:
        step = steps[len(blocks) % len(steps)]
        blocks.append(resampler.process(samples[:, at : at + step]))
        at += step
    return np.concatenate([*blocks, resampler.flush()], axis=1)


@given(RATES, RATES, st.integers(1, 5000), st.lists(st.integers(1, 2000), min_size=1, max_size=3))
def test_resampling_gives_the_exact_length_however_it_is_fed(
    from_rate: int, to_rate: int, samples: int, steps: list[int]
) -> None:
    got = resample(np.ones((2, samples), np.float32), from_rate, to_rate, steps)
    assert got.shape == (2, max(1, int(samples * to_rate / from_rate + 0.5)))
    assert got.shape[1] == resampled_length(samples, from_rate, to_rate)
    assert got.dtype == np.float32


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=4))
def test_resampling_does_not_depend_on_how_it_is_fed(steps: list[int]) -> None:
    samples = sound(48000, 9000)
    assert np.array_equal(resample(samples, 48000, 44100, steps), resample(samples, 48000, 44100, [9000]))


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44100, 48000), (48000, 44100), (8000, 44100), (192000, 44100)])
def test_resampling_neither_delays_nor_colours(from_rate: int, to_rate: int) -> None:
    def wave(rate: int) -> np.ndarray:
        time = np.arange(rate) / rate
        return np.stack([np.sin(2 * np.pi * f * time) * 0.5 for f in (100, 1000)]).astype(np.float32)

    got, wanted = resample(wave(from_rate), from_rate, to_rate, [4096]), wave(to_rate)
    assert snr_db(wanted[:, 500:-500], got[:, 500:-500]) > 110


@given(
    st.lists(st.lists(st.floats(-1, 1, width=32), min_size=0, max_size=50), min_size=1, max_size=6),
    st.sampled_from([0.0, 1000.0]),
)
def test_moments_of_blocks_are_those_of_the_whole(blocks: list[list[float]], offset: float) -> None:
    moments = Moments()
    arrays = [np.array(block, dtype=np.float64) + offset for block in blocks]
    for block in arrays:
        moments.add(block)
    whole = np.concatenate(arrays)
    assert moments.count == whole.size
    if whole.size:
        assert moments.mean == pytest.approx(whole.mean(), rel=1e-12, abs=1e-12)
    assert moments.std == pytest.approx(whole.std(ddof=1) if whole.size > 1 else 0.0, rel=1e-9, abs=1e-9)


def test_a_scan_agrees_with_the_definition(tmp_path: Path) -> None:
    samples = sound(44100, 200_000) + np.float32(0.125)
    with open_writer(tmp_path / "x.wav", format="wav-float", sample_rate=44100, channels=2) as writer:
        writer.write(samples)
    found = scan(tmp_path / "x.wav", sample_rate=44100)
    mono = samples.astype(np.float64).mean(axis=0)
    assert found.samples == found.native_samples == 200_000
    assert found.mean == pytest.approx(mono.mean(), rel=1e-9)
    assert found.std == pytest.approx(mono.std(ddof=1), rel=1e-9)
    assert found.peak == np.abs(samples).max()
    assert found.info.codec == "pcm_f32le"


def test_a_scan_counts_at_both_rates(tmp_path: Path) -> None:
    path = encode(tmp_path / "x", sound(48000, 48_001), 48000, codec="flac", muxer="flac")
    found = scan(path, sample_rate=44100)
    assert (found.samples, found.native_samples) == (44_101, 48_001)


@pytest.mark.parametrize(
    "names", [("FL", "FR", "LFE"), ("FL", "FR", "FC"), ("FL", "FR", "FC", "LFE", "SL", "SR"), ("x",) * 5]
)
def test_no_mixture_can_exceed_full_scale(names: tuple[str, ...]) -> None:
    for channels in (1, 2):
        matrix = mixing_matrix(names, channels)
        assert matrix.shape == (channels, len(names))
        assert np.abs(matrix).sum(axis=1).max() <= 1 + 1e-6
        assert matrix.sum() > 0


def test_the_low_frequency_channel_is_left_out_and_the_rest_untouched() -> None:
    assert np.array_equal(mixing_matrix(("FL", "FR", "LFE"), 2), [[1, 0, 0], [0, 1, 0]])


def test_channels_that_fit_are_passed_on_as_they_are() -> None:
    block = sound(44100, 100)
    assert mix_channels(block, mixing_matrix(("FL", "FR"), 2)) is block
    assert np.array_equal(mix_channels(block[:1], mixing_matrix(("FC",), 2)), block[[0, 0]])


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("u8", np.array([0, 128, 255], np.uint8), [-1, 0, 127 / 128]),
        ("s16", np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
        ("s32", np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
        ("s64", np.array([-(2**63), 0, 2**62], np.int64), [-1, 0, 0.5]),
        ("flt", np.array([-2, 0, 0.5], np.float32), [-2, 0, 0.5]),
        ("dbl", np.array([-2, 0, 1e300]), [-2, 0, np.inf]),
    ],
)
def test_every_sample_format_has_full_scale_at_one(name: str, values: np.ndarray, wanted: list[float]) -> None:
    for planar, format in ((False, name), (True, name + "p")):
        got = to_float(values.tobytes(), format, planar=planar, channels=1)
        assert got.dtype == np.float32
        assert got.tolist() == [wanted]
    pairs = np.stack([values, values[::-1]])
    assert np.array_equal(
        to_float(pairs.T.tobytes(), name, planar=False, channels=2),
        to_float(pairs.tobytes(), name, planar=True, channels=2),
    )


def test_integers_are_rounded_to_the_nearest_and_clamped() -> None:
    values = np.array([[-9, -1, -1.5 / 32768, 0.4 / 32768, 0.6 / 32768, 1, 9]], np.float32)
    assert to_integers(values, 16).tolist() == [[-32768, -32768, -2, 0, 1, 32767, 32767]]
