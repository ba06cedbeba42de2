"""How fast and how exact each way is: one segment through all of them, in turns."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Mapping

import numpy as np

from stemwright.backends.code_version import code_version
from stemwright.backends.ways import PLAIN, Measured, Measurements, Way
from stemwright.checkpoints.checkpoint import Checkpoint
from stemwright.machine.cache import Cache, key_of
from stemwright.machine.processor import fingerprint
from stemwright.models.architecture import LoadedModule
from stemwright.models.network import Network, Samples

_ROUNDS = 3
_MOST_ROUNDS = 9
_CONFIRMED = 1.05  # how far the two shortest rounds of one way may lie apart


def compare(networks: Mapping[Way, Network], mix: Samples) -> tuple[Measured, ...]:
    """The fastest of several rounds of each, and its agreement with plain float32, which must be among them.

    They take turns, so that a busy machine slows all alike, and go on until the fastest round of each was nearly
    reached twice: on a machine that works on something else, one round says little. Each should have run once before.
    """
    seconds: dict[Way, list[float]] = {way: [] for way in networks}
    agreements: dict[Way, float] = {}
    expected = networks[PLAIN](mix)
    for done in range(_MOST_ROUNDS):
        if done >= _ROUNDS and all(map(_confirmed, seconds.values())):
            break
        for way, network in networks.items():
            began = time.perf_counter()
            made = network(mix)
            seconds[way].append(time.perf_counter() - began)
            agreements[way] = float("inf") if way == PLAIN else agreement_db(expected, made)
    return tuple(Measured(way=way, seconds=min(seconds[way]), agreement_db=agreements[way]) for way in networks)


def _confirmed(seconds: list[float]) -> bool:
    shortest, second = sorted(seconds)[:2]
    return second <= shortest * _CONFIRMED


def precisions_on(device: str, low: str, sha256: str, checkpoint: Checkpoint, cache: Cache) -> Measurements:
    """Float32 against 16 bits in plain torch on a device: measured once, at once, for on a GPU that takes a moment."""
    import torch

    name = f"measured-{key_of(sha256, code_version(checkpoint.architecture), fingerprint(device))}"
    known = Measurements.from_json(cache.note(name))
    if known is not None:
        return known
    made, stayed = _tried_on(device, low, checkpoint.load)
    gc.collect()
    torch.cuda.empty_cache()  # the memory is for the network that is used
    if stayed:
        with contextlib.suppress(OSError):  # without a note it is measured again next time
            cache.write_note(name, made.as_json())
    return made


def _tried_on(device: str, low: str, load: Callable[[], LoadedModule]) -> tuple[Measurements, bool]:
    """How both do, and whether that is the device's doing: without memory the CPU takes over."""
    from stemwright.backends.eager import EagerNetwork

    networks: dict[Way, Network] = {
        Way(backend=PLAIN.backend, precision=each): EagerNetwork(load(), device=device, precision=each)
        for each in ("fp32", low)
    }
    mix = example(networks[PLAIN])
    for network in networks.values():
        network(mix)
    made = Measurements(measured=compare(networks, mix), failed={})
    return made, all(network.computation.device == device for network in networks.values())


def example(network: Network) -> Samples:
    """One segment with mean 0 and deviation 1, as networks get them: noise with a beat. ``[1, channels, samples]``."""
    length = network.valid_length(int(network.facts.segment * network.facts.samplerate))
    noise = np.random.default_rng(0).standard_normal((1, network.facts.audio_channels, length), dtype=np.float32)
    beat = np.exp(-8 * (np.arange(length) / network.facts.samplerate * 2 % 1)).astype(np.float32)
    mix: Samples = noise * (np.float32(0.2) + beat)
    mix /= mix.std()
    return mix


def agreement_db(expected: Samples, got: Samples) -> float:
    """How closely ``got`` follows ``expected``: energy over the energy of the difference, in dB."""
    error = float(np.square(expected.astype(np.float64) - got).sum())
    return 10 * float(np.log10(float(np.square(expected, dtype=np.float64).sum()) / max(error, 1e-300)))
