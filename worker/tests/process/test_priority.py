"""A worker gives way, by itself and as a group."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GROUPS = Path("/proc/sys/kernel/sched_autogroup_enabled")
SCRIPT = """
import os
from pathlib import Path
from stemwright_worker.process.priority import give_way
before = os.getpriority(os.PRIO_PROCESS, 0)
give_way(7)
print(min(19, before + 7), os.getpriority(os.PRIO_PROCESS, 0))
group = Path("/proc/self/autogroup")
print(group.read_text().split()[-1] if group.exists() else "")
"""


def _said() -> list[str]:
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.run(command, start_new_session=True, capture_output=True, text=True, check=True).stdout.split()


def test_a_process_lowers_its_own_priority() -> None:
    wanted, found, *_ = _said()
    assert found == wanted


@pytest.mark.skipif(
    not GROUPS.exists() or GROUPS.read_text().strip() != "1", reason="sessions are no groups of the scheduler here"
)
def test_its_session_has_the_same_priority_as_a_group() -> None:
    _, process, group = _said()
    assert group == process
