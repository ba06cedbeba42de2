"""Builds every backend for a network and measures them all on one segment: ahead of time, or in the background.

    python -m stemwright.backends.warm CHECKPOINT

runs at the lowest priority, so that a song that is being separated meanwhile hardly notices.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stemwright.backends import openvino_core
from stemwright.backends.candidate import Candidate, candidate
from stemwright.backends.measure import compare, example
from stemwright.backends.ways import PLAIN, Measurements, Way
from stemwright.checkpoints.checkpoint import Checkpoint, CheckpointFile
from stemwright.errors import OutputError
from stemwright.machine.cache import Busy, Cache
from stemwright.models.network import Network

_ATTEMPTS = 3
_LOG = "warm.log"
Say = Callable[[str], None]


def start_in_background(found: Candidate, cache: Cache) -> str:
    """Start this module as a process that outlives ours; returns what the report says of it."""
    if _attempts(found, cache) >= _ATTEMPTS:
        return f"preparing faster backends failed {_ATTEMPTS} times (see {_LOG} in the cache): plain torch computes"
    try:
        cache.prepare()
        with (cache.root / _LOG).open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-P", "-m", "stemwright.backends.warm", str(found.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    except OutputError as error:
        return f"no backend can be prepared: {error}"
    except OSError as error:
        return f"no backend can be prepared: the cache cannot be written ({error.strerror})"
    return "faster backends are being prepared in the background; later songs use the best of them"


def warm(checkpoint: Checkpoint, *, say: Say, cache: Cache | None = None) -> Measurements | None:
    """Build and measure what is not in the cache yet. None when this network has nothing to build.

    Raises:
        Busy: another process is doing the same.
        ModelError: the checkpoint is not what it should be.
        OutputError: other users may write to the cache.
        OSError: the cache cannot be written.
    """
    cache = cache or Cache()
    found = candidate(checkpoint, checkpoint.checked_sha256())
    if found is None:
        return None
    with cache.building(found.measurements_name), cache.alone("warm"):
        known = Measurements.from_json(cache.note(found.measurements_name))
        if known is not None and _all_there(found, known, cache):
            return known
        cache.write_note(_attempts_name(found), _attempts(found, cache) + 1)
        made = _measure(found, cache, say)
        cache.write_note(found.measurements_name, made.as_json())
        cache.write_note(_attempts_name(found), 0)  # what is missing one day is another matter
        return made


def _measure(found: Candidate, cache: Cache, say: Say) -> Measurements:
    from stemwright.backends.eager import EagerNetwork

    plain = EagerNetwork(found.checkpoint.load())
    mix = example(plain)
    plain(mix)
    networks: dict[Way, Network] = {PLAIN: plain}
    failed: dict[str, str] = {}
    for way in _ways():
        began = time.monotonic()
        try:
            network = _built(found, way, cache)
            network(mix)
            networks[way] = network
            say(f"{way}: built in {time.monotonic() - began:.0f} s")
        except Exception as error:  # a compiler or a runtime may fail in any way: the others are still good
            failed[str(way)] = " ".join(str(error).split())[:200] or type(error).__name__
            say(f"{way}: not used: {failed[str(way)]}")
    rows = compare(networks, mix)
    for row in rows:
        say(f"{row.way}: {row.seconds:.2f} s a segment, agreement {row.agreement_db:.1f} dB")
    return Measurements(measured=rows, failed=failed)


def _ways() -> list[Way]:
    """What is worth building: bfloat16 where this machine multiplies it faster than float32, integers where it has no AMX."""
    from stemwright.backends import amx

    low = ["bf16"] if _bf16_pays() else []
    integers = [] if amx.here() else ["int16"]
    by_backend = {"eager": low, "compiled": ["fp32", *low, *integers]}
    if openvino_core.installed():
        by_backend["openvino"] = ["fp32", *low]
    return [Way(backend=backend, precision=each) for backend, precisions in by_backend.items() for each in precisions]


def _built(found: Candidate, way: Way, cache: Cache) -> Network:
    from stemwright.backends.eager import EagerNetwork

    loaded = found.checkpoint.load()
    if way.backend == "eager":
        return EagerNetwork(loaded, precision=way.precision)
    if way.backend == "openvino":
        cache.build(found.built_name(way), lambda folder: openvino_core.convert(loaded, folder))
    else:
        from stemwright.backends import compiled

        if compiled.compiler() is None:
            raise RuntimeError("there is no C++ compiler (g++ or clang++)")
        cache.build(found.built_name(way), lambda folder: compiled.build(loaded, way.precision, folder))
    network = found.open(way, cache)
    assert network is not None, "what was just built is whole"
    return network


def _attempts_name(found: Candidate) -> str:
    return found.measurements_name.replace("measured", "attempts")


def _attempts(found: Candidate, cache: Cache) -> int:
    """How often it was begun here since it last ended well; what is killed every time is not started for ever."""
    known = cache.note(_attempts_name(found))
    return known if isinstance(known, int) else 0


def _all_there(found: Candidate, known: Measurements, cache: Cache) -> bool:
    built = [each.way for each in known.measured if each.way.backend != "eager"]
    return all(cache.find(found.built_name(way)) is not None for way in built)


def _bf16_pays() -> bool:
    """Whether a matrix product in bfloat16 is faster here than in float32."""
    import torch

    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(512, 512, dtype=dtype)
        rounds = []
        for _ in range(4):
            began = time.perf_counter()
            a @ a
            rounds.append(time.perf_counter() - began)
        seconds.append(min(rounds))
    return seconds[1] < 0.8 * seconds[0]


def main() -> None:
    """Warm one checkpoint; another process that is at it already is left to it."""
    if hasattr(os, "nice"):
        os.nice(19)
    try:
        warm(CheckpointFile(path=Path(sys.argv[1])), say=lambda line: print(line, flush=True))
    except Busy:
        print("another process is at it already")


if __name__ == "__main__":
    main()
