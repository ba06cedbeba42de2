"""The networks of one model on one device: fetched, checked and loaded when first needed, and kept."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from stemwright.backends.candidate import Candidate, find_candidate
from stemwright.backends.choose import Chooser, Decision
from stemwright.backends.library import load_torch
from stemwright.backends.measure import precisions_on
from stemwright.backends.measurements import select_fastest
from stemwright.checkpoints import Member, ModelInfo, OnFetch
from stemwright.checkpoints.checkpoint import Checkpoint
from stemwright.errors import MissingExtraError
from stemwright.machine.device import choose_device, low_precision
from stemwright.machine.machine import Machine
from stemwright.models.bag import Bag
from stemwright.models.network import PLAIN, Network
from stemwright.options import Precision


class Networks:
    """Makes bags of a model's networks, each computed as the precision asks and this machine does best."""

    def __init__(
        self,
        info: ModelInfo,
        *,
        device: str,
        machine: Machine,
        on_fetch: OnFetch | None = None,
        chooser: Chooser | None = None,
    ) -> None:
        """Choose the device; nothing is loaded yet.

        Args:
            device: ``auto``, or as torch names it.
            on_fetch: Told in a line what is fetched.
            chooser: Chooses between backends; None: one for this machine.

        Raises:
            DeviceError: There is no such device.
        """
        self._info, self._machine, self._on_fetch = info, machine, on_fetch
        self._chooser = chooser or Chooser(machine)
        self._device = None if device == "auto" else choose_device(device, machine)
        self._hashes: dict[int, str] = {}
        self._kept: dict[tuple[int, Precision], tuple[Network, Decision]] = {}
        self._load_seconds = 0.0

    @property
    def device(self) -> str:
        """As torch names it. ``auto`` is decided when it is first needed: asking torch means importing it."""
        if self._device is None:
            self._device = choose_device("auto", self._machine)
        return self._device

    def bag(self, precision: Precision) -> Bag:
        """The model's networks; each is loaded when the bag is first asked for it.

        Loading raises ModelError, MissingExtraError or DeviceError: see `stemwright.errors`.
        """
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

    def _network(self, index: int, member: Member, wanted: Precision) -> Network:
        """Loaded once; looked at again for each song as long as a faster backend is still being prepared."""
        kept = self._kept.get((index, wanted))
        if kept is not None and kept[1].settled:
            return kept[0]
        began = time.monotonic()
        with _torch_meanwhile(self._machine):
            # Hashed while torch, which may have to tell the device, is loaded.
            checkpoint = self._checkpoint(index, member)
            on_cpu = self.device == "cpu"
            candidate = find_candidate(checkpoint, self._hashes[index], self._machine) if on_cpu else None
            decision = self._decision(index, checkpoint, candidate, wanted)
            if kept is not None and kept[1].computation == decision.computation and not decision.settled:
                return kept[0]
            network, decision = self._loaded(checkpoint, candidate, decision)
        self._kept[index, wanted] = (network, decision)
        self._load_seconds += time.monotonic() - began
        return network

    def _loaded(
        self, checkpoint: Checkpoint, candidate: Candidate | None, decision: Decision
    ) -> tuple[Network, Decision]:
        """The network that was decided on, or plain torch when the cache does not have it, with what was decided then."""
        if candidate is not None and decision.computation.backend != "eager":
            network = candidate.open(decision.computation, decision.notes)
            if network is not None:
                return network, decision
            decision = self._chooser.instead_of_damaged(candidate, decision.computation)
        return self._plain(checkpoint, decision), decision

    def _decision(self, index: int, checkpoint: Checkpoint, candidate: Candidate | None, wanted: Precision) -> Decision:
        if candidate is not None:
            decision = self._chooser.decide(candidate, wanted)
            if decision.settled or wanted != "fast":
                return decision
        else:
            decision = Decision(computation=PLAIN, notes=self._not_built())
        low = low_precision(self.device, self._machine) if wanted == "fast" or self.device != "cpu" else None
        if low is None:
            return decision
        if self.device == "cpu":  # asked for; measured when the backends are, and for other networks never
            notes = (f"{low} was asked for: how closely it agrees was not measured", *decision.notes)
            return replace(decision, computation=replace(PLAIN, precision=low), notes=notes)
        known = precisions_on(self.device, low, self._hashes[index], checkpoint, self._machine)
        computation, why = select_fastest(known.measured, wanted)
        return Decision(computation=computation, notes=(why, *decision.notes))

    def _not_built(self) -> tuple[str, ...]:
        """What to say where a backend was asked for that computes HTDemucs on a CPU alone."""
        if (asked := self._machine.backend) in ("auto", "eager"):
            return ()
        return (f"the backend {asked} was asked for, which computes HTDemucs on a CPU only: torch computes this",)

    def _plain(self, checkpoint: Checkpoint, decision: Decision) -> Network:
        if self._machine.torch is None:
            raise MissingExtraError(f"{self._info.name} needs torch, and it is not installed: pip install torch")
        from stemwright.backends.eager import EagerNetwork

        return EagerNetwork(
            checkpoint.load(),
            device=self.device,
            precision=decision.computation.precision,
            to_cpu=checkpoint.load,
            notes=decision.notes,
        )

    def _checkpoint(self, index: int, member: Member) -> Checkpoint:
        """The weights on this machine, compared once with what was published."""
        checkpoint = self._info.source.obtain(self._info, member, self._on_fetch)
        if index not in self._hashes:
            self._hashes[index] = checkpoint.checked_sha256(lambda file: self._machine.cache.hash_of(file, "sha256"))
        return checkpoint


@contextlib.contextmanager
def _torch_meanwhile(machine: Machine) -> Iterator[None]:
    """Load torch beside what is done inside: that takes its time, in which a checkpoint is hashed and looked up.

    Where only torch knows the devices it is imported; else what it shares with compiled networks is loaded, which do
    without the rest.
    """
    with ThreadPoolExecutor(1) as pool:
        if machine.torch is not None and machine.may_have_gpu:
            pool.submit(importlib.import_module, "torch")
        elif machine.torch is not None:
            pool.submit(load_torch)
        yield
