"""Waveforms counted as the stems stream by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from stemwright_demucs.peaks import PeakCounter


@pytest.mark.parametrize("length", [1, 255, 256, 257, 100_000, 256 * 4096, 256 * 4096 + 1, 3_000_000])
def test_the_extremes_of_every_run_are_found_however_the_song_comes(length: int) -> None:
    random = np.random.default_rng(length)
    song = random.uniform(-1, 1, (2, 2, length)).astype(np.float32)
    counter, place = PeakCounter(), 0
    while place < length:
        count = int(random.integers(1, 200_000))
        counter.add(song[:, :, place : place + count])
        place += count
    size = counter.samples_per_peak
    found = counter.result(1.0)
    assert found.shape == (2, -(-length // size), 2)
    assert found.shape[1] <= 4096
    assert size == 256 or found.shape[1] > 2048  # no coarser than it has to be
    for run in range(found.shape[1]):
        part = song[:, :, run * size : (run + 1) * size]
        expected = np.stack([part.min(axis=(1, 2)), part.max(axis=(1, 2))], axis=-1)
        assert np.array_equal(found[:, run], np.rint(expected * 127).astype(np.int8))


def test_they_are_those_of_the_stems_as_written(tmp_path: Path) -> None:
    counter = PeakCounter()
    counter.add(np.array([[[0.5, -4.0, 2.0]], [[0.0, 0.0, 0.0]]], dtype=np.float32))
    counter.write(tmp_path / "peaks.json", ["drums", "bass"], sample_rate=44100, gain=0.25)
    assert json.loads((tmp_path / "peaks.json").read_text()) == {
        "drums": {"sample_rate": 44100, "samples_per_peak": 256, "length": 3, "data": [-127, 64]},
        "bass": {"sample_rate": 44100, "samples_per_peak": 256, "length": 3, "data": [0, 0]},
    }
