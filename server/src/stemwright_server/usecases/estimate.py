"""How long a separation will take, by what such separations took here so far."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from stemwright_server.domain.counters import AUDIO_SUM, LOADING_SUM, PROCESSING_SUM
from stemwright_server.usecases.deps import Deps


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds of work, or why nobody can tell."""

    seconds: float | None
    note: str | None = None


def estimate(deps: Deps, *, service: str, model: str, duration: float | None, devices: Collection[str]) -> Estimate:
    """Seconds that a worker will spend on ``duration`` seconds of audio, once its weights are loaded.

    ``devices``: of the workers that are there, as they say it: cpu, cuda:0 ... or auto, which may be any.
    """
    if duration is None:
        return Estimate(seconds=None, note="The length of the audio is not known yet.")
    if not devices:
        return Estimate(seconds=None, note="No worker is there now.")
    factor = realtime_factor(deps, service=service, model=model, devices=devices)
    if factor is None:
        return Estimate(seconds=None, note=f"No job of {model} has been measured on these workers yet.")
    return Estimate(seconds=round(factor * duration, 1))


def realtime_factor(deps: Deps, *, service: str, model: str, devices: Collection[str]) -> float | None:
    """Seconds of work for a second of audio, over all completed jobs of the model on such devices."""
    kinds = {device.partition(":")[0] for device in devices}
    sums = {PROCESSING_SUM: 0.0, LOADING_SUM: 0.0, AUDIO_SUM: 0.0}
    for (name, labels), amount in deps.repository.counters().items():
        named = dict(labels)
        fits = (named.get("service"), named.get("model")) == (service, model)
        if name in sums and fits and ("auto" in kinds or named["device"] in kinds):
            sums[name] += amount
    if sums[AUDIO_SUM] <= 0:
        return None
    return (sums[PROCESSING_SUM] - sums[LOADING_SUM]) / sums[AUDIO_SUM]
