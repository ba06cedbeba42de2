"""How peak memory grows with the length of a song: separates silence-free noise of several lengths, each in its own process.

    python bench/memory.py --model pocket --minutes 1 4 16

Prints peak resident memory of each, and the growth from the shortest to the longest.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 44100


def main() -> None:
    """Measure each length in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--models-path")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 4, 16])
    parser.add_argument("--one", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one is not None:
        print(json.dumps(measure(args.model, args.models_path, args.one)))
        return
    peaks = {}
    for minutes in args.minutes:
        command = [sys.executable, __file__, "--model", args.model, "--one", str(minutes)]
        command += ["--models-path", args.models_path] if args.models_path else []
        peaks[minutes] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[
            "peak_mb"
        ]
        print(f"{minutes:6g} min  peak {peaks[minutes]:7.1f} MB")
    first, last = min(peaks), max(peaks)
    print(f"growth from {first:g} to {last:g} minutes: {peaks[last] - peaks[first]:+.1f} MB")


def measure(model: str, models_path: str | None, minutes: float) -> dict[str, float]:
    """Separate a file of so many minutes; peak resident memory in MB, of this process and its decoder's."""
    from stemwright import OutputOptions, Separator
    from stemwright.audio import open_writer
    from stemwright.machine.allocator import keep_freed_memory

    keep_freed_memory()  # as the command line and the workers do: without it torch's pieces lie apart, and more of them
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.flac"
        with open_writer(song, format="flac", sample_rate=RATE, channels=2) as writer:
            for block in noise(round(minutes * 60 * RATE)):
                writer.write(block)
            writer.close()
        separator = Separator(model, models_path=models_path, device="cpu")
        separator.separate_file(song, folder, output=OutputOptions(format="flac"))
    peaks = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"peak_mb": sum(peaks) / 1024}


def noise(samples: int) -> Iterator[NDArray[np.float32]]:
    """Blocks of seeded noise, ``[2, samples]`` each."""
    chance = np.random.default_rng(0)
    for start in range(0, samples, 1 << 16):
        yield (0.1 * chance.standard_normal((2, min(1 << 16, samples - start)))).astype(np.float32)


if __name__ == "__main__":
    main()
