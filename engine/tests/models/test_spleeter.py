import torch

from stemwright.models.spleeter.architecture import SPLEETER
from stemwright.models.spleeter.network import BINS, HOP, WINDOW, Spleeter, SpleeterUNet


def untrained() -> Spleeter:
    torch.manual_seed(0)
    return Spleeter().eval().requires_grad_(False)


def noise(length: int, batch: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 2, length, generator=torch.Generator().manual_seed(1))


def test_the_stems_sum_to_the_mix() -> None:
    network = untrained()
    mix = noise(network.valid_length(1), batch=2)
    stems = network(mix)
    assert stems.shape == (2, 2, 2, mix.shape[-1])
    assert torch.allclose(stems.sum(dim=1), mix, rtol=0, atol=1e-7)
    assert stems[:, 0].abs().max() > 1e-3
    assert stems[:, 1].abs().max() > 1e-3


def test_a_segment_is_the_512_frames_that_the_networks_were_trained_on() -> None:
    network = untrained()
    length = int(network.segment * network.samplerate)
    assert network.valid_length(length) == length
    spectrum = torch.stft(noise(length)[0], WINDOW, HOP, window=torch.hann_window(WINDOW), return_complex=True)
    assert spectrum.shape[-1] == 512


def test_a_valid_length_holds_what_was_asked_for_and_no_more_than_64_frames_besides() -> None:
    network = untrained()
    for length in (1, 1000, 63 * HOP, 63 * HOP + 1, 500_000, 523_264, 600_000):
        valid = network.valid_length(length)
        assert length <= valid < length + 64 * HOP
        assert network.valid_length(valid) == valid


def test_above_the_band_the_share_of_the_band_goes_on() -> None:
    """A tone at 15 kHz is beyond what the networks see: it is shared out as the sound below it is."""
    network = untrained()
    length = network.valid_length(1)
    tone = 0.1 * torch.sin(2 * torch.pi * 15_000 / 44_100 * torch.arange(length)).expand(1, 2, -1)
    vocals, accompaniment = network(tone + 0.01 * noise(length))[0]
    spectrum = [torch.fft.rfft(stem[0]).abs() for stem in (vocals, accompaniment)]
    at = round(15_000 / 44_100 * length)
    loudest = [float(s[at - 5 : at + 6].max()) for s in spectrum]
    assert min(loudest) > 0.05 * max(loudest)


def test_silence_stays_silent() -> None:
    network = untrained()
    assert not network(torch.zeros(1, 2, network.valid_length(1))).any()


def test_the_network_gives_magnitudes_no_larger_than_those_of_the_mix() -> None:
    torch.manual_seed(2)
    network = SpleeterUNet().eval()
    magnitudes = torch.rand(1, 2, 64, BINS)
    with torch.inference_mode():
        stem = network(magnitudes)
    assert stem.shape == magnitudes.shape
    assert (stem >= 0).all()
    assert (stem <= magnitudes).all()


def test_the_networks_want_amplitudes_as_they_are() -> None:
    assert SPLEETER.facts(untrained()).normalises is False
