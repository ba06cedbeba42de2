"""Normalizing: one gain for all stems, never one for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stemwright.audio import open_audio
from stemwright.options import OutputOptions
from stemwright.stems.files import StemWriter


def write(folder: Path, stems: NDArray[np.float32], options: OutputOptions) -> tuple[list[NDArray[np.float32]], float]:
    """The stems as they are read back, and the gain."""
    paths = {f"s{index}": folder / f"s{index}.{options.format}" for index in range(len(stems))}
    with StemWriter(paths, options, sample_rate=44100, channels=2, target=None, tags={}) as files:
        for start in range(0, stems.shape[-1], 5000):
            files.write(stems[:, :, start : start + 5000])
        files.finish(float(np.abs(stems).max()))
    found = []
    for path in paths.values():
        with open_audio(path, sample_rate=44100, channels=2) as blocks:
            found.append(np.concatenate(list(blocks), axis=-1))
    return found, files.gain


def noise(peak: float) -> NDArray[np.float32]:
    """Two stems; the second is a tenth as loud as the first."""
    samples = np.random.default_rng(1).uniform(-1, 1, (2, 2, 22050)).astype(np.float32)
    samples[1] *= 0.1
    return np.asarray(samples * peak / np.abs(samples).max(), dtype=np.float32)


@pytest.mark.parametrize("peak", [0.02, 0.5, 3.0])
@pytest.mark.parametrize("clip_mode", ["rescale", "clamp", "none"])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_all_stems_get_the_one_gain_that_brings_the_highest_peak_under_full_scale(
    tmp_path: Path, peak: float, clip_mode: str, kind: str
) -> None:
    stems = noise(peak)
    options = OutputOptions(format=kind, clip_mode=clip_mode, normalize=True)  # type: ignore[arg-type]
    found, gain = write(tmp_path, stems, options)
    assert gain == pytest.approx(0.99 / peak, rel=1e-5)
    for stem, given in zip(found, stems, strict=True):
        np.testing.assert_allclose(stem, given * gain, atol=4e-5)  # a step of 16 bits
    assert float(np.abs(found).max()) == pytest.approx(0.99, abs=1e-3)
    np.testing.assert_allclose(sum(found), stems.sum(axis=0) * gain, atol=1e-4)  # they still sum to the mix


def test_silence_stays_silence(tmp_path: Path) -> None:
    found, gain = write(tmp_path, np.zeros((2, 2, 1000), dtype=np.float32), OutputOptions(normalize=True))
    assert gain == 1.0
    assert not np.any(found)


def test_a_song_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    paths = {"s": tmp_path / "new" / "s.wav"}
    options = OutputOptions(normalize=True)
    with (
        pytest.raises(RuntimeError),
        StemWriter(paths, options, sample_rate=44100, channels=2, target=None, tags={}) as files,
    ):
        files.write(noise(0.5)[:1])
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
