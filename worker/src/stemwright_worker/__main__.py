"""``python -m stemwright_worker``: without arguments a worker process, configured by one JSON line on stdin.

With arguments, the commands of ``stemwright-worker``.
"""

from __future__ import annotations

import os
import signal
import sys


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # no buffer: the rest of stdin says when the parent ends
        if not byte:
            raise SystemExit("stemwright_worker: a worker process is started by a parent: `stemwright-worker run`")
        line += byte
    return line


def main() -> None:
    """Run tasks until told to leave, or the parent is gone."""
    from stemwright_worker.errors import ContractMismatch, Unavailable
    from stemwright_worker.process.parent_death import end_with_parent
    from stemwright_worker.process.priority import give_way
    from stemwright_worker.process.supervisor import CONTRACT_MISMATCH, FINISH, GPU_LOST
    from stemwright_worker.runtime import GpuLost
    from stemwright_worker.telemetry import configure_logging
    from stemwright_worker.wiring import build_worker, load_config

    config = load_config(_first_line())
    give_way(config.nice)
    end_with_parent()
    configure_logging(config.log_level)
    runtime = build_worker(config)
    signal.signal(signal.SIGTERM, runtime.leave)
    signal.signal(signal.SIGINT, runtime.leave)
    signal.signal(FINISH, runtime.finish)
    try:
        runtime.run()
    except ContractMismatch as error:
        print(f"stemwright_worker: error: {error}", file=sys.stderr)
        raise SystemExit(CONTRACT_MISMATCH) from None
    except GpuLost as error:
        print(f"stemwright_worker: error: the GPU is lost: {error}", file=sys.stderr)
        raise SystemExit(GPU_LOST) from None
    except Unavailable as error:
        print(f"stemwright_worker: error: {error}", file=sys.stderr)
        raise SystemExit(os.EX_UNAVAILABLE) from None


if __name__ == "__main__":
    if sys.argv[1:]:
        from stemwright_worker.cli import main as command

        raise SystemExit(command())
    main()
