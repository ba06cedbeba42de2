"""Commands on the job store of a service, which may be running."""

from __future__ import annotations

import argparse
import sys


def with_jobs(args: argparse.Namespace) -> int:
    """Open the job store that the service uses; it may be running."""
    from stemwright_server.settings.reading import read_settings
    from stemwright_server.wiring.stores import open_jobs
    from stemwright_worker.errors import ServiceError

    settings = read_settings(data_dir=args.data_dir)
    if settings.database_url is None and not (settings.data_dir / "stemwright.db").exists():
        print(f"stemwright: error: there is no job store in {settings.data_dir}; say --data-dir", file=sys.stderr)
        return 2
    try:
        repository, wakeups, clock = open_jobs(settings)
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    try:
        return int(args.action(args, repository, clock()))
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    finally:
        wakeups.close()
        repository.close()
