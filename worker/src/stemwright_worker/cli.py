"""``stemwright-worker``: runs workers on a machine that has services and nothing of the server."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 after one line on stderr that says what was wrong."""
    parser = argparse.ArgumentParser(prog="stemwright-worker", description=__doc__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="take tasks from a service", description=_run.__doc__)
    run.add_argument("--api", metavar="URL", help="where the service listens (default: http://127.0.0.1:8080)")
    run.add_argument("--device", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    run.add_argument("--work-dir", type=Path, help="folder for files of the task at hand (default: a temporary one)")
    run.add_argument("--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default: INFO")
    run.set_defaults(func=_run)
    describe = commands.add_parser("describe", help="print what services offer", description=_describe.__doc__)
    describe.add_argument("names", nargs="*", metavar="SERVICE", help="only these (default: all)")
    describe.set_defaults(func=_describe)
    args = parser.parse_args(argv)
    code: int = args.func(args)
    return code


def _run(args: argparse.Namespace) -> int:
    """Take tasks from a service and run them here, one process for each device.

    Needs STEMWRIGHT_WORKER_SECRET, the same as the service has. Other settings come from the environment too: see
    docs/settings.md.
    """
    from stemwright_worker.settings import WorkerSettings
    from stemwright_worker.settings.reading import end, read_section

    settings = read_section(
        WorkerSettings, device=args.device, log_level=args.log_level, api_url=args.api, work_dir=args.work_dir
    )
    if settings.worker_secret is None:
        end("set STEMWRIGHT_WORKER_SECRET to the one that the service has")
    from stemwright_worker.errors import ServiceError
    from stemwright_worker.process.environments import find_environments
    from stemwright_worker.process.work_folder import keep_files_private
    from stemwright_worker.telemetry import configure_logging
    from stemwright_worker.workers import run_workers

    configure_logging(settings.log_threshold)
    keep_files_private()
    try:
        run_workers(settings, find_environments(settings.services_path or ""))
    except ServiceError as error:
        end(str(error))
    return 0


def _describe(args: argparse.Namespace) -> int:
    """Print what the services of this environment offer, as the JSON that a worker announces, unsigned and unhashed.

    One that cannot say it is left out, and the reason stands on stderr.
    """
    from stemwright_worker.process.parent_death import die_with_parent

    die_with_parent()  # nobody else wants the answer
    answer = os.dup(1)
    os.dup2(2, 1)  # what a service prints is no part of the answer
    import json
    from dataclasses import asdict

    from stemwright_worker.contract.tasks import Announcement
    from stemwright_worker.installed import InstalledServices
    from stemwright_worker.telemetry import configure_logging

    configure_logging("INFO")
    services = InstalledServices.find(args.names).descriptions()
    announcement = Announcement(worker="", services=services, described="", nonce="")
    with os.fdopen(answer, "w") as out:
        out.write(
            json.dumps(asdict(announcement)) + "\n"
        )  # the codec takes a quarter of the time to import; `serve` waits
    return 0


if __name__ == "__main__":
    sys.exit(main())
