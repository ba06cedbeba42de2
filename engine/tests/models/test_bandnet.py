"""BandNet: shapes, the sum of its sources, its inverse transform, and determinism."""

from typing import Any

import pytest
import torch

from stemwright.models.architecture import Arguments
from stemwright.models.bandnet.architecture import BANDNET
from stemwright.models.bandnet.network import BANDS, BandNet

SMALL: dict[str, Any] = {"channels": (8, 8, 8), "hidden": 8, "decoder": 4}


@pytest.fixture
def network() -> BandNet:
    torch.manual_seed(0)
    return BandNet(**SMALL).eval()


@pytest.mark.parametrize("length", [1, 1023, 4096, 30001])
def test_the_sources_have_the_mixs_length_and_sum_to_it(network: BandNet, length: int) -> None:
    mix = torch.randn(2, 2, length)
    with torch.no_grad():
        sources = network(mix)
    assert sources.shape == (2, 4, 2, length)
    torch.testing.assert_close(sources.sum(1), mix, atol=1e-5, rtol=0)


def test_the_inverse_of_the_spectrogram_is_the_wave_also_at_its_edges(network: BandNet) -> None:
    wave = torch.randn(1, 2, 10000)
    mid, side = network.wave(network.spectrum(wave)[0])[:, :10000]
    torch.testing.assert_close(torch.stack([mid + side, mid - side]) / 2**0.5, wave[0], atol=1e-5, rtol=0)


def test_the_bands_cover_all_bins_but_nyquists() -> None:
    assert sum(count * width for count, width, _ in BANDS) == 2048
    assert sum(count for count, _, _ in BANDS) % 4 == 0
    assert all(width % share == 0 for _, width, share in BANDS)


def test_the_same_mix_gives_the_same_bits_alone_and_twice(network: BandNet) -> None:
    mix = torch.randn(1, 2, 20000)
    with torch.no_grad():
        assert torch.equal(network(mix), network(mix))


def test_silence_stays_silent(network: BandNet) -> None:
    with torch.no_grad():
        assert float(network(torch.zeros(1, 2, 9000)).abs().max()) == 0.0


def test_a_network_built_without_memory_works_once_its_tensors_are_assigned(network: BandNet) -> None:
    with torch.device("meta"):
        built = BANDNET.build(Arguments(klass=BANDNET.klasses[0], kwargs=SMALL))
    built.load_state_dict(network.state_dict(), assign=True)
    mix = torch.randn(1, 2, 5000)
    with torch.no_grad():
        torch.testing.assert_close(built.eval()(mix), network(mix))


def test_every_weight_takes_part(network: BandNet) -> None:
    network.train()(torch.randn(2, 2, 20000))[:, 0].square().mean().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []
