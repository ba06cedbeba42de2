"""Plain torch: 16 bits agree, and a device without memory is no end."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import SOURCES, music, snr_db, tiny_htdemucs

from stemwright import DeviceError, SeparationOptions
from stemwright.backends.eager import EagerNetwork, batch_that_fits
from stemwright.backends.graphs import Graphs
from stemwright.models.bag import Bag
from stemwright.models.htdemucs import HTDemucs
from stemwright.stream import Stream, Track


class Copies(torch.nn.Module):
    """Gives the mix to every source, and has no memory for more than ``most`` segments at once."""

    sources, samplerate, audio_channels, segment = SOURCES, 44100, 2, 1.0

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.batches: list[int] = []

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(mix))
        if len(mix) > self.most:
            raise torch.OutOfMemoryError("injected")
        return mix[:, None].expand(-1, 4, -1, -1)


def own(precision: str = "fp32", **kwargs: object) -> EagerNetwork:
    peer = tiny_htdemucs(**kwargs)
    network = HTDemucs(**peer._init_args_kwargs[1])
    network.load_state_dict(peer.state_dict())
    return EagerNetwork(network.eval().requires_grad_(False), precision=precision)


def test_bf16_agrees_to_40_db_in_the_released_widths() -> None:
    released = {"channels": 48, "bottom_channels": 512, "t_layers": 5, "t_heads": 8}
    mix = music(1.5)[None].numpy()
    network = own("bf16", **released)
    assert network.computation.precision == "bf16"
    assert snr_db(torch.from_numpy(own(**released)(mix)), torch.from_numpy(network(mix))) > 40


def test_statistics_and_gains_stay_in_float32() -> None:
    kinds = {name: parameter.dtype for name, parameter in own("bf16")._module.named_parameters()}
    assert kinds["encoder.0.conv.weight"] == kinds["crosstransformer.layers.0.linear1.weight"] == torch.bfloat16
    assert kinds["encoder.0.dconv.layers.0.1.weight"] == kinds["crosstransformer.norm_in.weight"] == torch.float32


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_the_report_says_so() -> None:
    module = Copies(most=3)
    network = EagerNetwork(module)
    mix = np.random.default_rng(0).standard_normal((8, 2, 100), dtype=np.float32)
    made = network(mix)
    np.testing.assert_array_equal(made, np.repeat(mix[:, None], 4, axis=1))
    assert module.batches == [8, 4, 2, 2, 4, 2, 2]
    assert network.batch == 2
    assert network.notes[-1] == "cpu ran out of memory: batches of 2"


def test_a_device_without_memory_for_one_segment_gives_over_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    network = EagerNetwork(Copies(most=0), to_cpu=lambda: Copies(most=1))
    monkeypatch.setattr(network, "_device", torch.device("meta"))  # anything but the CPU
    monkeypatch.setattr(network, "_computed", _out_of_memory_unless_cpu(network))
    mix = np.ones((2, 2, 10), dtype=np.float32)
    assert network(mix).shape == (2, 4, 2, 10)
    assert (network.computation.device, network.computation.precision) == ("cpu", "fp32")
    assert network.notes[-1] == "meta ran out of memory with one segment: the CPU took over"


def _out_of_memory_unless_cpu(network: EagerNetwork):  # type: ignore[no-untyped-def]
    compute = EagerNetwork._computed

    def computed(mix: np.ndarray) -> np.ndarray:
        if network._device.type != "cpu":
            raise torch.OutOfMemoryError("injected")
        return compute(network, mix)

    return computed


def test_a_cpu_without_memory_for_one_segment_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match="shorter --segment") as caught:
        EagerNetwork(Copies(most=0))(np.zeros((1, 2, 10), dtype=np.float32))
    assert caught.value.code == "out_of_memory"


@pytest.mark.parametrize(
    ("free", "before", "peak", "expected"),
    [(10_000, 500, 1500, 8), (1000, 500, 1500, 1), (0, 0, 10, 1), (10**12, 0, 10, 32), (100, 50, 50, 32)],
)
def test_the_batch_is_what_fits_into_four_fifths_of_the_free_memory(
    free: int, before: int, peak: int, expected: int
) -> None:
    assert batch_that_fits(free, before, peak) == expected


def test_a_stream_gives_the_same_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    mix = music(9.3).numpy()
    results = []
    for batch in (1, 3):
        network = own()
        monkeypatch.setattr(network, "_batch", batch)
        sizes: list[int] = []
        compute = network._computed
        monkeypatch.setattr(network, "_computed", lambda x, c=compute, s=sizes: (s.append(len(x)), c(x))[1])
        stream = Stream(
            bag=Bag(sources=SOURCES, loaders=[lambda n=network: n]),
            stems=SOURCES,
            options=SeparationOptions(),
            sample_rate=44100,
            track=Track(length=mix.shape[-1], mean=0.0, std=1.0),
        )
        results.append(np.concatenate(list(stream.blocks(iter([mix]))), axis=-1))
        assert max(sizes) == batch
        assert sum(sizes) == stream.segments_total
    assert snr_db(torch.from_numpy(results[0]), torch.from_numpy(results[1])) > 100


def test_the_report_says_why_no_graphs_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    network = EagerNetwork(Copies(most=1), notes=("measured best",))
    graphs = Graphs(network._on_device)
    monkeypatch.setattr(network, "_graphs", graphs)  # as on a GPU
    assert network.notes == ("measured best",)
    graphs.failed = "memory is scarce"
    assert network.notes == ("measured best", "no CUDA graphs are used: memory is scarce")
