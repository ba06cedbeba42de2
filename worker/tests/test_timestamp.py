"""Moments are written in one shape."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright_worker.timestamp import timestamp


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_795_255_223.0, "2026-11-21T10:00:23.000Z"),  # not a word less than its neighbours
        (1_795_255_223.012, "2026-11-21T10:00:23.012Z"),
        (1_795_255_223.9999, "2026-11-21T10:00:23.999Z"),
    ],
)
def test_a_moment_has_milliseconds_even_if_there_are_none(seconds: float, written: str) -> None:
    assert timestamp(seconds) == written


@given(st.floats(min_value=0, max_value=4_000_000_000), st.floats(min_value=0, max_value=10))
def test_moments_sort_as_strings(seconds: float, later: float) -> None:
    assert timestamp(seconds) <= timestamp(seconds + later)
