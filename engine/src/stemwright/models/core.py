"""The core of a network as backends compile or convert it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class CoreModule(nn.Module, ABC):
    """What is exported of a network: all that is learnt. Two tensors in, two tensors out, in the shapes of one segment."""

    @abstractmethod
    def inputs(self) -> tuple[Tensor, ...]:
        """Noise in the shapes of one segment."""

    @abstractmethod
    def layers(self) -> Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]]:
        """By the name of a kernel: a layer that it can stand for, and inputs as that layer gets them in a segment."""

    @abstractmethod
    def add_in_steps(self) -> None:
        """Take means in steps from now on: for a runtime that adds up millions of numbers one by one."""
