"""Recording and replaying, as far as it can be shown without a GPU: when it is done, and when it is given up."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from stemwright.backends.graphs import Compute, CudaRecording, Graphs


class Tape:
    """Stands for a recording on a GPU: counts what is asked of it."""

    def __init__(self, compute: Compute, given: torch.Tensor) -> None:
        self.compute, self.shape, self.replays = compute, given.shape, 0

    def replay(self, given: torch.Tensor) -> torch.Tensor:
        assert given.shape == self.shape
        self.replays += 1
        return self.compute(given)


@pytest.fixture
def tapes() -> list[Tape]:
    return []


def doubling(tapes: list[Tape]) -> Graphs:
    def record(compute: Compute, given: torch.Tensor) -> Tape:
        tapes.append(Tape(compute, given))
        return tapes[-1]

    return Graphs(lambda given: 2 * given, record=record)


def test_the_second_batch_of_a_shape_is_recorded_and_all_later_ones_are_replayed(tapes: list[Tape]) -> None:
    graphs = doubling(tapes)
    for value in range(5):
        given = torch.full((3, 2), float(value))
        assert torch.equal(graphs(given), 2 * given)
    assert [tape.replays for tape in tapes] == [4]


def test_each_shape_has_its_own_recording_and_the_one_unused_for_longest_goes(tapes: list[Tape]) -> None:
    graphs = doubling(tapes)
    for size in (4, 4, 2, 2, 4, 1, 1, 2, 2):
        graphs(torch.ones(size))
    # 4 and 2 were kept together; 1 took the place of 2, which was then recorded anew.
    assert [(tuple(tape.shape), tape.replays) for tape in tapes] == [((4,), 2), ((2,), 1), ((1,), 1), ((2,), 1)]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError("operation not permitted\nwhen stream is capturing"),
            "operation not permitted when stream is capturing",
        ),
        (torch.OutOfMemoryError("out of memory"), "memory is scarce"),
    ],
)
def test_what_cannot_be_recorded_is_computed_plainly_and_the_reason_is_kept(error: RuntimeError, reason: str) -> None:
    attempts = []

    def record(_compute: Compute, given: torch.Tensor) -> Tape:
        attempts.append(given.shape)
        raise error

    graphs = Graphs(lambda given: 2 * given, record=record)
    for _ in range(4):
        assert torch.equal(graphs(torch.ones(2)), torch.full((2,), 2.0))
    assert len(attempts) == 1
    assert graphs.failed == reason


def test_when_memory_is_scarce_recordings_are_given_back_for_good(tapes: list[Tape]) -> None:
    graphs = doubling(tapes)
    graphs(torch.ones(2))
    graphs(torch.ones(2))
    graphs.forget()
    graphs(torch.ones(2))
    graphs(torch.ones(2))
    assert [tape.replays for tape in tapes] == [1]
    assert graphs.failed == "memory is scarce"


class StandingStream:
    """Stands for a stream on which nothing is under way."""

    def __init__(self, name: str) -> None:
        self.name = name

    def synchronize(self) -> None:
        pass


class StandInCuda:
    """Stands for `torch.cuda`, with a recording that fails and leaves its own stream the current one, as torch's does."""

    CUDAGraph = object

    def __init__(self) -> None:
        self.current = "caller's"
        self.made: list[torch.device] = []

    def empty_cache(self) -> None:
        pass

    def current_stream(self, device: torch.device) -> StandingStream:
        return StandingStream(self.current)

    def Stream(self, device: torch.device) -> StandingStream:  # noqa: N802 (torch's name)
        self.made.append(device)
        return StandingStream("own")

    def set_stream(self, stream: StandingStream) -> None:
        self.current = stream.name

    @contextlib.contextmanager
    def graph(self, graph: object, *, stream: StandingStream, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        self.current = stream.name
        yield
        raise RuntimeError("operation not permitted when stream is capturing")


def test_after_a_failed_recording_the_callers_stream_is_the_current_one_again() -> None:
    cuda = StandInCuda()
    graphs = Graphs(lambda given: 2 * given, record=partial(CudaRecording, cuda=cuda))
    streams = []
    for _ in range(3):
        assert torch.equal(graphs(torch.ones(2)), torch.full((2,), 2.0))
        streams.append(cuda.current)
    assert streams == ["caller's"] * 3
    assert cuda.made == [torch.device("cpu")]  # the stream was made for the device of what is computed
    assert graphs.failed == "operation not permitted when stream is capturing"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_on_a_gpu_a_recording_gives_what_was_computed_and_one_that_fails_leaves_the_callers_stream() -> None:
    given = torch.arange(4.0, device="cuda")
    graphs, failing = (
        Graphs(lambda x: 2 * x),
        Graphs(lambda x: x * x.sum().item()),
    )  # a value for Python cannot be recorded
    for index in range(4):
        assert torch.equal(graphs(given + index), 2 * (given + index))
        assert torch.equal(failing(given), given * given.sum())
    assert graphs.failed is None
    assert failing.failed is not None
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
