"""The training loop: resumes after kill -9, learns, and its batches are what they should be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stemwright.checkpoints import find
from stemwright.checkpoints.files import load_network
from stemwright.machine.hashing import sha256_of
from stemwright.models.bandnet.network import BandNet
from stemwright_training.batches import make_batch
from stemwright_training.checkpoint import BANDNET, averaged_weights, write_model
from stemwright_training.train import Budget, learning_rate, negative_snr, spectral_negative_snr, train

TINY: dict[str, Any] = {"channels": [8, 8, 8], "hidden": 8, "decoder": 4}
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_training as t
t.train(t.BandNet(**t.TINY), t.songs, t.budget(10_000, save_every=0.0), Path(sys.argv[1]))
"""


def songs() -> list[np.ndarray]:
    """Two songs of noise, each stem in its own band, so that there is something to learn."""
    rng = np.random.default_rng(5)
    out = []
    for _ in range(2):
        noise = np.fft.rfft(rng.standard_normal((4, 2, 88200)))
        edges = np.linspace(0, noise.shape[2], 5).astype(int)
        for stem in range(4):
            noise[stem, :, : edges[stem]] = 0
            noise[stem, :, edges[stem + 1] :] = 0
        out.append((np.fft.irfft(noise) * 5000).astype(np.int16))
    return out


def budget(seconds: float, save_every: float = 60.0) -> Budget:
    return Budget(seconds=seconds, batch=2, clip=0.5, save_every=save_every)


def test_a_killed_training_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(Path(__file__).parent)]
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        while not (tmp_path / "state.pt").exists():
            assert child.poll() is None
            time.sleep(0.05)
        while averaged_weights(tmp_path)[1] < 2:
            assert child.poll() is None
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    _, steps, seconds = averaged_weights(tmp_path)
    train(BandNet(**TINY), songs, budget(10_000), tmp_path, steps=3)
    _, later, longer = averaged_weights(tmp_path)
    assert later == steps + 3
    assert longer > seconds


def test_a_finished_training_is_not_trained_further(tmp_path: Path) -> None:
    train(BandNet(**TINY), songs, budget(10_000), tmp_path, steps=1)
    first, steps, seconds = averaged_weights(tmp_path)
    again = train(BandNet(**TINY), songs, budget(seconds), tmp_path)
    assert steps == 1
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_training_lowers_the_loss_on_songs_that_can_be_learned(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BandNet(**TINY)
    stems = make_batch(songs(), 2, 22050, 9, 9)
    with torch.no_grad():
        before = float(negative_snr(network.train()(stems.sum(1)), stems))
    train(network, songs, Budget(seconds=10_000, batch=2, clip=0.5, warmup=1e-9), tmp_path, steps=25)
    with torch.no_grad():
        after = float(negative_snr(network.train()(stems.sum(1)), stems))
    assert after < before - 1.0


def test_the_same_step_of_the_same_seed_is_the_same_batch_and_its_stems_have_the_mixs_level() -> None:
    first, second, other = (make_batch(songs(), 3, 11025, 1, step) for step in (4, 4, 5))
    assert first.shape == (3, 4, 2, 11025)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert 0.2 < float(first.sum(1).mean(1).std(-1).median()) < 4


def test_the_spectral_loss_agrees_with_the_loss_of_the_waves() -> None:
    torch.manual_seed(1)
    network = BandNet(**TINY).eval()
    stems = make_batch(songs(), 2, 44100, 2, 0)
    with torch.no_grad():
        waves, spectral = negative_snr(network(stems.sum(1)), stems), spectral_negative_snr(network, stems)
    assert abs(float(waves) - float(spectral)) < 1.0


def test_every_second_frame_says_nearly_what_all_frames_say() -> None:
    torch.manual_seed(1)
    network = BandNet(**TINY).eval()
    stems = make_batch(songs(), 2, 44100, 2, 0)
    with torch.no_grad():
        whole = float(spectral_negative_snr(network, stems))
        halves = [float(spectral_negative_snr(network, stems, first, 2)) for first in (0, 1)]
    assert halves[0] != halves[1]
    np.testing.assert_allclose(halves, whole, atol=0.3)


def test_a_batch_in_parts_side_by_side_is_learned_from_as_well(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = BandNet(**TINY)
    stems = make_batch(songs(), 2, 22050, 9, 9)
    with torch.no_grad():
        before = float(negative_snr(network.train()(stems.sum(1)), stems))
    threads = torch.get_num_threads()
    plan = Budget(seconds=10_000, batch=4, clip=0.5, warmup=1e-9, threads=2)
    train(network, songs, plan, tmp_path, steps=25)
    assert torch.get_num_threads() == threads
    with torch.no_grad():
        after = float(negative_snr(network.train()(stems.sum(1)), stems))
    assert after < before - 1.0


def test_the_learning_rate_rises_and_then_falls_to_a_hundredth() -> None:
    plan = Budget(seconds=100, rate=1.0)
    rates = [learning_rate(progress, plan) for progress in np.linspace(0, 1, 101)]
    peak = int(np.argmax(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert abs(rates[-1] - 0.01) < 1e-9


def test_a_written_model_is_loaded_by_the_engine_and_replaces_the_one_before(tmp_path: Path) -> None:
    kwargs = {"sources": ["drums", "bass", "other", "vocals"], **TINY}
    for seed in (0, 1):
        torch.manual_seed(seed)
        network = BandNet(**kwargs)
        file = write_model(tmp_path, "small", BANDNET, kwargs, network.state_dict(), description="small")
    assert list(tmp_path.glob("*.safetensors")) == [file]
    info = find("small", tmp_path)
    assert info.sources == ("drums", "bass", "other", "vocals")
    assert sha256_of(file).startswith(file.stem) or file.stem in (tmp_path / "small.yaml").read_text()
    loaded = load_network(file).module
    mix = torch.randn(1, 2, 20000)
    torch.testing.assert_close(loaded(mix), network.eval()(mix), atol=2e-2, rtol=0)
