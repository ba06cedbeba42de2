"""``stemwright workers``: which workers there are and what they do; taking some out without cutting a job off."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright_server.cli.job_store import with_jobs
from stemwright_server.cli.parsing import Subparsers

if TYPE_CHECKING:
    from stemwright_server.domain.worker_health import WorkerHealth
    from stemwright_server.ports.jobs import JobRepository


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 366 * 86400


def add_workers(subparsers: Subparsers) -> None:
    """Add ``workers``."""
    parser = subparsers.add_parser("workers", help="list workers, and drain some of them", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="those that were heard of lately", description=_list.__doc__)
    draining = actions.add_parser("drain", help="give them no new jobs", description=_drain.__doc__)
    resuming = actions.add_parser("resume", help="take a drain back", description=_resume.__doc__)
    minting = actions.add_parser("token", help="make a worker's token", description=_token.__doc__)
    minting.add_argument(
        "--service",
        action="append",
        required=True,
        metavar="NAME",
        help="a service it works for; say it again for more",
    )
    minting.add_argument(
        "--ttl", type=_seconds, default="12h", help="how long it holds: 90s, 15m, 12h, 30d (default: 12h)"
    )
    minting.set_defaults(func=_token)
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


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and unit in _UNITS):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: a number and s, m, h or d")
    seconds = int(number[:12]) * _UNITS[unit]
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range: 1s to 366d")
    return seconds


def _token(args: argparse.Namespace) -> int:
    """Print a token for workers of some services, to be their STEMWRIGHT_WORKER_SECRET.

    It is made of the STEMWRIGHT_WORKER_SECRET that the service has, which is read from the environment or from `.env`.
    Workers with it get tasks of these services and of no other, until it is over.
    """
    from stemwright_server.settings.reading import end, read_settings
    from stemwright_worker.contract.worker_token import PREFIX, mint

    secret = read_settings().worker_secret
    if secret is None:
        end("set STEMWRIGHT_WORKER_SECRET to the one that the service has; a token is made of it")
    if secret.get_secret_value().startswith(PREFIX):
        end("STEMWRIGHT_WORKER_SECRET is a worker's token here, and of a token no other is made; set the service's own")
    try:
        print(mint(secret.get_secret_value(), services=args.service, expires_at=time.time() + args.ttl))
    except ValueError as error:
        end(str(error))
    return 0
