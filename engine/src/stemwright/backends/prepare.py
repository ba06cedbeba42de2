"""Builds every backend for a network and measures them all on one segment: ahead of time, or as `background` has it.

python -m stemwright.backends.prepare CHECKPOINT
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from stemwright.backends import openvino_core
from stemwright.backends.candidate import Candidate, find_candidate
from stemwright.backends.measure import compare, example
from stemwright.backends.measurements import Measurements
from stemwright.backends.timing import TIMING, Timing
from stemwright.checkpoints.checkpoint import Checkpoint, CheckpointFile
from stemwright.machine.cache import Busy
from stemwright.machine.machine import Backend, Machine, NumberType
from stemwright.models.network import PLAIN, Computation, Network

Say = Callable[[str], None]


def prepare(checkpoint: Checkpoint, *, say: Say, machine: Machine, timing: Timing = TIMING) -> Measurements | None:
    """Build and measure what is not in the cache yet. None when this network has nothing to build.

    Args:
        say: Told in a line what was built, or could not be, and how fast and how exact it is.
        timing: Decides which kernels and number types are worth building with.

    Raises:
        Busy: Another process is doing the same.
        ModelError: The checkpoint is not what it should be.
        OutputError: Other users may write to the cache.
        OSError: The cache cannot be written.
    """
    network, cache = find_candidate(checkpoint, checkpoint.checked_sha256(), machine), machine.cache
    if network is None:
        return None
    with cache.building(network.measurements_name), cache.alone("warm"):
        known = Measurements.from_json(cache.note(network.measurements_name))
        if known is not None and _all_there(network, known):
            return known
        cache.write_note(attempts_name(network), attempts(network) + 1)
        made = _measure(network, say, timing)
        cache.write_note(network.measurements_name, made.as_json())
        cache.write_note(attempts_name(network), 0)  # what is missing one day is another matter
        return made


def _measure(network: Candidate, say: Say, timing: Timing) -> Measurements:
    from stemwright.backends.eager import EagerNetwork

    plain = EagerNetwork(network.checkpoint.load())
    mix = example(plain)
    plain(mix)
    networks: dict[Computation, Network] = {PLAIN: plain}
    failed: dict[str, str] = {}
    for each in candidates(network.machine, bf16_is_faster=timing.bf16_is_faster()):
        began = time.monotonic()
        try:
            built = _built(network, each, timing)
            built(mix)
            networks[each] = built
            say(f"{each}: built in {time.monotonic() - began:.0f} s")
        except Exception as error:  # a compiler or a runtime may fail in any way: the others are still good
            failed[str(each)] = " ".join(str(error).split())[:200] or type(error).__name__
            say(f"{each}: not used: {failed[str(each)]}")
    rows = compare(networks, mix)
    for row in rows:
        say(f"{row.computation}: {row.seconds:.2f} s a segment, agreement {row.agreement_db:.1f} dB")
    return Measurements(measured=rows, failed=failed)


def candidates(machine: Machine, *, bf16_is_faster: bool) -> list[Computation]:
    """What is worth building: bfloat16 where it is faster than float32, integers where there is no AMX."""
    low: list[NumberType] = ["bf16"] if bf16_is_faster else []
    integers: list[NumberType] = [] if machine.amx else ["int16"]
    by_backend: dict[Backend, list[NumberType]] = {"eager": low, "compiled": ["fp32", *low, *integers]}
    if machine.openvino is not None:
        by_backend["openvino"] = ["fp32", *low]
    return [Computation(backend=name, precision=each) for name, precisions in by_backend.items() for each in precisions]


def _built(network: Candidate, computation: Computation, timing: Timing) -> Network:
    from stemwright.backends.eager import EagerNetwork

    loaded, machine = network.checkpoint.load(), network.machine
    precision, name = computation.precision, network.built_name(computation)
    if computation.backend == "eager":
        return EagerNetwork(loaded, precision=precision)
    if computation.backend == "openvino":
        machine.cache.build(name, lambda folder: openvino_core.convert(loaded, folder))
    else:
        from stemwright.backends import compiled

        if machine.compiler is None:
            raise RuntimeError("there is no C++ compiler (g++ or clang++)")
        machine.cache.build(name, lambda folder: compiled.build(loaded, precision, folder, machine, timing=timing))
    built = network.open(computation)
    assert built is not None, "what was just built is whole"
    return built


def attempts_name(network: Candidate) -> str:
    """Of the note that counts how often a preparation was begun."""
    return network.measurements_name.replace("measured", "attempts")


def attempts(network: Candidate) -> int:
    """How often it was begun here since it last ended well; what is killed every time is not started for ever."""
    known = network.machine.cache.note(attempts_name(network))
    return known if isinstance(known, int) else 0


def _all_there(network: Candidate, known: Measurements) -> bool:
    built = [each.computation for each in known.measured if each.computation.backend != "eager"]
    return all(network.machine.cache.find(network.built_name(each)) is not None for each in built)


def main(words: Sequence[str], machine: Machine) -> None:
    """Prepare one checkpoint; another process that is at it already is left to it.

    Args:
        words: The path of a checkpoint.

    Raises:
        ModelError: As `prepare`.
        OutputError: As `prepare`.
        OSError: As `prepare`.
    """
    try:
        prepare(CheckpointFile(path=Path(words[0])), say=lambda line: print(line, flush=True), machine=machine)
    except Busy:
        print("another process is at it already")


if __name__ == "__main__":
    main(sys.argv[1:], Machine.here())
