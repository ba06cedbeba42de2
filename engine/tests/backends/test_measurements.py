"""The computation that was measured fastest is chosen, within the agreement that the precision asks for."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from stemwright.backends.measurements import Measured, Measurements, select_fastest
from stemwright.models.network import PLAIN, Computation
from stemwright.options import Precision

COMPILED = Computation(backend="compiled", precision="fp32")
BF16 = Computation(backend="compiled", precision="bf16")
OPENVINO = Computation(backend="openvino", precision="fp32")


def rows(plain: float, compiled: float, bf16: float, openvino: float = 9.0) -> list[Measured]:
    return [
        Measured(computation=PLAIN, seconds=plain, agreement_db=math.inf),
        Measured(computation=COMPILED, seconds=compiled, agreement_db=118),
        Measured(computation=BF16, seconds=bf16, agreement_db=42),
        Measured(computation=OPENVINO, seconds=openvino, agreement_db=80),
    ]


@pytest.mark.parametrize(
    ("measured", "precision", "expected"),
    [
        (rows(2.0, 1.4, 0.5), "exact", COMPILED),
        (rows(2.0, 1.4, 0.5), "fast", BF16),
        (rows(2.0, 1.4, 0.5), "auto", BF16),
        (rows(2.0, 1.4, 1.3), "fast", BF16),
        (rows(2.0, 1.4, 1.3), "auto", COMPILED),  # a little faster is not worth the agreement
        (rows(2.0, 2.5, 3.0), "auto", PLAIN),
        (rows(2.0, 1.4, 1.5, 0.5), "exact", COMPILED),  # 80 dB are not exact
        ([], "auto", PLAIN),
    ],
)
def test_the_fastest_that_agrees_enough_is_chosen(
    measured: list[Measured], precision: Precision, expected: Computation
) -> None:
    assert select_fastest(measured, precision)[0] == expected


def test_what_agrees_too_little_is_never_chosen() -> None:
    bad = Measured(computation=BF16, seconds=0.1, agreement_db=39)
    assert select_fastest([*rows(2.0, 1.4, 1.4)[:2], bad], "fast")[0] == COMPILED


@pytest.mark.parametrize(
    ("precision", "expected", "reason"),
    [
        ("exact", PLAIN, "nothing that was measured agrees to 100 dB: compiled bf16 42 dB"),
        ("fast", BF16, "compiled bf16 was measured best"),
        ("auto", BF16, "compiled bf16 was measured best"),
    ],
)
def test_among_inexact_ones_alone_exact_is_plain_and_the_others_take_the_select_fastest(
    precision: Precision, expected: Computation, reason: str
) -> None:
    """As `STEMWRIGHT_BACKEND` may leave them."""
    computation, why = select_fastest([Measured(computation=BF16, seconds=0.5, agreement_db=42)], precision)
    assert computation == expected
    assert why.startswith(reason)


def test_the_reason_names_what_was_measured() -> None:
    _, why = select_fastest(rows(2.0, 1.4, 0.5), "auto")
    assert "compiled bf16 was measured best: 0.50 s a segment, agreement 42 dB" in why
    assert "eager fp32 2.00 s" in why


def test_measurements_survive_the_cache_and_damaged_ones_count_as_none() -> None:
    known = Measurements(measured=tuple(rows(2.0, 1.4, 0.5)), failed={"openvino bf16": "no"})
    assert Measurements.from_json(known.as_json()) == known
    damaged: list[Any] = [None, [], {}, {"measured": [{}], "failed": {}}, {"measured": [], "failed": 3}]
    for value in damaged:
        assert Measurements.from_json(value) is None


@pytest.mark.parametrize("agreement_db", [math.nan, -math.inf])
def test_what_gave_values_that_are_not_numbers_is_not_chosen_out_of_the_cache_either(agreement_db: float) -> None:
    broken = Measured(computation=COMPILED, seconds=0.1, agreement_db=agreement_db)
    made = Measurements(measured=(*rows(2.0, 1.4, 1.4)[:1], broken), failed={})
    known = Measurements.from_json(json.loads(json.dumps(made.as_json(), allow_nan=False)))
    assert known is not None
    assert select_fastest(made.measured, "auto")[0] == select_fastest(known.measured, "auto")[0] == PLAIN
