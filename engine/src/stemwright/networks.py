"""The networks of one model on one device: fetched, checked and loaded when first needed, and kept."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from stemwright.backends.candidate import Candidate, candidate
from stemwright.backends.choose import Decision, decide, instead_of_damaged
from stemwright.backends.library import load_torch
from stemwright.backends.measure import precisions_on
from stemwright.backends.ways import PLAIN, Way, best
from stemwright.checkpoints import Member, ModelInfo, OnFetch
from stemwright.checkpoints.checkpoint import Checkpoint
from stemwright.errors import MissingExtraError
from stemwright.machine.cache import Cache
from stemwright.machine.device import choose_device, has_torch, low_precision, only_cpu
from stemwright.models.bag import Bag
from stemwright.models.network import Network
from stemwright.options import Precision


@dataclass(frozen=True, kw_only=True)
class _Kept:
    network: Network
    way: Way
    settled: bool


class Networks:
    """Makes bags of a model's networks, each computed as the precision asks and this machine does best."""

    def __init__(self, info: ModelInfo, *, device: str, on_fetch: OnFetch | None) -> None:
        """
        Raises:
            DeviceError: there is no such device.
        """
        self._info, self._on_fetch = info, on_fetch
        self._device = None if device == "auto" else choose_device(device)
        self._hashes: dict[int, str] = {}
        self._kept: dict[tuple[int, Precision], _Kept] = {}
        self._cache = Cache()
        self._started: set[int] = set()  # networks whose measurement was begun, or tried to
        self._load_seconds = 0.0

    @property
    def device(self) -> str:
        """As torch names it. ``auto`` is decided when it is first needed: asking torch means importing it."""
        if self._device is None:
            self._device = choose_device("auto")
        return self._device

    def bag(self, precision: Precision) -> Bag:
        """The model's networks; each is loaded when the bag is first asked for it."""
        return Bag(
            sources=self._info.sources,
            loaders=[partial(self._network, index, each, precision) for index, each in enumerate(self._info.members)],
            weights=self._info.weights,
            segment=self._info.segment,
        )

    def hashes(self, indices: Sequence[int]) -> tuple[str, ...]:
        """sha256 of the checkpoints of these networks, which were loaded."""
        return tuple(self._hashes[index] for index in indices)

    def take_load_seconds(self) -> float:
        """What loading has taken since this was last asked: a network counts for the first song that it was loaded for."""
        taken, self._load_seconds = self._load_seconds, 0.0
        return taken

    def _network(self, index: int, member: Member, precision: Precision) -> Network:
        """Loaded once; looked at again for each song as long as a faster way is still being prepared."""
        kept = self._kept.get((index, precision))
        if kept is not None and kept.settled:
            return kept.network
        began = time.monotonic()
        with _torch_meanwhile():
            checkpoint = self._checkpoint(
                index, member
            )  # hashed while torch, which may have to tell the device, is loaded
            found = candidate(checkpoint, self._hashes[index]) if self.device == "cpu" else None
            decision = self._decision(index, checkpoint, found, precision)
            if kept is not None and kept.way == decision.way and not decision.settled:
                return kept.network
            network, decision = self._loaded(index, checkpoint, found, decision)
        self._kept[index, precision] = _Kept(network=network, way=decision.way, settled=decision.settled)
        self._load_seconds += time.monotonic() - began
        return network

    def _loaded(
        self, index: int, checkpoint: Checkpoint, found: Candidate | None, decision: Decision
    ) -> tuple[Network, Decision]:
        """The network that was decided on, or plain torch when the cache does not have it, with what was decided then."""
        if found is not None and decision.way.backend != PLAIN.backend:
            network = found.open(decision.way, self._cache, decision.notes)
            if network is not None:
                return network, decision
            decision = instead_of_damaged(found, decision.way, self._cache, may_start=index not in self._started)
            self._started.add(index)
        return self._plain(checkpoint, decision), decision

    def _decision(self, index: int, checkpoint: Checkpoint, found: Candidate | None, precision: Precision) -> Decision:
        if found is not None:
            decision = decide(found, precision, self._cache, may_start=index not in self._started)
            if not decision.settled:
                self._started.add(index)
            if decision.settled or precision != "fast":
                return decision
        else:
            decision = Decision(way=PLAIN, notes=())
        low = low_precision(self.device) if precision == "fast" or self.device != "cpu" else None
        if low is None:
            return decision
        if self.device == "cpu":  # asked for; measured when the backends are, and for other networks never
            notes = (f"{low} was asked for: how closely it agrees was not measured", *decision.notes)
            return replace(decision, way=Way(backend=PLAIN.backend, precision=low), notes=notes)
        known = precisions_on(self.device, low, self._hashes[index], checkpoint, self._cache)
        way, why = best(known.measured, precision)
        return Decision(way=way, notes=(why,))

    def _plain(self, checkpoint: Checkpoint, decision: Decision) -> Network:
        if not has_torch():
            raise MissingExtraError(f"{self._info.name} needs torch, and it is not installed: pip install torch")
        from stemwright.backends.eager import EagerNetwork

        return EagerNetwork(
            checkpoint.load(),
            device=self.device,
            precision=decision.way.precision,
            to_cpu=checkpoint.load,
            notes=decision.notes,
        )

    def _checkpoint(self, index: int, member: Member) -> Checkpoint:
        """The weights on this machine, compared once with what was published."""
        checkpoint = self._info.source.obtain(self._info, member, self._on_fetch)
        if index not in self._hashes:
            self._hashes[index] = checkpoint.checked_sha256(lambda file: self._cache.hash_of(file, "sha256"))
        return checkpoint


@contextlib.contextmanager
def _torch_meanwhile() -> Iterator[None]:
    """Load torch beside what is done inside: that takes its time, in which a checkpoint is hashed and looked up.

    Where only torch knows the devices it is imported; else what it shares with compiled networks is loaded, which do
    without the rest.
    """
    with ThreadPoolExecutor(1) as pool:
        if has_torch():
            pool.submit(load_torch) if only_cpu() else pool.submit(importlib.import_module, "torch")
        yield
