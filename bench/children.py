"""What has to run in a process of its own. Called by `rows`."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator

RATE = 44100


def peak_of_stream(minutes: str) -> None:
    """Print the peak resident megabytes of separating so many minutes with a network that copies."""
    import numpy as np

    from stemwright import SeparationOptions
    from stemwright.models.bag import Bag
    from stemwright.models.network import Computation, Facts, Samples
    from stemwright.separation.mix_stats import MixStats
    from stemwright.separation.recipe import resolve
    from stemwright.separation.stream import Stream

    class Copies:
        facts = Facts(sources=("a", "b", "c", "d"), samplerate=RATE, audio_channels=2, segment=7.8, fixed_segment=True)
        computation = Computation(backend="eager", device="cpu", precision="fp32")
        notes: tuple[str, ...] = ()
        batch = streams = 1

        def valid_length(self, length: int) -> int:
            return length

        def __call__(self, mix: Samples) -> Samples:
            return np.repeat(mix[:, None], 4, axis=1)

    length = int(float(minutes) * 60 * RATE)
    noise = np.random.default_rng(0).standard_normal((2, 1 << 16), dtype=np.float32)

    def mix() -> Iterator[Samples]:
        for first in range(0, length, 1 << 16):
            yield noise[:, : min(1 << 16, length - first)].copy()

    stream = Stream(resolve(Bag(sources=Copies.facts.sources, loaders=[Copies]), SeparationOptions()))
    stats = MixStats(length=length, mean=0.0, std=1.0)
    made = sum(block.shape[-1] for block in stream.blocks(mix(), stats))
    assert made == length, (made, length)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def first_segment(folder: str) -> None:
    """Separate a little and say when the first segment is done."""
    from stemwright.machine.allocator import keep_freed_memory

    keep_freed_memory()
    import numpy as np

    from stemwright import SeparationOptions, Separator

    mix = np.random.default_rng(0).standard_normal((2, 6 * RATE), dtype=np.float32)
    separator = Separator("released", models_path=folder)
    separator.separate(mix, RATE, SeparationOptions(), on_progress=lambda _: print("done", flush=True))


def separate(folder: str, precision: str, device: str, mix_file: str, stems_file: str) -> None:
    """Separate a mix each time that a line says ``go``, and print the seconds it took, and the processor's.

    ``save`` writes the stems, and prints how they were computed.
    """
    from stemwright.machine.allocator import keep_freed_memory

    keep_freed_memory()  # as the command line and the workers do
    import numpy as np

    from stemwright import SeparationOptions, Separator

    mix = np.load(mix_file)
    options = SeparationOptions(precision=precision)  # type: ignore[arg-type]
    separator = Separator("released", models_path=folder, device=device)
    result = separator.separate(mix[:, : 8 * RATE], RATE, options)
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "go":
            began, before = time.perf_counter(), os.times()
            result = separator.separate(mix, RATE, options)
            took, after = time.perf_counter() - began, os.times()
            print(json.dumps([took, sum(after[:4]) - sum(before[:4])]), flush=True)
        else:
            np.save(stems_file, np.stack(list(result.stems.values())))
            print(json.dumps(f"{result.report.backend} {result.report.precision}"), flush=True)


if __name__ == "__main__":
    measurements: list[Callable[..., None]] = [peak_of_stream, first_segment, separate]
    called = {each.__name__: each for each in measurements}
    called[sys.argv[1]](*sys.argv[2:])
