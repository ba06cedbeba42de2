"""``stemwright storage``."""

from __future__ import annotations

import argparse
import sys

from stemwright_server.cli.parsing import Subparsers


def add_storage(subparsers: Subparsers) -> None:
    """Add ``storage check``."""
    parser = subparsers.add_parser("storage", help="look after the bucket that the files lie in")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check", help="try everything that is done with the bucket", description=_storage_check.__doc__
    )
    check.add_argument("--create", action="store_true", help="create the bucket if it is not there")
    check.set_defaults(func=_storage_check)


def _storage_check(args: argparse.Namespace) -> int:
    """Try every operation on the bucket of the settings, with objects that are removed again. Needs S3_BUCKET."""
    from stemwright_server.settings.reading import read_settings

    settings = read_settings()
    from dataclasses import replace

    from stemwright_server.adapters.blobs.s3_check import check_bucket
    from stemwright_server.adapters.blobs.s3_service import S3Service
    from stemwright_worker.errors import ServiceError

    options = settings.s3_options()
    if options is None:
        print("stemwright: error: S3_BUCKET is not set: files lie in the data folder", file=sys.stderr)
        return 2
    try:
        service = S3Service(options)
        outside = S3Service(replace(options, endpoint=settings.s3_public_endpoint or options.endpoint))
        if args.create:
            service.create_bucket()
        print(options.place)
        failed = 0
        for tried in check_bucket(service, outside=outside):
            word = "ok" if tried.error is None else "FAILED" if tried.needed else "not here"
            print(f"  {word:8}  {tried.operation}" + (f": {tried.error}" if tried.error else ""), flush=True)
            failed += tried.error is not None and tried.needed
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    print("The bucket can be used." if not failed else f"{failed} of these the service cannot do without.")
    return 1 if failed else 0
