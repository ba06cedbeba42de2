"""Recording and replaying, as far as it can be shown without a GPU: when it is done, and when it is given up."""

from __future__ import annotations

import pytest
import torch

from stemwright.backends.graphs import Compute, Graphs


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


class FailingGraph:
    """Stands for a graph of torch's: recording begins, and ends in an error."""

    def capture_begin(self, **settings: object) -> None:
        assert settings["capture_error_mode"] == "thread_local"

    def capture_end(self) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")


def test_after_a_failed_recording_the_callers_stream_is_the_current_one_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.cuda.graph` itself, on stand-ins for streams and graphs: it leaves its own stream the current one."""
    current, made = ["caller's"], []

    class Chosen:
        def __init__(self, stream: str) -> None:
            self.stream = stream

        def __enter__(self) -> None:
            current[0] = self.stream

        def __exit__(self, *_: object) -> None:
            raise AssertionError("torch does not come so far")

    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch._C, "_host_emptyCache", lambda: None, raising=False)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: made.append(device) or f"own on {device}")
    monkeypatch.setattr(torch.cuda, "stream", Chosen)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: StandingStream(current[0]))
    monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: current.__setitem__(0, stream.name))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", FailingGraph)
    graphs = Graphs(lambda given: 2 * given)
    streams = []
    for _ in range(3):
        assert torch.equal(graphs(torch.ones(2)), torch.full((2,), 2.0))
        streams.append(current[0])
    assert streams == ["caller's"] * 3
    assert made == [torch.device("cpu")]  # the stream was made for the device of what is computed
    assert graphs.failed == "operation not permitted when stream is capturing"
