"""`stemwright probe`: says what a file is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser("probe", help="say what an audio file is", description="Say what an audio file is.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Print what the file says about itself."""
    from stemwright.audio import probe

    info = probe(args.file)
    if args.json:
        cover = info.cover and {name: value for name, value in vars(info.cover).items() if name != "data"}
        print(json.dumps({"file": str(args.file), **vars(info), "tags": dict(info.tags), "cover": cover}, indent=2))
        return 0
    length = f"{info.duration:.3f} s" if info.duration is not None else "length not declared"
    rate = f", {info.bit_rate / 1000:.0f} kbit/s" if info.bit_rate else ""
    print(f"{args.file}: {info.codec} in {info.container}, {info.sample_rate} Hz, {info.channels} ch, {length}{rate}")
    if info.cover:
        print(f"  cover: {info.cover.mime}, {info.cover.width} x {info.cover.height}, {len(info.cover.data)} bytes")
    for name, value in info.tags.items():
        print(f"  {name}: {value}")
    return 0
