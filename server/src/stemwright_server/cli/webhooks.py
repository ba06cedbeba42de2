"""``stemwright webhooks``: what waits to be sent, what is dead, and sending it again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright_server.cli.job_store import with_jobs
from stemwright_server.cli.parsing import Subparsers

if TYPE_CHECKING:
    from stemwright_server.domain.delivery import Delivery
    from stemwright_server.ports.jobs import JobRepository

_MOST = 100_000


def add_webhooks(subparsers: Subparsers) -> None:
    """Add ``webhooks``."""
    parser = subparsers.add_parser("webhooks", help="list webhooks, and send dead ones again", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="those that wait and those that are dead", description=_list.__doc__)
    listing.add_argument("--state", choices=("pending", "delivered", "dead"), help="only these")
    listing.add_argument("--limit", type=int, default=1000, help="at most so many, the newest first (default: 1000)")
    replaying = actions.add_parser("replay", help="send again", description=_replay.__doc__)
    which = replaying.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", help="the webhook-id, msg_...")
    which.add_argument("--all-dead", action="store_true", help="every dead letter")
    for action, function in ((listing, _list), (replaying, _replay)):
        action.add_argument("--data-dir", type=Path, help="folder of the service (default: ./data)")
        action.set_defaults(func=with_jobs, action=function)


def _list(args: argparse.Namespace, repository: JobRepository, _now: float) -> int:
    """One line each: id, state, tries, the last answer, when it was made, when it is tried next, and why it failed."""
    from stemwright_server.domain.delivery import DeliveryState

    wanted = DeliveryState(args.state) if args.state else None
    for delivery in repository.deliveries(state=wanted, limit=args.limit):
        if wanted is not None or delivery.state is not DeliveryState.DELIVERED:
            print(_line(delivery))
    return 0


def _line(delivery: Delivery) -> str:
    from stemwright_worker.timestamp import timestamp

    waits = delivery.state == "pending"
    words = [
        delivery.id,
        delivery.state.value,
        f"tries={delivery.tries}",
        f"status={delivery.status or '-'}",
        f"created={timestamp(delivery.created_at)}",
        f"next={timestamp(delivery.due_at) if waits else '-'}",
        delivery.error or "",
    ]
    return "  ".join(words).rstrip()


def _replay(args: argparse.Namespace, repository: JobRepository, now: float) -> int:
    """Send webhooks again, from the first try: the same bytes under the same id. The running service does so."""
    from stemwright_server.domain.delivery import DeliveryState

    if args.all_dead:
        dead = repository.deliveries(state=DeliveryState.DEAD, limit=_MOST)
        count = sum(repository.replay_delivery(each.id, now) for each in dead)
        print(f"{count} webhooks will be sent again")
        return 0
    if repository.replay_delivery(args.id, now):
        print(f"{args.id} will be sent again")
        return 0
    known = repository.delivery(args.id)
    reason = "it is under way" if known is not None else "there is none of this id"
    print(f"stemwright: error: {args.id} is not sent again: {reason}", file=sys.stderr)
    return 1
