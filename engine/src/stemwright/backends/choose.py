"""Decides how a network is computed here: in the way that was measured best. Needs no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from stemwright.backends import openvino_core
from stemwright.backends.candidate import Candidate
from stemwright.backends.ways import PLAIN, Measurements, Way, best
from stemwright.errors import MissingExtraError
from stemwright.machine.cache import Cache
from stemwright.machine.device import has_torch
from stemwright.machine.processor import version_of
from stemwright.options import Precision

BACKENDS = ("auto", "eager", "compiled", "openvino")
_WORTH_BUILDING = 10_000_000  # bytes of a checkpoint: building takes longer than a smaller network gains


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a network will be computed, and why."""

    way: Way
    notes: tuple[str, ...]  # for the report
    settled: bool = True  # false while a measurement is still to come


def decide(found: Candidate, precision: Precision, cache: Cache, *, may_start: bool) -> Decision:
    """The way that was measured best. What was never measured is computed plainly, and measured in the background.

    Args:
        may_start: whether the measurement may be started now; false when that was done before.
    """
    decision = _decided(found, precision, cache, may_start=may_start)
    asked = os.environ.get("STEMWRIGHT_BACKEND", "auto")
    if asked in BACKENDS:
        return decision
    unknown = f"STEMWRIGHT_BACKEND is {asked!r}, which is none of {', '.join(BACKENDS)}: auto is meant"
    return replace(decision, notes=(unknown, *decision.notes))


def _decided(found: Candidate, precision: Precision, cache: Cache, *, may_start: bool) -> Decision:
    asked = backend_asked_for()
    if not has_torch():
        fast = ", for fast as well" if precision == "fast" else ""
        why = f"there is no torch here: OpenVINO computes in float32{fast}"
        return Decision(way=Way(backend="openvino", precision="fp32"), notes=(why,))
    known = Measurements.from_json(cache.note(found.measurements_name))
    if known is None:
        return _measured_later(found, cache, may_start=may_start)
    rows = [each for each in known.measured if asked in ("auto", each.way.backend)]
    reasons = "; ".join(f"{way} ({why})" for way, why in known.failed.items())
    if not rows:
        why = f"STEMWRIGHT_BACKEND asks for {asked}, which is not to be had: {reasons or 'it was not measured'}"
        return Decision(way=PLAIN, notes=(why,))
    way, why = best(rows, precision)
    return Decision(way=way, notes=(why + (f"; not used: {reasons}" if reasons else ""),))


def instead_of_damaged(found: Candidate, way: Way, cache: Cache, *, may_start: bool) -> Decision:
    """What to do when the network that was decided on is not in the cache, or not whole.

    Raises:
        MissingExtraError: there is no torch, and nothing was converted that runs without it.
    """
    if has_torch():
        later = _measured_later(found, cache, may_start=may_start)
        return replace(later, notes=(f"the {way} network in the cache is missing or damaged", *later.notes))
    if not openvino_core.installed():
        raise MissingExtraError("neither torch nor OpenVINO is installed: pip install torch, or 'stemwright[openvino]'")
    raise MissingExtraError(
        f"{found.file.name} was not converted for OpenVINO {version_of('openvino')} yet, and that takes torch: "
        "run `stemwright models warm` where torch is installed, and copy its cache"
    )


def backend_asked_for() -> str:
    """``STEMWRIGHT_BACKEND``: ``auto`` unless it names one."""
    asked = os.environ.get("STEMWRIGHT_BACKEND", "auto")
    return asked if asked in BACKENDS else "auto"


def _measured_later(found: Candidate, cache: Cache, *, may_start: bool) -> Decision:
    """Plain torch for now; measured in the background if that is wanted and worth it."""
    if backend_asked_for() == PLAIN.backend:
        return Decision(way=PLAIN, notes=("STEMWRIGHT_BACKEND asks for torch as it is",))
    if found.file.stat().st_size < _WORTH_BUILDING:
        return Decision(way=PLAIN, notes=("the network is small: torch computes it as it is",))
    if os.environ.get("STEMWRIGHT_WARM", "background") == "off":
        why = "no backend was measured: STEMWRIGHT_WARM is off, and `stemwright models warm` was not run"
        return Decision(way=PLAIN, notes=(why,), settled=False)
    from stemwright.backends.warm import start_in_background

    why = start_in_background(found, cache) if may_start else "faster backends are still being prepared"
    return Decision(way=PLAIN, notes=(why,), settled=False)
