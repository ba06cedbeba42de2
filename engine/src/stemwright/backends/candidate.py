"""A checkpoint that backends can be built for. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemwright.backends import openvino_core
from stemwright.backends.code_version import code_version
from stemwright.backends.library import CoreLibrary
from stemwright.backends.ways import Way
from stemwright.checkpoints.header import Header, read_header
from stemwright.machine.cache import Cache, key_of
from stemwright.machine.processor import fingerprint, version_of
from stemwright.models.htdemucs.arguments import facts, supports
from stemwright.models.htdemucs.around_core import CoreNetwork
from stemwright.models.network import Computation, Network

_HTDEMUCS = "demucs.htdemucs.HTDemucs"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A checkpoint that backends can be built for, and under which names the cache keeps them."""

    file: Path
    sha256: str
    header: Header

    @property
    def measurements_name(self) -> str:
        """Of this network, on this machine, with these versions."""
        return f"measured-{key_of(self.sha256, code_version(), fingerprint('cpu'))}"

    def built_name(self, way: Way) -> str:
        """A converted model runs on any machine; a compiled one on this machine only."""
        if way.backend == "openvino":
            return f"openvino-{key_of(self.sha256, code_version(), version_of('openvino'))}"
        return f"compiled-{way.precision}-{key_of(self.sha256, code_version(), fingerprint('cpu'))}"

    def open(self, way: Way, cache: Cache, notes: tuple[str, ...] = ()) -> Network | None:
        """The network as the cache has it, or None when what was built is not there or damaged."""
        folder = cache.find(self.built_name(way))
        if folder is None:
            return None
        known, nfft = facts(self.header.sources, self.header.kwargs), int(self.header.kwargs.get("nfft", 4096))
        core = openvino_core.OpenVinoCore(folder, way.precision) if way.backend == "openvino" else CoreLibrary(folder)
        computation = Computation(backend=way.backend, device="cpu", precision=way.precision)
        return CoreNetwork(core, known, nfft=nfft, computation=computation, notes=notes)


def candidate(file: Path, sha256: str) -> Candidate | None:
    """The checkpoint as something to build for, or None when it is another kind of network."""
    header = read_header(file)
    if header.klass != _HTDEMUCS or header.args or not supports(header.kwargs) or header.structure is not None:
        return None
    return Candidate(file=file, sha256=sha256, header=header)
