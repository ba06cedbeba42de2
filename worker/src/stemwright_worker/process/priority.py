"""How a worker process gives way to those who answer requests."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def give_way(nice: int) -> None:
    """Lower the priority of this process, the leader of a session of its own, by ``nice`` (0 to 19).

    Linux may schedule sessions as groups (autogroup): the nice value of a process then counts among its own session
    only, where there is nobody else, and the group has one of its own.
    """
    os.nice(nice)
    with suppress(OSError):  # another system, or one without such groups
        Path("/proc/self/autogroup").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))
