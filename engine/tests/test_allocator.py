"""Memory that is kept: what one segment freed is there for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LINUX = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2]) if sys.platform == "linux" else ()
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator than glibc's")

BEGIN = """
from pathlib import Path
from stemwright.allocator import fill_ahead, keep_freed_memory
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


@pytest.mark.skipif(LINUX < (5, 14), reason="Linux fills memory ahead since 5.14")
def test_memory_that_will_be_needed_is_filled_ahead_and_used() -> None:
    lines = """
keep_freed_memory()
before = resident()
fill_ahead(200 << 20).join()
filled = resident()
used = np.ones(150 << 17)  # 150 MB
print(before, filled, resident())
"""
    before, filled, used = printed(lines)
    assert filled - before >= 190
    assert used - filled <= 10


def test_nothing_is_filled_in_a_process_that_keeps_nothing() -> None:
    assert printed("print(int(fill_ahead(1 << 20) is None))") == [1]
