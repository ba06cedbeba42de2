"""A checkpoint that backends can be built for. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemwright.backends import openvino_core
from stemwright.backends.code_version import code_version
from stemwright.backends.library import CoreLibrary
from stemwright.checkpoints.checkpoint import Checkpoint
from stemwright.checkpoints.header import Header
from stemwright.machine.cache import key_of
from stemwright.machine.device import fingerprint
from stemwright.machine.machine import Machine
from stemwright.models.architecture import Core, RunCore
from stemwright.models.network import Computation, Network


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A checkpoint that backends can be built for on a machine, and under which names the cache keeps them."""

    checkpoint: Checkpoint
    sha256: str
    header: Header
    core: Core
    machine: Machine

    @property
    def file(self) -> Path:
        """Where it lies."""
        return self.checkpoint.path

    @property
    def measurements_name(self) -> str:
        """Of this network, on this machine, with these versions."""
        return f"measured-{key_of(self.sha256, self._code, fingerprint('cpu', self.machine))}"

    def built_name(self, computation: Computation) -> str:
        """A converted model runs on any machine; a compiled one on this machine only."""
        if computation.backend == "openvino":
            return f"openvino-{key_of(self.sha256, self._code, str(self.machine.openvino))}"
        return f"compiled-{computation.precision}-{key_of(self.sha256, self._code, fingerprint('cpu', self.machine))}"

    def open(self, computation: Computation, notes: tuple[str, ...] = ()) -> Network | None:
        """The network as the cache has it, or None when what was built is not there or damaged.

        Raises:
            OSError: A library cannot be loaded.
            RuntimeError: A compiled core cannot be set up.
        """
        folder = self.machine.cache.find(self.built_name(computation))
        if folder is None:
            return None
        threads = self.machine.threads
        run: RunCore
        if computation.backend == "openvino":
            run = openvino_core.OpenVinoCore(folder, computation.precision, threads=threads)
        else:
            run = CoreLibrary(folder)
        return self.core.network(run, self.header, computation=computation, notes=notes, threads=threads)

    @property
    def _code(self) -> str:
        return code_version(self.checkpoint.architecture)


def find_candidate(checkpoint: Checkpoint, sha256: str, machine: Machine) -> Candidate | None:
    """The checkpoint as something to build for, or None when networks of its kind have no core.

    Raises:
        ModelError: It cannot be read, or names a class that is not allowed.
    """
    header, core = checkpoint.header, checkpoint.architecture.core
    if core is None or header is None or header.args or header.structure is not None:
        return None
    return Candidate(checkpoint=checkpoint, sha256=sha256, header=header, core=core, machine=machine)
