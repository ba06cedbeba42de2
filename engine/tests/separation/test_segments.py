"""The plan covers every sample, and overlap-add gives back what went in, for any length and overlap."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwright.separation.buffers import MixBuffer, OverlapAdd, PassSum
from stemwright.separation.segments import Plan, stride_of, triangle


def plan_of(length: int, segment: int, overlap: float, shift: int = 0, extra: int = 0) -> Plan:
    return Plan(
        start=-shift,
        end=length,
        segment_length=segment,
        stride=stride_of(segment, overlap),
        valid_length=lambda n: max(n, segment) + extra,
    )


plans = st.builds(
    plan_of,
    length=st.integers(1, 5000),
    segment=st.integers(1, 700),
    overlap=st.floats(0, 0.95),
    shift=st.integers(0, 300),
    extra=st.integers(0, 64),
)


@given(plans)
def test_every_sample_lies_in_a_segment_and_segments_follow_each_other(plan: Plan) -> None:
    segments = [plan[i] for i in range(len(plan))]
    assert segments[0].start == plan.start
    assert segments[-1].start + segments[-1].length == plan.end
    for before, after in pairwise(segments):
        assert after.start == before.start + plan.stride
        assert after.start <= before.start + before.length


@given(plans)
def test_every_window_holds_its_segment_in_the_middle(plan: Plan) -> None:
    for index in range(len(plan)):
        segment = plan[index]
        after = segment.window_length - segment.margin - segment.length
        assert segment.margin >= 0
        assert 0 <= after - segment.margin <= 1


@given(plans, st.data())
def test_no_segment_to_come_reads_before_the_first_sample_that_is_needed(plan: Plan, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(plan)))
    starts = [plan[i].window_start for i in range(index, len(plan))]
    assert plan.first_needed(index) == min(starts, default=plan.end)


@given(plans, st.integers(0, 8))
def test_what_a_network_gives_is_cut_to_the_segment_in_its_middle(plan: Plan, more: int) -> None:
    segment = plan[0]
    window = np.arange(segment.window_start, segment.window_end, dtype=np.float32)
    assert np.array_equal(segment.cut(window), np.arange(segment.start, segment.start + segment.length))
    assert np.array_equal(segment.cut(np.pad(window, more)), segment.cut(window))


@given(plans)
def test_a_network_that_changes_nothing_gives_the_mix_back(plan: Plan) -> None:
    mix = np.random.default_rng(plan.end).standard_normal((2, plan.end), dtype=np.float32)
    buffer = MixBuffer(2)
    buffer.append(mix)
    adder = OverlapAdd(plan, triangle(plan.segment_length))
    out = PassSum(1)
    got = []
    for index in range(len(plan)):
        segment = plan[index]
        piece = segment.cut(buffer.read(segment.window_start, segment.window_length))
        out.add(0, segment.start, adder.add(piece[None]))
        if (done := out.take()) is not None:
            got.append(done)
    np.testing.assert_allclose(np.concatenate(got, axis=-1)[0], mix, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 999))
def test_weights_are_above_zero_and_at_most_one(length: int) -> None:
    weight = triangle(length)
    assert weight.shape == (length,)
    assert float(weight.min()) > 0
    assert float(weight.max()) == 1


@given(st.lists(st.integers(1, 400), min_size=1, max_size=20), st.data())
def test_a_buffer_reads_like_the_whole_mix_with_zeros_around(sizes: list[int], data: st.DataObject) -> None:
    mix = np.tile(np.arange(1, sum(sizes) + 1, dtype=np.float32), (2, 1))
    buffer, position, kept = MixBuffer(2), 0, 0
    for size in sizes:
        buffer.append(mix[:, position : position + size])
        position += size
        kept = data.draw(st.integers(kept, position))
        buffer.forget(kept)
        start = data.draw(st.integers(kept, position + 10))
        length = data.draw(st.integers(0, 50))
        padded = np.pad(mix[:, :position], ((0, 0), (0, 100)))
        assert np.array_equal(buffer.read(start, length), padded[:, start : start + length])
    assert not buffer.read(-5, 5).any()


@given(st.integers(1, 300), st.integers(1, 4), st.data())
def test_a_pass_sum_gives_out_what_all_passes_have_reached_once(length: int, passes: int, data: st.DataObject) -> None:
    parts = np.random.default_rng(length).standard_normal((passes, 1, 1, length), dtype=np.float32)
    passes_sum, reached, got = PassSum(passes), [0] * passes, []
    while min(reached) < length:
        index = data.draw(st.sampled_from([i for i in range(passes) if reached[i] < length]))
        count = data.draw(st.integers(1, length - reached[index]))
        passes_sum.add(index, reached[index], parts[index][..., reached[index] : reached[index] + count])
        reached[index] += count
        if (done := passes_sum.take()) is not None:
            got.append(done)
        assert sum(part.shape[-1] for part in got) == min(reached)
    np.testing.assert_allclose(np.concatenate(got, axis=-1), parts.sum(axis=0), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="empty range"):
        plan_of(0, 10, 0.25)
    with pytest.raises(ValueError, match="0 < stride <= segment"):
        Plan(start=0, end=10, segment_length=5, stride=6, valid_length=lambda n: n)
    plan = plan_of(100, 10, 0.25)
    with pytest.raises(IndexError):
        plan[len(plan)]
    with pytest.raises(ValueError, match="has 10 samples, its output 9"):
        OverlapAdd(plan, triangle(10)).add(np.zeros((1, 2, 9), dtype=np.float32))
