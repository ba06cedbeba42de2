"""How long a status call takes while many poll, some upload and a job runs.

    python bench/status_latency.py --pollers 50 --uploaders 5 --seconds 60

Starts a service of its own on this machine, with the model that ships at work all the time, and prints p50, p95, p99 and
the longest, in milliseconds. The pollers are a process of their own and so are the uploaders (``callers.py``), on plain
sockets: what is measured is the service, not the client's interpreter.

Each poller asks once a second over one connection, at moments fixed beforehand, as a page without live events does. A
call counts from the moment it was *due*: one that has to wait because the one before took long is late by that much, and
is counted so (no coordinated omission). Each uploader sends a song of 20 seconds (3.5 MB), waits two seconds, and so on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from callers import get, send, song

HERE = Path(__file__).parent


def main() -> None:
    """Start a service, load it, say what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pollers", type=int, default=50)
    parser.add_argument("--uploaders", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm", type=float, default=10.0, help="seconds before what counts begins")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as url:
        job_id = send(url, song(1750.0, rate=16000, channels=1))  # at work longer than all of this
        while get(url, f"/api/status/{job_id}")["status"] != "processing":
            time.sleep(0.2)
        stolen = _stolen()
        until = args.warm + args.seconds
        clients = [
            caller("poll", url, job_id, str(args.pollers), str(until)),
            caller("upload", url, str(args.uploaders), str(until)),
        ]
        polled, uploaded = (json.loads(each.communicate()[0]) for each in clients)
        state = get(url, f"/api/status/{job_id}")
        assert state["status"] == "processing", state  # it ran to the end of what was measured
    took = sorted(1000 * seconds for due, seconds in polled["took"] if due >= args.warm)
    print(
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end, {_stolen() - stolen:.1f} s stolen by the host"
    )
    print(f"{len(took)} status calls by {args.pollers} pollers, {polled['failed']} failed")
    print(
        f"{uploaded['sent']} uploads by {args.uploaders}, {uploaded['failed']} failed; the job is at {state['progress']} %"
    )
    shown = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "longest": 1.0}
    print("  ".join(f"{name} {took[min(len(took) - 1, int(at * len(took)))]:.1f} ms" for name, at in shown.items()))


def _stolen() -> float:
    """Seconds of processor time that the host of a virtual machine gave to others, so far."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """A service with its data in ``folder``; its address. Its log is shown if anything fails."""
    command = [str(Path(sys.executable).with_name("stemwright")), "serve", "--port", "0", "--data-dir", str(folder)]
    log = folder / "log"
    settings = {"STEMWRIGHT_WEBSERVER_UPLOAD_RATE": "", "STEMWRIGHT_WEBSERVER_MODEL": "pocket"}
    with (
        log.open("wb") as err,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=err, text=True, env={**os.environ, **settings}
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        except BaseException:
            print(log.read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            process.terminate()


def caller(*words: str) -> subprocess.Popen[str]:
    """Start ``callers.py``."""
    return subprocess.Popen([sys.executable, str(HERE / "callers.py"), *words], stdout=subprocess.PIPE, text=True)


if __name__ == "__main__":
    main()
