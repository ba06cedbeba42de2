"""How long ``stemwright serve`` takes until it listens: ``python bench/serve_start.py [runs]``.

Each run is a new process with a new data folder. Processor time beside it tells how much of the wait was other work.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [str(Path(sys.executable).with_name("stemwright")), "serve", "--port", "0", "--data-dir"]


def start() -> tuple[float, float]:
    """Seconds from starting the process to its line that it listens: by the clock, and of the processor."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        began = time.monotonic()
        process = subprocess.Popen([*COMMAND, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.monotonic() - began
        if "listens on" not in line:
            raise SystemExit(f"the service did not start: {line!r}")
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        processor = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        process.terminate()
        process.wait()
    return took, processor


def main() -> None:
    """Print every run, and the medians."""
    runs = [start() for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5)]
    for took, processor in runs:
        print(f"{took:.2f} s, {processor:.2f} s of the processor")
    print(
        f"median {statistics.median(r[0] for r in runs):.2f} s, {statistics.median(r[1] for r in runs):.2f} s of the processor"
    )


if __name__ == "__main__":
    main()
