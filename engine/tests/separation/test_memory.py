"""Memory does not grow with the length of the song. Measured in processes of their own, with a network that costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

SEPARATE = """
import resource, sys
import numpy as np
import torch
from stemwright.backends.eager import EagerNetwork
from stemwright.models.architecture import Architecture, LoadedModule
from stemwright.models.bag import Bag
from stemwright.options import SeparationOptions
from stemwright.separation.mix_stats import MixStats
from stemwright.separation.recipe import resolve
from stemwright.separation.stream import Stream

class Quarter(torch.nn.Module):
    sources, samplerate, audio_channels, segment = ["a", "b", "c", "d"], 44100, 2, 7.8
    def forward(self, mix):
        return (0.25 * mix)[:, None].expand(-1, 4, -1, -1)

quarter = LoadedModule(module=Quarter(), architecture=Architecture(name="quarter", build=lambda _: Quarter()))
length = int(float(sys.argv[1]) * 60 * 44100)
bag = Bag(sources=Quarter.sources, loaders=[lambda: EagerNetwork(quarter)])
stream = Stream(resolve(bag, SeparationOptions(shifts=int(sys.argv[2]), seed=1)))
block = np.random.default_rng(0).standard_normal((2, 65536), dtype=np.float32)
def mix():
    for start in range(0, length, 65536):
        yield block[:, : min(65536, length - start)].copy()
out = 0
for made in stream.blocks(mix(), MixStats(length=length, mean=0.0, std=1.0)):
    assert np.isfinite(made[0, 0, :10]).all()
    out += made.shape[-1]
assert out == length, (out, length)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_megabytes(minutes: float, shifts: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", SEPARATE, str(minutes), str(shifts)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.parametrize("shifts", [0, 2])
def test_a_song_twenty_times_as_long_needs_no_more_memory(shifts: int) -> None:
    # Six minutes of four stereo stems are 510 MB; a tenth of that would be noticed here.
    assert peak_megabytes(6, shifts) - peak_megabytes(0.3, shifts) < 48
