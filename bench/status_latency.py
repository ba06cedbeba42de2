"""How long a status call takes while many poll, some upload and a job runs.

    python bench/status_latency.py --pollers 50 --uploaders 5 --seconds 30

Starts a service of its own on this machine, with the model that ships, and prints p50, p95, p99 and the longest, in
milliseconds. Each poller asks once a second, as a page without live events would.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import httpx2

RATE = 44100


def main() -> None:
    """Start a service, load it, say what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pollers", type=int, default=50)
    parser.add_argument("--uploaders", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("stemwright")), "serve", "--port", "0", "--data-dir", folder]
        with (
            Path(folder, "log").open("wb") as log,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as service,
        ):
            try:
                assert service.stdout is not None
                url = service.stdout.readline().split()[-1]
                took, jobs = asyncio.run(load(url, args.pollers, args.uploaders, args.seconds))
            except BaseException:
                print(Path(folder, "log").read_text()[-3000:], file=sys.stderr)
                raise
            finally:
                service.terminate()
    took.sort()
    shown = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "longest": 1.0}
    words = "  ".join(
        f"{name} {1000 * took[min(len(took) - 1, int(at * len(took)))]:.1f} ms" for name, at in shown.items()
    )
    print(f"{len(took)} status calls by {args.pollers} pollers, {jobs} uploads by {args.uploaders}: {words}")


async def load(url: str, pollers: int, uploaders: int, seconds: float) -> tuple[list[float], int]:
    """Seconds of every status call, and how many uploads there were beside."""
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60.0) as http:
        job_id = await upload(http, song(120.0))
        while (await http.get(f"/api/status/{job_id}")).json()["status"] == "queued":
            await asyncio.sleep(0.2)
        took: list[float] = []
        end = time.monotonic() + seconds

        async def poll() -> None:
            await asyncio.sleep(random.random())
            while time.monotonic() < end:
                began = time.perf_counter()
                (await http.get(f"/api/status/{job_id}")).raise_for_status()
                took.append(time.perf_counter() - began)
                await asyncio.sleep(1.0)

        async def keep_uploading() -> int:
            count = 0
            while time.monotonic() < end:
                await upload(http, song(20.0))
                count += 1
                await asyncio.sleep(2.0)
            return count

        _, uploads = await asyncio.gather(
            asyncio.gather(*(poll() for _ in range(pollers))),
            asyncio.gather(*(keep_uploading() for _ in range(uploaders))),
        )
        return took, sum(uploads)


async def upload(http: httpx2.AsyncClient, data: bytes) -> str:
    """The id of a new job."""
    answer = await http.post("/api/upload", files={"audio_file": ("noise.wav", data)}, data={"model": "pocket"})
    answer.raise_for_status()
    return str(answer.json()["job_id"])


def song(seconds: float) -> bytes:
    """A stereo wav file of noise, another one each time."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(random.randbytes(4 * round(seconds * RATE)))
    return data.getvalue()


if __name__ == "__main__":
    main()
