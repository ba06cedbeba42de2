"""The inputs of a run: which is the mix and which a stem, decoded side by side, and how loud they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import PurePath

import numpy as np
import soxr
from numpy.typing import NDArray

from stemwright_pitch.decoding import Block, blocks
from stemwright_pitch.errors import PitchError
from stemwright_pitch.loudness import Loudness, LoudnessMeter
from stemwright_pitch.signals import RATE
from stemwright_worker.service import RunInput

MIX = "mix"
STEMS = ("vocals", "drums", "bass", "guitar", "piano", "other")
_UNPITCHED = ("drums",)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One input: the mix or a stem."""

    role: str
    samples: NDArray[np.float32]  # mono, at `RATE`, all of one length
    loudness: Loudness
    rate: int  # Hz, of its file


@dataclass(frozen=True, kw_only=True)
class Heard:
    """All inputs of a run."""

    voices: tuple[Voice, ...]
    loudness: Loudness | None  # of the whole; None if it is not among them, and they cannot be added up
    seconds: float

    def of(self, *roles: str) -> list[Voice]:
        """Those with one of these roles."""
        return [voice for voice in self.voices if voice.role in roles]

    @property
    def stems(self) -> list[Voice]:
        """All but the mix."""
        return [voice for voice in self.voices if voice.role != MIX]

    @property
    def whole(self) -> NDArray[np.float32]:
        """The mix; if it is not there, the sum of the stems."""
        mixes = self.of(MIX)
        return mixes[0].samples if mixes else sum_of(self.voices)

    @property
    def pitched(self) -> list[Voice]:
        """Those that notes are looked for in: the stems but the drums; with no stem, the mix."""
        return [voice for voice in self.stems if voice.role not in _UNPITCHED] or self.of(MIX)


def roles(inputs: Sequence[RunInput], named: Sequence[str] | None) -> tuple[str, ...]:
    """What each input is: as the caller says, or a stem if its file is called like one, or the mix.

    Raises:
        PitchError: another number of roles than of inputs, or one of them twice (``bad_inputs``).
    """
    if named is None:
        found = tuple(_by_name(each.filename) for each in inputs)
    elif len(named) == len(inputs):
        found = tuple(named)
    else:
        raise PitchError(
            f"{len(named)} roles were given for {len(inputs)} inputs: give one for each, or none", "bad_inputs"
        )
    twice = sorted({role for role in found if found.count(role) > 1})
    if twice:
        raise PitchError(
            f"{found.count(twice[0])} of the inputs are the {twice[0]}: say what each is with the param roles",
            "bad_inputs",
        )
    return found


def _by_name(filename: str) -> str:
    name = PurePath(filename).stem.lower()
    return name if name in STEMS else MIX


def listen(
    inputs: Sequence[RunInput], named: Sequence[str] | None, max_seconds: float | None, tell: Callable[[], None]
) -> Heard:
    """Decode all inputs at once; ``tell`` is called for every second or so.

    Raises:
        PitchError: an input cannot be taken.
    """
    ears = [_Ear(role) for role in roles(inputs, named)]
    together: LoudnessMeter | None = None
    possible = all(ear.role != MIX for ear in ears)
    streams = [blocks(each.path, each.filename, max_seconds) for each in inputs]
    for step in zip_longest(*streams):
        for ear, block in zip(ears, step, strict=True):
            if block is not None:
                ear.add(block)
        possible = possible and len({ear.rate for ear in ears}) == 1
        if possible:
            added = _added([block for block in step if block is not None])
            together = together or LoudnessMeter(ears[0].rate, 2)
            together.add(added)
        tell()
    voices = _of_one_length(tuple(ear.voice() for ear in ears))
    mix = next((voice.loudness for voice in voices if voice.role == MIX), None)
    return Heard(
        voices=voices,
        loudness=mix if mix is not None or not possible or together is None else together.result(),
        seconds=max(ear.seconds for ear in ears),
    )


def _added(given: Sequence[Block]) -> NDArray[np.float32]:
    """The sum of blocks, in two channels."""
    total = np.zeros((2, max(block.samples.shape[1] for block in given)), dtype=np.float32)
    for block in given:
        total[:, : block.samples.shape[1]] += block.samples
    return total


def _of_one_length(voices: tuple[Voice, ...]) -> tuple[Voice, ...]:
    longest = max(len(voice.samples) for voice in voices)
    return tuple(
        Voice(
            role=voice.role,
            samples=np.pad(voice.samples, (0, longest - len(voice.samples))),
            loudness=voice.loudness,
            rate=voice.rate,
        )
        for voice in voices
    )


def sum_of(voices: Sequence[Voice]) -> NDArray[np.float32]:
    """Their samples together."""
    total = np.zeros(max(len(voice.samples) for voice in voices), dtype=np.float32)
    for voice in voices:
        total[: len(voice.samples)] += voice.samples
    return total


class _Ear:
    """Takes the blocks of one input."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.rate = 0
        self._count = 0
        self._parts: list[NDArray[np.float32]] = []
        self._meter: LoudnessMeter | None = None
        self._resampler: soxr.ResampleStream | None = None

    @property
    def seconds(self) -> float:
        return self._count / self.rate

    def add(self, block: Block) -> None:
        if self._meter is None or self._resampler is None:
            self.rate = block.rate
            self._meter = LoudnessMeter(block.rate, block.samples.shape[0])
            self._resampler = soxr.ResampleStream(block.rate, RATE, 1, dtype="float32")
        self._count += block.samples.shape[1]
        self._meter.add(block.samples)
        self._parts.append(self._resampler.resample_chunk(block.samples.mean(axis=0)))

    def voice(self) -> Voice:
        assert self._meter is not None
        assert self._resampler is not None
        self._parts.append(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        return Voice(role=self.role, samples=np.concatenate(self._parts), loudness=self._meter.result(), rate=self.rate)
