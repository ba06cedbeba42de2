"""The demo: the example song goes through the service, and its stems are compared with the true ones.

Starts the service on a free port, uploads the song over HTTP, waits for the stems, fetches them, and stops all it started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np

from stemwright.audio import open_audio
from stemwright.evaluation import si_sdr

ROOT = Path(__file__).parents[1]
START_SECONDS = 60  # for the service to answer; it takes about one
JOB_SECONDS = 900


def main() -> int:
    """Run the demo; 0 when every stem came and is closer to the truth than the mix is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--song", type=Path, help="folder of a song with its true stems (default: the bundled example)")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo")
    parser.add_argument("--model", default="pocket")
    args = parser.parse_args()
    song = args.song or next(each.parent for each in sorted((ROOT / "examples").glob("*/mix.flac")))
    with tempfile.TemporaryDirectory() as data, service(Path(data)) as client:
        print(f"the service runs at {client.base_url}")
        job = separate(client, song / "mix.flac", args.model)
        files = fetch(client, job, args.out)
    print_report(job["report"])
    return print_scores(song, files)


@contextlib.contextmanager
def service(data: Path) -> Iterator[httpx.Client]:
    """A service on a free port, and a client for it; stopped at the end, whatever happens."""
    command = [
        str(Path(sys.executable).with_name("stemwright")),
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(data),
        "--log-level",
        "WARNING",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = next((word for line in process.stdout for word in line.split() if word.startswith("http://")), None)
        if url is None:
            raise SystemExit(f"the service ended at once, with exit code {process.wait()}")
        with httpx.Client(base_url=url.rstrip("/"), timeout=30) as client:
            wait_until_healthy(client)
            yield client
    finally:
        process.terminate()
        process.wait()


def wait_until_healthy(client: httpx.Client) -> None:
    """Wait for the first answer."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health").is_success:
                return
        time.sleep(0.05)
    raise SystemExit("the service does not answer")


def separate(client: httpx.Client, mix: Path, model: str) -> dict[str, Any]:
    """Upload, process, follow the progress; the finished job as `GET /status` gives it."""
    uploaded = checked(client.post("/upload", json={"filename": mix.name, "size": mix.stat().st_size}))
    with mix.open("rb") as stream:
        checked(client.put(uploaded["upload_url"], content=with_bar("uploading", stream, mix.stat().st_size)))
    request = {"file_id": uploaded["file_id"], "model": "demucs", "variation": model, "params": {"format": "flac"}}
    job_id = checked(client.post("/process", json=request))["job_id"]
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        status = checked(client.get(f"/status/{uploaded['file_id']}"))
        job: dict[str, Any] = next(each for each in status["jobs"] if each["job_id"] == job_id)
        if job["status"] != "completed":
            bar("separating", min(0.99, job["progress"]["percent"] / 100))
        else:
            bar("separating", 1)
            print()
            return job
        if job["status"] in {"failed", "canceled"}:
            raise SystemExit(f"\nthe job {job['status']}: {json.dumps(job.get('error'))}")
        time.sleep(0.2)
    raise SystemExit("\nthe job did not end in time")


def fetch(client: httpx.Client, job: dict[str, Any], out: Path) -> dict[str, Path]:
    """Download every stem."""
    out.mkdir(parents=True, exist_ok=True)
    files = {}
    for output in job["outputs"]:
        files[output["type"]] = file = out / Path(output["path"]).name
        with client.stream("GET", output["url"]) as response, file.open("wb") as target:
            response.raise_for_status()
            for block in response.iter_bytes():
                target.write(block)
        print(f"  {file}")
    return files


def print_report(report: dict[str, Any]) -> None:
    """The fidelity report, a line each."""
    print("fidelity report")
    total = report["seconds"]["total"]
    rows = {
        "length": f"{report['samples']} samples at {report['sample_rate']} Hz ({report['audio_seconds']:.1f} s)",
        "offset": f"{report['offset']} samples",
        "sum of the stems": f"within {report['residual_db']:.1f} dB of the mix",
        "joint gain": f"{report['joint_gain']:.3f}",
        "computed": f"{report['model']} on {report['device']}, {report['precision']}",
        "took": f"{total:.1f} s ({report['audio_seconds'] / total:.1f}x real time)",
    }
    for name, value in rows.items():
        print(f"  {name:17} {value}")


def print_scores(song: Path, files: dict[str, Path]) -> int:
    """How much closer to the true stem each separated one is than the mix."""
    mix = read(song / "mix.flac")
    print(f"{'stem':8} {'SI-SDR of the mix':>18} {'of the stem':>12} {'improvement':>12}")
    worse = 0
    for stem, file in sorted(files.items()):
        truth = read(song / f"{stem}.flac")
        before, after = si_sdr(truth, mix), si_sdr(truth, read(file))
        worse += after <= before
        print(f"{stem:8} {before:15.1f} dB {after:9.1f} dB {after - before:+9.1f} dB")
    return int(worse > 0 or not files)


def read(file: Path) -> np.ndarray:
    """A whole file, ``[2, samples]``."""
    with open_audio(file) as blocks:
        return np.concatenate(list(blocks), axis=-1)


def with_bar(label: str, stream: Any, size: int) -> Iterator[bytes]:
    """The bytes of a file, with a bar that shows how many have gone."""
    sent = 0
    while block := stream.read(1 << 16):
        yield block
        sent += len(block)
        bar(label, sent / size)
    print()


def bar(label: str, fraction: float) -> None:
    """Draw a progress bar, on a terminal again and again, in a pipe only when it is full."""
    if sys.stdout.isatty() or fraction >= 1:
        full = int(40 * fraction)
        print(f"\r{label:11} {'█' * full}{'░' * (40 - full)} {fraction:4.0%}", end="", flush=True)


def checked(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a good answer; the words of a bad one end the demo."""
    if response.is_error:
        raise SystemExit(
            f"{response.request.method} {response.request.url.path}: {response.status_code} {response.text}"
        )
    return dict(response.json()) if response.content else {}


if __name__ == "__main__":
    sys.exit(main())
