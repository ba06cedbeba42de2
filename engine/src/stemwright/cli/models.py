"""`stemwright models`: lists, pulls, warms and verifies models."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright.cli.failure import fail
from stemwright.errors import ModelError, OptionError, StemwrightError

if TYPE_CHECKING:
    from stemwright.checkpoints import ModelInfo


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the parser of this command."""
    parser = subparsers.add_parser("models", help="list, pull, warm and verify models", description="List models.")
    parser.add_argument("--models-path", "--repo", type=Path, metavar="DIR", help="folder of models of your own")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(func=run_list)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    for name, text, func in (
        ("list", "list all models, with their licences and where they lie", run_list),
        ("pull", "fetch models, so that they are there later without a network", run_pull),
        ("warm", "build and measure, ahead of time, what computes these models fastest on this machine", run_warm),
        ("verify", "compare the files of models with the published hashes, and load them", run_verify),
    ):
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name == "list":
            action.add_argument(
                "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
            )
        else:
            action.add_argument("names", nargs="+", metavar="NAME")
        action.add_argument("--models-path", "--repo", type=Path, metavar="DIR", default=argparse.SUPPRESS)
        action.set_defaults(func=func)


def run_list(args: argparse.Namespace) -> int:
    """Print every model that can be named."""
    from stemwright.checkpoints import catalogue

    rows = [_row(model) for model in catalogue(args.models_path)]
    if args.json:
        print(json.dumps({"models": rows}, indent=2))
        return 0
    for row in rows:
        size = f"{row['bytes'] / 1e6:.0f} MB" if row["bytes"] else "not on this machine yet"
        print(f"{row['name']}  [{', '.join(row['stems'])}]  {row['origin']}, {size}")
        print(f"    {row['description']}")
        print(f"    licence: {row['licence']}")
        for file in row["files"]:
            print(f"    {file}")
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """Fetch the files of models that are not here yet, or damaged."""
    from stemwright.checkpoints import find

    _in_lines(args)
    for name in args.names:
        model = find(name, args.models_path)
        for each in [model.source.renew(model, each, _say_on_stderr) for each in model.members]:
            print(each.path)
    return 0


def run_warm(args: argparse.Namespace) -> int:
    """Build every backend for the models' networks and measure them; the first song then needs no building."""
    from stemwright.backends.prepare import prepare
    from stemwright.checkpoints import find
    from stemwright.machine.cache import Busy
    from stemwright.machine.machine import Machine

    _in_lines(args)
    machine = Machine.here()
    for name in args.names:
        model = find(name, args.models_path)
        for member in model.members:
            checkpoint = model.source.obtain(model, member, _say_on_stderr)
            try:
                say = functools.partial(_say, f"{name} {member.signature}")
                made = prepare(checkpoint, say=say, machine=machine)
            except Busy:
                return fail(f"another process is preparing {name} already: wait until it is done")
            except OSError as error:
                return fail(f"the cache cannot be written: {error}; set STEMWRIGHT_CACHE to a folder that can")
            print(f"{name} {member.signature}: {'ready' if made else 'nothing to build: torch computes it as it is'}")
    return 0


def _say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _say(about: str, line: str) -> None:
    print(f"{about}: {line}", flush=True)


def run_verify(args: argparse.Namespace) -> int:
    """Check hashes and load; every model is tried, and the exit code tells whether one failed."""
    from stemwright.checkpoints import find

    _in_lines(args)
    code = 0
    for name in args.names:
        try:
            _verify(find(name, args.models_path))
        except StemwrightError as error:
            code = fail(str(error))
    return code


def _in_lines(args: argparse.Namespace) -> None:
    if args.json:
        raise OptionError("--json is for `stemwright models list`: what this action says is lines")


def _verify(model: ModelInfo) -> None:
    for member in model.members:
        checkpoint = model.source.cached(model, member)
        if checkpoint is None:
            raise ModelError(f"{model.name} is not on this machine: run `stemwright models pull {model.name}`")
        actual = checkpoint.checked_sha256()
        checkpoint.load()
        against = "as published" if checkpoint.published_sha256 else "no published hash to compare with"
        print(f"{model.name}: {checkpoint.path}: ok, sha256 {actual} ({against})")


def _row(model: ModelInfo) -> dict[str, Any]:
    found = [model.source.cached(model, member) for member in model.members]
    files = [checkpoint.path for checkpoint in found if checkpoint is not None]
    here = len(files) == len(model.members)
    return {
        "name": model.name,
        "description": model.description,
        "stems": list(model.sources),
        "origin": model.origin,
        "licence": model.licence,
        "networks": len(model.members),
        "bytes": (model.size or sum(file.stat().st_size for file in files)) if here else None,
        "files": [str(file) for file in files],
    }
