"""Plain torch: 16 bits agree, and a device without memory is no end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from small import SOURCES, arguments_of, loaded, music, snr_db, tiny_htdemucs

from stemwright import DeviceError, SeparationOptions
from stemwright.backends.eager import EagerNetwork, Placed, in_float32
from stemwright.backends.graphs import Compute, Graphs
from stemwright.models.architecture import LoadedModule
from stemwright.models.bag import Bag
from stemwright.models.htdemucs.architecture import HTDEMUCS
from stemwright.models.htdemucs.network import HTDemucs
from stemwright.separation.mix_stats import MixStats
from stemwright.separation.recipe import resolve
from stemwright.separation.stream import Stream


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


class Together(Copies):
    """Two calls are inside before either fails."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.both = threading.Barrier(2)

    def forward(self, mix: torch.Tensor) -> torch.Tensor:
        if len(self.batches) < 2:
            self.batches.append(len(mix))
            self.both.wait(60)
        return super().forward(mix)


class Tape:
    """Stands for a recording on a GPU."""

    def __init__(self, compute: Compute) -> None:
        self.replay = compute


def graphs_of(module: torch.nn.Module, recorded: list[int]) -> Graphs:
    """As on a GPU: batches are recorded, and how many segments they had is noted."""

    def record(compute: Compute, given: torch.Tensor) -> Tape:
        recorded.append(len(given))
        return Tape(compute)

    return Graphs(partial(in_float32, module), record=record)


def own(**kwargs: Any) -> HTDemucs:
    peer = tiny_htdemucs(**kwargs)
    network = HTDemucs(**arguments_of(peer))
    network.load_state_dict(peer.state_dict())
    return network.eval().requires_grad_(False)


def batch_sizes(module: torch.nn.Module) -> list[int]:
    """Of what it is given from now on."""
    sizes: list[int] = []
    module.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    return sizes


def test_bf16_agrees_to_40_db_in_the_released_widths() -> None:
    released = {"channels": 48, "bottom_channels": 512, "t_layers": 5, "t_heads": 8}
    mix = music(1.5)[None].numpy()
    network = EagerNetwork(loaded(own(**released), HTDEMUCS), precision="bf16")
    assert network.computation.precision == "bf16"
    assert (
        snr_db(torch.from_numpy(EagerNetwork(loaded(own(**released), HTDEMUCS))(mix)), torch.from_numpy(network(mix)))
        > 40
    )


def test_statistics_and_gains_stay_in_float32() -> None:
    module = own()
    EagerNetwork(loaded(module, HTDEMUCS), precision="bf16")
    kinds = {name: parameter.dtype for name, parameter in module.named_parameters()}
    assert kinds["encoder.0.conv.weight"] == kinds["crosstransformer.layers.0.linear1.weight"] == torch.bfloat16
    assert kinds["encoder.0.dconv.layers.0.1.weight"] == kinds["crosstransformer.norm_in.weight"] == torch.float32


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_the_report_says_so() -> None:
    module = Copies(most=3)
    network = EagerNetwork(loaded(module))
    mix = np.random.default_rng(0).standard_normal((8, 2, 100), dtype=np.float32)
    made = network(mix)
    np.testing.assert_array_equal(made, np.repeat(mix[:, None], 4, axis=1))
    assert module.batches == [8, 8, 4, 4, 2, 2, 2, 2]  # each is tried once more with all memory given back
    assert network.batch == 2
    assert network.notes[-1] == "cpu ran out of memory: batches of 2"


def test_what_fits_with_all_memory_given_back_is_not_halved() -> None:
    module = Copies(most=0)
    network = EagerNetwork(loaded(module))
    module.register_forward_pre_hook(
        lambda module, _: setattr(module, "most", len(module.batches))
    )  # from the second on
    assert len(network(np.ones((1, 2, 10), dtype=np.float32))) == 1
    assert module.batches == [1, 1]
    assert not network.notes


def test_a_device_without_memory_for_one_segment_gives_over_to_the_cpu_once_whoever_else_finds_it_out() -> None:
    moves: list[int] = []

    def to_cpu() -> LoadedModule:
        moves.append(1)
        return loaded(Copies(most=1))

    network = EagerNetwork(loaded(Together(most=0)), device="meta", to_cpu=to_cpu)  # which stands for all but the CPU
    mix = np.ones((1, 2, 10), dtype=np.float32)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(network, [mix, mix]))
    assert [each.shape for each in made] == [(1, 4, 2, 10)] * 2
    assert moves == [1]
    assert (network.computation.device, network.computation.precision, network.batch) == ("cpu", "fp32", 1)
    assert network.notes == ("meta ran out of memory with one segment: the CPU took over",)


def test_a_cpu_without_memory_for_one_segment_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DeviceError, match="shorter --segment") as caught:
        EagerNetwork(loaded(Copies(most=0)))(np.zeros((1, 2, 10), dtype=np.float32))
    assert caught.value.code == "out_of_memory"


def test_the_last_batch_is_filled_up_so_that_one_recording_serves_all() -> None:
    module = Copies(most=4)
    recorded: list[int] = []
    network = EagerNetwork(loaded(module), batch=4, graphs=graphs_of(module, recorded))
    for count in (4, 3, 4, 1, 4, 2):
        mix = np.random.default_rng(count).standard_normal((count, 2, 10), dtype=np.float32)
        np.testing.assert_array_equal(network(mix), np.repeat(mix[:, None], 4, axis=1))
    assert module.batches == [4] * 6
    assert recorded == [4]


def test_float32_is_full_float32_on_a_gpu_and_the_setting_comes_back_with_the_last_call() -> None:
    placed = Placed(module=Copies(most=1), device=torch.device("cuda"), precision="fp32")
    assert torch.backends.cudnn.allow_tf32  # as torch comes
    one, other = placed.arithmetic(), placed.arithmetic()
    with one:
        with other:
            assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    with replace(placed, device=torch.device("cpu")).arithmetic():
        assert torch.backends.cudnn.allow_tf32


def test_a_stream_gives_the_same_in_batches() -> None:
    mix = music(9.3).numpy()
    results = []
    for batch in (1, 3):
        module = own()
        sizes = batch_sizes(module)
        bag = Bag(sources=SOURCES, loaders=[partial(EagerNetwork, loaded(module, HTDEMUCS), batch=batch)])
        stream = Stream(resolve(bag, SeparationOptions()))
        stats = MixStats(length=mix.shape[-1], mean=0.0, std=1.0)
        results.append(np.concatenate(list(stream.blocks([mix], stats)), axis=-1))
        assert max(sizes) == batch
        assert sum(sizes) == stream.segments_total
    assert snr_db(torch.from_numpy(results[0]), torch.from_numpy(results[1])) > 100


def test_the_report_says_why_no_graphs_are_used() -> None:
    graphs = graphs_of(Copies(most=1), [])
    network = EagerNetwork(loaded(Copies(most=1)), notes=("measured best",), graphs=graphs)
    assert list(network.notes) == ["measured best"]
    graphs.forget()
    assert list(network.notes) == ["measured best", "no CUDA graphs are used: memory is scarce"]
