"""How fast and how exact each computation of a network was here, and which one is chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemwright.models.network import PLAIN, Computation
from stemwright.options import Precision

EXACT_DB = 100.0  # agreement with plain float32 that `exact` asks for
FAST_DB = 40.0  # that `fast` and `auto` ask for
_WORTH_IT = 1.15  # `auto` gives up exactness only for more than this


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How one computation did on one segment."""

    computation: Computation
    seconds: float  # the fastest of several rounds
    agreement_db: float  # with plain float32; infinite for that itself


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """What was measured for one network on this machine, and what could not be."""

    measured: tuple[Measured, ...]
    failed: Mapping[str, str]  # computation: why it cannot be used here

    def as_json(self) -> dict[str, Any]:
        """For the cache."""
        rows = [
            {
                "backend": each.computation.backend,
                "precision": each.computation.precision,
                "device": each.computation.device,
                "seconds": each.seconds,
                "agreement_db": each.agreement_db if math.isfinite(each.agreement_db) else None,
            }
            for each in self.measured
        ]
        return {"measured": rows, "failed": dict(self.failed)}

    @classmethod
    def from_json(cls, value: Any) -> Measurements | None:
        """Out of the cache; None when there is nothing usable."""
        try:
            measured = tuple(map(_row, value["measured"]))
            return cls(measured=measured, failed={str(k): str(v) for k, v in value["failed"].items()})
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


def _row(value: Mapping[str, Any]) -> Measured:
    computation = Computation(backend=value["backend"], precision=value["precision"], device=str(value["device"]))
    agreement = value["agreement_db"]
    if agreement is None:  # JSON has no infinity: plain float32's own, or what was not a number, which never agrees
        agreement = math.inf if computation.plain else -math.inf
    return Measured(computation=computation, seconds=float(value["seconds"]), agreement_db=float(agreement))


def select_fastest(measured: Sequence[Measured], wanted: Precision) -> tuple[Computation, str]:
    """The fastest computation that agrees as ``wanted`` asks, and why it is; plain float32 when nothing agrees enough."""
    exact, fast = _fastest(measured, EXACT_DB), _fastest(measured, FAST_DB)
    if wanted == "exact" or (wanted == "auto" and exact and fast and exact.seconds <= _WORTH_IT * fast.seconds):
        chosen, needed = exact, EXACT_DB
    else:
        chosen, needed = fast, FAST_DB
    if chosen is None:
        found = ", ".join(f"{each.computation} {each.agreement_db:.0f} dB" for each in measured)
        why = f"nothing that was measured agrees to {needed:.0f} dB: {found}" if found else "nothing was measured yet"
        return PLAIN, why
    others = ", ".join(f"{each.computation} {each.seconds:.2f} s" for each in measured if each is not chosen)
    agreement = "" if math.isinf(chosen.agreement_db) else f", agreement {chosen.agreement_db:.0f} dB"
    against = f"; the others: {others}" if others else ""
    return (
        chosen.computation,
        f"{chosen.computation} was measured best: {chosen.seconds:.2f} s a segment{agreement}{against}",
    )


def _fastest(measured: Sequence[Measured], agreement_db: float) -> Measured | None:
    return min((each for each in measured if each.agreement_db >= agreement_db), key=lambda m: m.seconds, default=None)
