"""Decides how a network is computed here: in the way that was measured best. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stemwright.backends.background import start_in_background
from stemwright.backends.candidate import Candidate
from stemwright.backends.measurements import Measurements, select_fastest
from stemwright.errors import MissingExtraError
from stemwright.machine.machine import Machine
from stemwright.models.network import PLAIN, Computation
from stemwright.options import Precision

WORTH_BUILDING = 10_000_000  # bytes of a checkpoint: building takes longer than a smaller network gains


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a network will be computed, and why."""

    computation: Computation
    notes: tuple[str, ...]  # for the report
    settled: bool = True  # false while a measurement is still to come


class Chooser:
    """Chooses between backends for the networks of one model. Preparation is started once for each of them."""

    def __init__(
        self,
        machine: Machine,
        *,
        worth_building: int = WORTH_BUILDING,
        start: Callable[[Candidate], str] = start_in_background,
    ) -> None:
        """Choose for networks that run on this machine.

        Args:
            worth_building: Bytes of a checkpoint; for a smaller one nothing is prepared.
            start: Starts a preparation, and says for the report what became of it.
        """
        self._machine, self._worth_building, self._start = machine, worth_building, start
        self._started: set[str] = set()  # hashes of checkpoints whose preparation was begun, or tried to

    def decide(self, network: Candidate, wanted: Precision) -> Decision:
        """What was measured best. What was never measured is computed plainly, and measured in the background."""
        decision = self._decided(network, wanted)
        return replace(decision, notes=(*self._machine.notes, *decision.notes))

    def instead_of_damaged(self, network: Candidate, computation: Computation) -> Decision:
        """What to do when the network that was decided on is not in the cache, or not whole.

        Raises:
            MissingExtraError: There is no torch, and nothing was converted that runs without it.
        """
        if self._machine.torch is not None:
            later = self._measured_later(network)
            return replace(later, notes=(f"the {computation} network in the cache is missing or damaged", *later.notes))
        if self._machine.openvino is None:
            raise MissingExtraError(
                "neither torch nor OpenVINO is installed: pip install torch, or 'stemwright[openvino]'"
            )
        raise MissingExtraError(
            f"{network.file.name} was not converted for OpenVINO {self._machine.openvino} yet, and that takes torch: "
            "run `stemwright models warm` where torch is installed, and copy its cache"
        )

    def _decided(self, network: Candidate, wanted: Precision) -> Decision:
        backend = self._machine.backend
        if self._machine.torch is None:
            fast = ", for fast as well" if wanted == "fast" else ""
            why = f"there is no torch here: OpenVINO computes in float32{fast}"
            return Decision(computation=Computation(backend="openvino", precision="fp32"), notes=(why,))
        known = Measurements.from_json(self._machine.cache.note(network.measurements_name))
        if known is None:
            return self._measured_later(network)
        rows = [each for each in known.measured if backend in ("auto", each.computation.backend)]
        reasons = "; ".join(f"{computation} ({why})" for computation, why in known.failed.items())
        if not rows:
            why = f"the backend {backend} was asked for, and is not to be had: {reasons or 'it was not measured'}"
            return Decision(computation=PLAIN, notes=(why,))
        computation, why = select_fastest(rows, wanted)
        return Decision(computation=computation, notes=(why + (f"; not used: {reasons}" if reasons else ""),))

    def _measured_later(self, network: Candidate) -> Decision:
        """Plain torch for now; measured in the background if that is wanted and worth it."""
        if self._machine.backend == PLAIN.backend:
            return Decision(computation=PLAIN, notes=("the backend eager was asked for: torch computes it as it is",))
        if network.file.stat().st_size < self._worth_building:
            return Decision(computation=PLAIN, notes=("the network is small: torch computes it as it is",))
        if self._machine.preparation == "off":
            why = "no backend was measured: STEMWRIGHT_WARM is off, and `stemwright models warm` was not run"
            return Decision(computation=PLAIN, notes=(why,), settled=False)
        if network.sha256 in self._started:
            why = "faster backends are still being prepared"
        else:
            self._started.add(network.sha256)
            why = self._start(network)
        return Decision(computation=PLAIN, notes=(why,), settled=False)
