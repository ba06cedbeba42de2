"""How fast and how exact each computation is: one segment through all of them, in turns."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Mapping

import numpy as np

from stemwright.backends.code_version import code_version
from stemwright.backends.measurements import Measured, Measurements
from stemwright.checkpoints.checkpoint import Checkpoint
from stemwright.machine.cache import key_of
from stemwright.machine.device import fingerprint
from stemwright.machine.machine import Machine, NumberType
from stemwright.models.architecture import LoadedModule
from stemwright.models.network import Computation, Network, Samples

_ROUNDS = 3
_MOST_ROUNDS = 9
_CONFIRMED = 1.05  # how far the two shortest rounds of one computation may lie apart


def compare(
    networks: Mapping[Computation, Network], mix: Samples, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[Measured, ...]:
    """The fastest of several rounds of each, and its agreement with plain float32, which must be among them.

    They take turns, so that a busy machine slows all alike, and go on until the fastest round of each was nearly
    reached twice: on a machine that works on something else, one round says little. Each should have run once before.

    Args:
        mix: One segment, ``[1, channels, samples]``.
        clock: Gives seconds.
    """
    seconds: dict[Computation, list[float]] = {each: [] for each in networks}
    agreements: dict[Computation, float] = {}
    expected = next(network for each, network in networks.items() if each.plain)(mix)
    for done in range(_MOST_ROUNDS):
        if done >= _ROUNDS and all(map(_confirmed, seconds.values())):
            break
        for each, network in networks.items():
            began = clock()
            made = network(mix)
            seconds[each].append(clock() - began)
            agreements[each] = float("inf") if each.plain else agreement_db(expected, made)
    return tuple(
        Measured(computation=each, seconds=min(seconds[each]), agreement_db=agreements[each]) for each in networks
    )


def _confirmed(seconds: list[float]) -> bool:
    shortest, second = sorted(seconds)[:2]
    return second <= shortest * _CONFIRMED


def precisions_on(device: str, low: NumberType, sha256: str, checkpoint: Checkpoint, machine: Machine) -> Measurements:
    """Float32 against 16 bits in plain torch on a device: measured once, at once, for on a GPU that takes a moment.

    Args:
        low: The type of 16 bits.
        sha256: Of the checkpoint.
    """
    import torch

    name = f"measured-{key_of(sha256, code_version(checkpoint.architecture), fingerprint(device, machine))}"
    known = Measurements.from_json(machine.cache.note(name))
    if known is not None:
        return known
    made, stayed = _tried_on(device, low, checkpoint.load)
    gc.collect()
    torch.cuda.empty_cache()  # the memory is for the network that is used
    if stayed:
        with contextlib.suppress(OSError):  # without a note it is measured again next time
            machine.cache.write_note(name, made.as_json())
    return made


def _tried_on(device: str, low: NumberType, load: Callable[[], LoadedModule]) -> tuple[Measurements, bool]:
    """How both do, and whether that is the device's doing: without memory the CPU takes over."""
    from stemwright.backends.eager import EagerNetwork

    precisions: tuple[NumberType, ...] = ("fp32", low)
    networks: dict[Computation, Network] = {
        Computation(backend="eager", device=device, precision=each): EagerNetwork(load(), device=device, precision=each)
        for each in precisions
    }
    mix = example(next(iter(networks.values())))
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
