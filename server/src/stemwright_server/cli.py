"""``stemwright serve``, ``worker`` and ``storage``: parsers now, everything else when they run."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import Any

_Subparsers = Any  # argparse's own type for it is private


def add_serve(subparsers: _Subparsers) -> None:
    """Add ``serve``."""
    parser = subparsers.add_parser("serve", help="run the service: HTTP API and workers", description=_serve.__doc__)
    parser.add_argument("--host", help="address to listen on (default: HOST, or 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port to listen on, 0 for a free one (default: PORT, or 8080)")
    parser.add_argument("--data-dir", type=Path, help="folder for jobs, uploads and stems (default: ./data)")
    parser.add_argument("--insecure", action="store_true", help="listen beyond this machine without authentication")
    parser.add_argument(
        "--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default: INFO"
    )
    parser.set_defaults(func=_serve)


def add_worker(subparsers: _Subparsers) -> None:
    """Add ``worker``."""
    parser = subparsers.add_parser("worker", help="run workers for a service elsewhere", description=_worker.__doc__)
    parser.add_argument("--api", metavar="URL", help="where the service listens (default: http://127.0.0.1:8080)")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    parser.add_argument("--work-dir", type=Path, help="folder for files of the task at hand (default: a temporary one)")
    parser.add_argument(
        "--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default: INFO"
    )
    parser.set_defaults(func=_worker)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


def _serve(args: argparse.Namespace) -> int:
    """Run the HTTP API and its workers on this machine. Settings come from the environment and from `.env` in the current
    folder; see docs/settings.md.
    """
    gc.disable()  # until all is imported: a tenth of the time to the start; ``serve`` turns it on
    from stemwright_server.settings.reading import read_settings

    settings = read_settings(data_dir=args.data_dir, log_level=args.log_level, host=args.host, port=args.port)
    from stemwright_server.domain.errors import ServiceError
    from stemwright_server.serving import serve
    from stemwright_server.telemetry import configure_logging

    configure_logging(settings.log_threshold)
    try:
        serve(settings, host=settings.host, port=settings.port, insecure=args.insecure)
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    return 0


def _worker(args: argparse.Namespace) -> int:
    """Take tasks from a service and run them here, one process for each device. Needs STEMWRIGHT_WORKER_SECRET, the same
    as the service has.
    """
    from stemwright_server.settings.reading import read_settings

    settings = read_settings(device=args.device, log_level=args.log_level, api_url=args.api, work_dir=args.work_dir)
    if settings.worker_secret is None:
        print("stemwright: error: set STEMWRIGHT_WORKER_SECRET to the one that the service has", file=sys.stderr)
        return 2
    from stemwright_server.domain.errors import ServiceError
    from stemwright_server.telemetry import configure_logging
    from stemwright_server.working import work

    configure_logging(settings.log_threshold)
    try:
        work(
            settings, api_url=settings.api_url, secret=settings.worker_secret.get_secret_value(), root=settings.work_dir
        )
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    return 0


def add_storage(subparsers: _Subparsers) -> None:
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
    from stemwright_server.domain.errors import ServiceError

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
