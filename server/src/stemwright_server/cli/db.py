"""``stemwright db``: the revision of the job store, bringing it forward, and a copy of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from stemwright_server.cli.parsing import Subparsers

if TYPE_CHECKING:
    from sqlalchemy import Engine


def add_db(subparsers: Subparsers) -> None:
    """Add ``db``."""
    parser = subparsers.add_parser("db", help="look after the job store", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    status = actions.add_parser("status", help="which revision the store has", description=_status.__doc__)
    upgrade = actions.add_parser("upgrade", help="bring the store forward", description=_upgrade.__doc__)
    backup = actions.add_parser("backup", help="copy the store while it is in use", description=_backup.__doc__)
    backup.add_argument("file", type=Path, metavar="FILE", help="the copy; must not exist")
    for action, function in ((status, _status), (upgrade, _upgrade), (backup, _backup)):
        action.add_argument("--data-dir", type=Path, help="folder of the service (default: ./data)")
        action.set_defaults(func=_with_engine, action=function)


def _with_engine(args: argparse.Namespace) -> int:
    """The store that the service uses; it may be running."""
    from stemwright_server.settings.reading import read_settings

    settings = read_settings(data_dir=args.data_dir)
    from sqlalchemy.exc import DBAPIError

    from stemwright_server.adapters.jobs.schema import place
    from stemwright_server.wiring.stores import job_engine
    from stemwright_worker.errors import ServiceError
    from stemwright_worker.telemetry import configure_logging

    configure_logging("WARNING")  # what is done is printed
    try:
        engine = job_engine(settings)
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    try:
        if not settings.on_postgres and not Path(str(engine.url.database)).exists():
            print(f"stemwright: error: there is no job store at {place(engine)}; say --data-dir", file=sys.stderr)
            return 2
        return int(args.action(args, engine))
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        print(f"stemwright: error: the job store in {place(engine)} cannot be used: {said}", file=sys.stderr)
        return 2
    finally:
        engine.dispose()


def _status(_args: argparse.Namespace, engine: Engine) -> int:
    """Print where the store is and which revision it has. Changes nothing.

    Beside it: the last revision that this version knows, the migrations that are still to be run, and how many jobs are in
    each state.
    """
    from stemwright_server.adapters.jobs.schema import HEAD, status

    found = status(engine)
    by = f", made by stemwright-server {found.made_by}" if found.made_by else ""
    print(f"store: {found.place}")
    print(f"revision: {found.revision or 'none: it is empty'}{by}")
    print(f"this version: {HEAD}{', which is older than the store' if found.newer else ''}")
    print(f"pending: {', '.join(found.pending) or 'none'}")
    print("jobs: " + (", ".join(f"{count} {state}" for state, count in sorted(found.jobs.items())) or "none"))
    return 0


def _upgrade(_args: argparse.Namespace, engine: Engine) -> int:
    """Run the migrations that are still to be run, as a start of the service does. It may be running.

    A SQLite store is copied first, beside itself; make a backup of PostgreSQL before.
    """
    from stemwright_server.adapters.jobs.schema import HEAD, bring_forward, place

    done = bring_forward(engine)
    if done is None:
        print(f"{place(engine)} has revision {HEAD}: there is nothing to do")
        return 0
    if done.copy is not None:
        print(f"{done.copy} is the store as it was")
    print(f"{place(engine)} has revision {done.after} now; before: {done.before or 'none, it was empty'}")
    return 0


def _backup(args: argparse.Namespace, engine: Engine) -> int:
    """Write a consistent copy of the store to FILE. The service may be running.

    FILE is a SQLite database, or a dump of PostgreSQL for pg_restore (by pg_dump, which has to be installed). Files of songs
    and stems are not in it.
    """
    from stemwright_server.adapters.jobs.backup import back_up
    from stemwright_worker.process.work_folder import keep_files_private

    keep_files_private()  # it holds signed URLs
    back_up(engine, args.file)
    print(f"{args.file} is a copy of the job store")
    return 0
