"""For tests of the bars in docs/reliability.md: short in ``make test``, at full length in ``make chaos``."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TypeVar

from service import FAST_MODEL

LONG = os.environ.get("STEMWRIGHT_CHAOS") == "long"
PATIENCE = 3600.0 if LONG else 300.0  # seconds for a whole scenario: generous, the machine may be busy
V = TypeVar("V")


def scaled(short: V, long: V) -> V:
    """The first, or the second in ``make chaos``."""
    return long if LONG else short


def record(bar: str, **figures: object) -> None:
    """Say what was seen; shown by ``make chaos``, and on the page by hand."""
    print("CHAOS", json.dumps({"bar": bar, **figures}), flush=True)


@cache
def reaper() -> str:
    """The process that orphans fall to here: process 1, or a nearer one, such as the manager of a session."""
    orphan = "(sleep 0.2; exec sh -c 'echo $PPID') &"
    return subprocess.run(["sh", "-c", orphan], capture_output=True, text=True, check=True).stdout.strip()


def orphans() -> list[int]:
    """Worker processes of test services whose parent is gone."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            ours = b"-m\0stemwright_server\0" in command or b"stemwright_server.queues" in command
            if ours and str(FAST_MODEL).encode() in (folder / "environ").read_bytes():
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                found += [int(folder.name)] if parent in ("1", reaper()) else []
        except OSError:
            continue  # it ended while we looked
    return found
