"""What only a GPU needs, as far as it can be shown without one."""

from __future__ import annotations

import threading

import pytest
import torch

from stemwright.backends.gpu import Turns, batch_that_fits
from stemwright.models.htdemucs.stft import transposed


@pytest.mark.parametrize(
    ("free", "before", "peak", "expected"),
    [(10_000, 500, 1500, 4), (1000, 500, 1500, 1), (0, 0, 10, 1), (10**12, 0, 10, 8), (100, 50, 50, 8)],
)
def test_two_batches_fit_into_four_fifths_of_the_free_memory(free: int, before: int, peak: int, expected: int) -> None:
    assert batch_that_fits(free, before, peak) == expected


def test_calls_run_side_by_side_until_they_take_turns() -> None:
    turns, entered = Turns(), threading.Event()

    def call() -> None:
        with turns:
            entered.set()

    with turns:
        with turns:
            pass  # a second one beside the first
        turns.one_at_a_time()
        other = threading.Thread(target=call)
        other.start()
        assert not entered.wait(0.1)
    assert entered.wait(60)
    other.join()


def test_elsewhere_than_on_a_cpu_a_matrix_istransposed_in_one_step() -> None:
    made = transposed(torch.empty(2, 3, 5, device="meta"))
    assert made.shape == (2, 5, 3)
    assert made.is_contiguous()
