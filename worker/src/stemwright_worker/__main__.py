"""A worker of ``stemwright serve``: ``python -m stemwright_worker``, configured by one JSON line on stdin."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from stemwright_worker.process.parent_death import end_with_parent
from stemwright_worker.process.priority import give_way
from stemwright_worker.telemetry import configure_logging
from stemwright_worker.wiring import build_worker


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # no buffer: the rest of stdin is the tether's
        if not byte:
            raise SystemExit("stemwright_worker: a worker is started by `stemwright serve`, not by hand")
        line += byte
    return line


def main() -> None:
    """Run until told to leave, or the parent is gone."""
    config = json.loads(_first_line())
    give_way(config.pop("nice"))
    end_with_parent()
    configure_logging(config.pop("log_level"))
    runtime = build_worker(**config | {"work_dir": Path(config["work_dir"])})
    signal.signal(signal.SIGTERM, runtime.leave)
    signal.signal(signal.SIGINT, runtime.leave)
    runtime.run()


if __name__ == "__main__":
    main()
