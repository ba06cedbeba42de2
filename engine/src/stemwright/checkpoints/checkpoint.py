"""The weights of one network on this machine. Needs no torch until they are loaded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stemwright.checkpoints.header import Header, read_header
from stemwright.errors import ModelError
from stemwright.machine.hashing import sha256_of
from stemwright.models.architecture import Architecture, Architectures, LoadedModule
from stemwright.models.registry import ARCHITECTURES

HashOf = Callable[[Path], str]
"""The sha256 of a file in hex; see `machine.cache.Cache.hash_of` for one that remembers."""


class Checkpoint(Protocol):
    """The weights of one network, on this machine."""

    @property
    def path(self) -> Path:
        """Their file, or the folder of their files."""

    @property
    def published_sha256(self) -> str | None:
        """The hash that was published of them, or how it begins; None where none was."""

    @property
    def header(self) -> Header | None:
        """What the file says of the network; None where it has no such description.

        Raises:
            ModelError: It cannot be read, or names a class that is not allowed.
        """

    @property
    def architecture(self) -> Architecture:
        """The kind of network.

        Raises:
            ModelError: It cannot be read, or names a class that is not allowed.
        """

    def checked_sha256(self, hash_of: HashOf = sha256_of) -> str:
        """The hash that names these weights, after comparing it with what was published.

        Raises:
            ModelError: They differ (``model_corrupt``).
        """

    def load(self) -> LoadedModule:
        """The network, in float32, ready for inference on the CPU.

        Raises:
            ModelError: A file is damaged, or asks for what is not allowed.
            MissingExtraError: What unpacks its weights is not installed.
        """


@dataclass(frozen=True, kw_only=True)
class CheckpointFile:
    """A file in one of Demucs's formats. See `Checkpoint`."""

    path: Path
    published_sha256: str | None = None
    architectures: Architectures = ARCHITECTURES

    @functools.cached_property
    def header(self) -> Header:
        """See `Checkpoint`."""
        return read_header(self.path, self.architectures)

    @property
    def architecture(self) -> Architecture:
        """See `Checkpoint`."""
        try:
            return self.architectures.of(self.header)
        except ValueError as error:
            raise ModelError(f"the checkpoint {self.path} cannot be used: {error}", code="model_corrupt") from None

    def checked_sha256(self, hash_of: HashOf = sha256_of) -> str:
        """See `Checkpoint`."""
        actual, expected = hash_of(self.path), self.published_sha256
        if expected is not None and not actual.startswith(expected):
            raise ModelError(
                f"the checkpoint {self.path} is not what was published: its sha256 is {actual}, not {expected}; "
                "`stemwright models pull` with the model's name fetches it again, unless it lies in a folder of your own",
                code="model_corrupt",
            )
        return actual

    def load(self) -> LoadedModule:
        """See `Checkpoint`."""
        from stemwright.checkpoints.files import load_network

        return load_network(self.path, self.architectures)
