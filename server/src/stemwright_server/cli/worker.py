"""``stemwright worker``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from stemwright_server.cli.parsing import Subparsers, add_log_level


def add_worker(subparsers: Subparsers) -> None:
    """Add ``worker``."""
    parser = subparsers.add_parser("worker", help="run workers for a service elsewhere", description=_worker.__doc__)
    parser.add_argument("--api", metavar="URL", help="where the service listens (default: http://127.0.0.1:8080)")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    parser.add_argument("--work-dir", type=Path, help="folder for files of the task at hand (default: a temporary one)")
    add_log_level(parser)
    parser.set_defaults(func=_worker)


def _worker(args: argparse.Namespace) -> int:
    """Take tasks from a service and run them here, one process for each device.

    Needs STEMWRIGHT_WORKER_SECRET, the same as the service has.
    """
    from stemwright_server.settings.reading import read_settings

    settings = read_settings(device=args.device, log_level=args.log_level, api_url=args.api, work_dir=args.work_dir)
    if settings.worker_secret is None:
        print("stemwright: error: set STEMWRIGHT_WORKER_SECRET to the one that the service has", file=sys.stderr)
        return 2
    from stemwright_worker.errors import ServiceError
    from stemwright_worker.process.environments import find_environments
    from stemwright_worker.process.work_folder import keep_files_private
    from stemwright_worker.telemetry import configure_logging
    from stemwright_worker.workers import run_workers

    configure_logging(settings.log_threshold)
    keep_files_private()
    try:
        run_workers(settings, find_environments(settings.services_path))
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    return 0
