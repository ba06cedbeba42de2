"""What the tests start for themselves does not outlive them, however they end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from backing import RabbitMQ
from service import until

_HOLDER = """
import sys
sys.path.insert(0, sys.argv[1])
import backing

with backing.private_folder("rabbitmq") as folder:
    backing.RabbitMQ(folder)
    print(folder, flush=True)
    input()
"""


def test_a_test_run_that_is_killed_leaves_no_process_and_no_folder() -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(Path(__file__).with_name("support"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert RabbitMQ.name in folder.name
        assert processes_in(folder)
        holder.kill()
    until(lambda: not processes_in(folder) and not folder.exists(), what="nothing to be left")


def processes_in(folder: Path) -> list[str]:
    """Commands of the processes that were started for it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "comm").read_text().strip())
        except OSError:
            continue  # it ended while we looked, or is none of our business
    return found
