"""Memory that is kept: what one segment freed is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")

BEGIN = """
from pathlib import Path
from stemwright.machine.allocator import keep_freed_memory
import numpy as np

def resident():
    fields = Path("/proc/self/status").read_text().split("RssAnon:")[1]
    return int(fields.split()[0]) >> 10  # MB
"""


def printed(lines: str) -> list[int]:
    """What a process of its own prints."""
    done = subprocess.run([sys.executable, "-c", BEGIN + lines], check=True, capture_output=True, text=True)
    return list(map(int, done.stdout.split()))


def test_what_is_freed_is_kept() -> None:
    before, kept = printed("keep_freed_memory(); before = resident(); np.ones(100 << 18); print(before, resident())")
    assert kept - before >= 200
