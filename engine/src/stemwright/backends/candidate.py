"""A checkpoint that backends can be built for. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemwright.backends import openvino_core
from stemwright.backends.code_version import code_version
from stemwright.backends.library import CoreLibrary
from stemwright.backends.ways import Way
from stemwright.checkpoints.checkpoint import Checkpoint
from stemwright.checkpoints.header import Header
from stemwright.machine.cache import Cache, key_of
from stemwright.machine.processor import fingerprint, version_of
from stemwright.models.architecture import Core
from stemwright.models.network import Computation, Network


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A checkpoint that backends can be built for, and under which names the cache keeps them."""

    checkpoint: Checkpoint
    sha256: str
    header: Header
    core: Core

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self.checkpoint.path

    @property
    def measurements_name(self) -> str:
        """Of this network, on this machine, with these versions."""
        return f"measured-{key_of(self.sha256, self._code, fingerprint('cpu'))}"

    def built_name(self, way: Way) -> str:
        """A converted model runs on any machine; a compiled one on this machine only."""
        if way.backend == "openvino":
            return f"openvino-{key_of(self.sha256, self._code, version_of('openvino'))}"
        return f"compiled-{way.precision}-{key_of(self.sha256, self._code, fingerprint('cpu'))}"

    def open(self, way: Way, cache: Cache, notes: tuple[str, ...] = ()) -> Network | None:
        """The network as the cache has it, or None when what was built is not there or damaged."""
        folder = cache.find(self.built_name(way))
        if folder is None:
            return None
        run = openvino_core.OpenVinoCore(folder, way.precision) if way.backend == "openvino" else CoreLibrary(folder)
        computation = Computation(backend=way.backend, device="cpu", precision=way.precision)
        return self.core.network(run, self.header, computation=computation, notes=notes)

    @property
    def _code(self) -> str:
        return code_version(self.checkpoint.architecture)


def candidate(checkpoint: Checkpoint, sha256: str) -> Candidate | None:
    """The checkpoint as something to build for, or None when networks of its kind have no core.

    Raises:
        ModelError: It cannot be read, or names a class that is not allowed.
    """
    header, core = checkpoint.header, checkpoint.architecture.core
    if core is None or header is None or header.args or header.structure is not None:
        return None
    return Candidate(checkpoint=checkpoint, sha256=sha256, header=header, core=core)
