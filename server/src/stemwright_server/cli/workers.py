"""``stemwright workers``: which workers there are and what they do; taking some out without cutting a job off."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright_server.cli.job_store import with_jobs
from stemwright_server.cli.parsing import Subparsers

if TYPE_CHECKING:
    from stemwright_server.domain.worker_health import WorkerHealth
    from stemwright_server.ports.jobs import JobRepository


def add_workers(subparsers: Subparsers) -> None:
    """Add ``workers``."""
    parser = subparsers.add_parser("workers", help="list workers, and drain some of them", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="those that were heard of lately", description=_list.__doc__)
    draining = actions.add_parser("drain", help="give them no new jobs", description=_drain.__doc__)
    resuming = actions.add_parser("resume", help="take a drain back", description=_resume.__doc__)
    for action in (draining, resuming):
        action.add_argument("prefix", metavar="WORKER", help="an id, or how ids begin: HOST- is all of a host")
    for action, function in ((listing, _list), (draining, _drain), (resuming, _resume)):
        action.add_argument("--data-dir", type=Path, help="folder of the service (default: ./data)")
        action.set_defaults(func=with_jobs, action=function)


def _list(_args: argparse.Namespace, repository: JobRepository, now: float) -> int:
    """One line each: id, idle or its job, drained or open or set aside and why, device, services, when it was heard of."""
    busy = {job.worker: job.id for job in repository.running()}
    drained = repository.drained_workers()
    ailing = {each.worker: each for each in repository.ailing_workers()}
    for each in repository.seen_workers():
        words = [
            each.worker,
            f"job={busy[each.worker]}" if each.worker in busy else "idle",
            _place(each.worker, drained, ailing.get(each.worker), now),
            f"device={each.device}",
            f"services={','.join(each.services)}",
            f"heard={max(0.0, now - each.seen_at):.0f}s",
        ]
        print("  ".join(words))
    for prefix in drained:
        if not any(each.worker.startswith(prefix) for each in repository.seen_workers()):
            print(f"{prefix}  drained, and no worker of it is there")
    return 0


def _place(worker: str, drained: Sequence[str], health: WorkerHealth | None, now: float) -> str:
    """What it gets."""
    if any(worker.startswith(prefix) for prefix in drained):
        return "drained"
    if health is not None and health.is_aside(now):
        return f"set-aside={health.aside_until - now:.0f}s  code={health.code}"
    return "open" if health is None or not health.on_trial else f"on-trial  code={health.code}"


def _drain(args: argparse.Namespace, repository: JobRepository, now: float) -> int:
    """Give workers no new jobs; what they run goes on. Workers that start later under the same prefix are drained too.

    Once `stemwright workers list` says idle, stop them: no job is cut off.
    """
    if not args.prefix:
        print("stemwright: error: name a worker, or how the ids of some begin", file=sys.stderr)
        return 2
    repository.drain_workers(args.prefix, now)
    count = sum(each.worker.startswith(args.prefix) for each in repository.seen_workers())
    print(f"{count} workers get no new jobs")
    return 0


def _resume(args: argparse.Namespace, repository: JobRepository, _now: float) -> int:
    """Let workers get jobs again: the very word that was given to `drain`."""
    if repository.resume_workers(args.prefix):
        print(f"{args.prefix} gets jobs again")
        return 0
    drained = ", ".join(repository.drained_workers()) or "none"
    print(f"stemwright: error: {args.prefix} is not drained; drained: {drained}", file=sys.stderr)
    return 1
