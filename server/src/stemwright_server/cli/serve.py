"""``stemwright serve``."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path

from stemwright_server.cli.parsing import Subparsers, add_log_level


def add_serve(subparsers: Subparsers) -> None:
    """Add ``serve``."""
    parser = subparsers.add_parser("serve", help="run the service: HTTP API and workers", description=_serve.__doc__)
    parser.add_argument("--host", help="address to listen on (default: HOST, or 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="port to listen on, 0 for a free one (default: PORT, or 8080)")
    parser.add_argument("--data-dir", type=Path, help="folder for jobs, uploads and stems (default: ./data)")
    parser.add_argument("--insecure", action="store_true", help="listen beyond this machine without authentication")
    add_log_level(parser)
    parser.set_defaults(func=_serve)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


def _serve(args: argparse.Namespace) -> int:
    """Run the HTTP API and its workers on this machine.

    Settings come from the environment and from `.env` in the current folder; see docs/settings.md.
    """
    gc.disable()  # until all is imported: a tenth of the time to the start; ``serve`` turns it on
    from stemwright_server.settings.reading import read_settings

    settings = read_settings(data_dir=args.data_dir, log_level=args.log_level, host=args.host, port=args.port)
    from stemwright_worker.process.environments import Inquiry, find_environments
    from stemwright_worker.telemetry import configure_logging

    configure_logging(settings.log_threshold)
    inquiry = Inquiry(
        find_environments(settings.services_path), settings.models
    )  # they answer while the rest is imported
    from stemwright_server.processes.serve import serve
    from stemwright_worker.errors import ServiceError

    try:
        serve(settings, inquiry, host=settings.host, port=settings.port, insecure=args.insecure)
    except ServiceError as error:
        print(f"stemwright: error: {error}", file=sys.stderr)
        return 2
    return 0
