"""How computations are compared: the clock is the test's own."""

from collections.abc import Iterator

import numpy as np

from stemwright.backends.measure import compare
from stemwright.models.network import PLAIN, Computation, Facts, Samples

OTHER = Computation(backend="compiled", precision="fp32")
MIX = np.ones((1, 2, 8), dtype=np.float32)


class _Clock:
    """Stands still but for what networks take."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Network:
    """Takes the given seconds, call by call, and then for ever the last of them."""

    facts: Facts
    batch = streams = 1
    notes: tuple[str, ...] = ()
    computation = Computation(backend="eager", device="cpu", precision="fp32")

    def __init__(self, clock: _Clock, *seconds: float) -> None:
        self._clock, self._seconds, self.calls = clock, self._endless(seconds), 0

    @staticmethod
    def _endless(seconds: tuple[float, ...]) -> Iterator[float]:
        yield from seconds
        while True:
            yield seconds[-1]

    def valid_length(self, length: int) -> int:
        return length

    def __call__(self, mix: Samples) -> Samples:
        self.calls += 1
        self._clock.now += next(self._seconds)
        return mix


def test_on_a_quiet_machine_three_rounds_do() -> None:
    clock = _Clock()
    plain, other = _Network(clock, 4.0), _Network(clock, 3.0)
    found = {each.computation: each.seconds for each in compare({PLAIN: plain, OTHER: other}, MIX, clock=clock)}
    assert found == {PLAIN: 4.0, OTHER: 3.0}
    assert other.calls == 3


def test_on_a_busy_one_rounds_go_on_until_the_fastest_is_reached_twice() -> None:
    clock = _Clock()
    plain, other = _Network(clock, 9.0, 4.0), _Network(clock, 8.0, 6.0, 7.0, 3.0, 5.0, 3.1)
    found = {each.computation: each.seconds for each in compare({PLAIN: plain, OTHER: other}, MIX, clock=clock)}
    assert found == {PLAIN: 4.0, OTHER: 3.0}
    assert other.calls == 6


def test_but_not_for_ever() -> None:
    clock = _Clock()
    other = _Network(clock, *(2.0**-step for step in range(40)))
    compare({PLAIN: _Network(clock, 1.0), OTHER: other}, MIX, clock=clock)
    assert other.calls == 9
