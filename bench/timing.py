"""Two things timed in turns, in this process or in one of its own; and what a row gives."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LONGEST = 100.0  # seconds that the rounds of one row may take: the first one is always made


class NotMeasuredError(Exception):
    """This machine cannot show it; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a row gave."""

    value: float
    note: str  # how it came about, as far as a reader has to know
    processor: float | None = (
        None  # the same in processor seconds: what is left to say on a machine that others work on
    )


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """Medians over some rounds."""

    clock: float
    processor: float
    rounds: int

    def figure(self, note: str) -> Figure:
        """As a row of the table has it, with what was done and how many rounds were measured in its note."""
        how = "one round" if self.rounds == 1 else f"median of {self.rounds} rounds"
        return Figure(value=self.clock, note=f"{note}, {how}", processor=self.processor)


Timed = Callable[[], tuple[float, float]]
"""Does something; gives the seconds and the processor seconds that it took."""


def here(call: Callable[[], object]) -> Timed:
    """Timed in this process."""

    def timed() -> tuple[float, float]:
        began, before = time.perf_counter(), os.times()
        call()
        after = os.times()
        return time.perf_counter() - began, sum(after[:4]) - sum(before[:4])

    return timed


def ratios_of(first: Timed, second: Timed, rounds: int) -> Ratios:
    """Time of the first over that of the second, in turns; as many rounds as there is time for."""
    clock: list[float] = []
    processor: list[float] = []
    started = time.perf_counter()
    while len(clock) < rounds:
        if clock and (time.perf_counter() - started) * (1 + 1 / len(clock)) > LONGEST:
            break
        one, other = first(), second()
        clock.append(one[0] / other[0])
        processor.append(one[1] / other[1])
    return Ratios(clock=statistics.median(clock), processor=statistics.median(processor), rounds=len(clock))


class Ours:
    """Our separation of one mix in a process of its own, set up as the command line's is; called, it separates it once more."""

    def __init__(self, mix: NDArray[np.float32], checkpoints: Path, precision: str, device: str, folder: Path) -> None:
        self._stems = folder / "stems.npy"
        np.save(folder / "mix.npy", mix)
        words = ["separate", str(checkpoints), precision, device, str(folder / "mix.npy"), str(self._stems)]
        command = [sys.executable, str(Path(__file__).with_name("children.py")), *words]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Ours:
        self._answer()  # it has separated a little
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate()

    def __call__(self) -> tuple[float, float]:
        """See `Timed`."""
        self._ask("go")
        seconds, processor = json.loads(self._answer())
        return seconds, processor

    def result(self) -> tuple[Path, str]:
        """Where the stems of the last time lie, and how they were computed."""
        self._ask("save")
        return self._stems, json.loads(self._answer())

    def _ask(self, word: str) -> None:
        assert self._child.stdin is not None
        print(word, file=self._child.stdin, flush=True)

    def _answer(self) -> str:
        assert self._child.stdout is not None
        if not (line := self._child.stdout.readline()):
            raise RuntimeError("the process that separates has ended")
        return line
