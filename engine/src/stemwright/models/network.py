"""What the engine asks of a network, whatever computes it. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from stemwright.audio.samples import Samples as Samples
from stemwright.machine.machine import Backend, NumberType


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a network before it computes anything."""

    sources: tuple[str, ...]
    samplerate: int  # Hz
    audio_channels: int
    segment: float | Fraction  # seconds it was made for
    fixed_segment: bool  # whether it cannot see more than that (the transformers)
    normalises: bool = True  # whether it wants the mix with mean 0 and deviation 1, as Demucs's networks do
    shares_offset: bool = False  # whether a DC offset of the mix is shared by the stems, or each has it, as in Demucs


@dataclass(frozen=True, kw_only=True)
class Computation:
    """How a network is computed: what the report names."""

    backend: Backend
    precision: NumberType
    device: str = "cpu"  # as torch names it

    @property
    def plain(self) -> bool:
        """Whether it is torch as it is in float32: what the others are compared with."""
        return self.backend == "eager" and self.precision == "fp32"

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}"


PLAIN = Computation(backend="eager", precision="fp32")


class Network(Protocol):
    """A network that is ready to run. Calls may come from several threads."""

    @property
    def facts(self) -> Facts:
        """What it is."""

    @property
    def computation(self) -> Computation:
        """How it computes; may change when a device runs out of memory."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how it went, one sentence each."""

    @property
    def batch(self) -> int:
        """Segments that are best computed in one call."""

    @property
    def streams(self) -> int:
        """Calls that may usefully be under way at once: more than one where copies run beside computing."""

    def valid_length(self, length: int) -> int:
        """Samples it wants for so many samples; never fewer."""

    def __call__(self, mix: Samples) -> Samples:
        """Separate ``[B, channels, T]`` into ``[B, sources, channels, T']``; T' may differ a little from T.

        Raises:
            DeviceError: There is not enough memory even for one segment.
        """
