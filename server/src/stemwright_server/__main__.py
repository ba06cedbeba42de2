"""A worker of ``stemwright serve``: ``python -m stemwright_server``, configured by one JSON line on stdin."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from stemwright_server.bootstrap_worker import build_worker
from stemwright_server.telemetry import configure_logging
from stemwright_server.worker.priority import give_way
from stemwright_server.worker.tether import tie_to_parent


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # no buffer: the rest of stdin is the tether's
        if not byte:
            raise SystemExit("stemwright_server: a worker is started by `stemwright serve`, not by hand")
        line += byte
    return line


def main() -> None:
    """Run until told to leave, or the parent is gone."""
    config = json.loads(_first_line())
    give_way(config.pop("nice"))
    tie_to_parent()
    configure_logging(config.pop("log_level"))
    runtime = build_worker(**config | {"work_dir": Path(config["work_dir"])})
    signal.signal(signal.SIGTERM, runtime.leave)
    signal.signal(signal.SIGINT, runtime.leave)
    runtime.run()


if __name__ == "__main__":
    main()
