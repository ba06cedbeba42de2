"""The Makefile's targets around the service: what they run, and the one for development really started."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]


def make(*words: str) -> list[str]:
    """``make``, in the environment that the tests run in, which is not made again."""
    return [
        "make",
        "-C",
        str(ROOT),
        "--no-print-directory",
        f"VENV={sys.prefix}",
        "-o",
        f"{sys.prefix}/.tested",
        *words,
    ]


def plan(*words: str) -> str:
    """What ``make`` would run, on one line a command."""
    done = subprocess.run(make("-n", *words), capture_output=True, text=True, check=True)
    return done.stdout.replace("\\\n", " ")


def test_the_image_is_built_from_a_dockerfile_that_is_there_and_run_under_the_same_name() -> None:
    built = re.fullmatch(r"docker build -f (\S+) -t (\S+) \.\n", plan("server-build"))
    assert built is not None
    assert (ROOT / built[1]).is_file()
    run = plan("server-run")
    assert built[2] == "demucs-server:latest"  # the document's
    assert f" {built[2]} stemwright serve" in run
    assert "--name=demucs-server" in run
    assert "-p 127.0.0.1:8080:8080" in run  # the document's port, for this machine alone
    assert "other:1" in plan("server-build", "IMAGE=other:1")


def test_server_dev_watches_the_code_of_all_that_the_service_is_made_of() -> None:
    (command,) = (line for line in plan("server-dev").splitlines() if "watchfiles" in line)
    watched = command.rpartition("'")[2].split()
    assert {*watched} >= {f"{name}/src" for name in ("server", "worker", "engine", "services/demucs")}
    assert all((ROOT / each).is_dir() for each in watched)


def test_server_dev_serves_and_starts_again_when_the_code_changes(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    changed = tmp_path / "watched" / "code.py"
    changed.parent.mkdir()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            make("server-dev", f"PORT={port}", f"DATA={tmp_path / 'data'}", f"WATCHED={changed.parent}"),
            env={**os.environ, "STEMWRIGHT_WORKERS": "0"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _until(lambda: _answers(port), process, tmp_path)
        starts = _starts(tmp_path)
        changed.touch()
        _until(lambda: _starts(tmp_path) > starts and _answers(port), process, tmp_path)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _starts(folder: Path) -> int:
    return (folder / "log").read_text(errors="replace").count("Stemwright listens on")


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _until(condition: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, (folder / "log").read_text(errors="replace")
        assert time.monotonic() < deadline, (folder / "log").read_text(errors="replace")
        time.sleep(0.1)
