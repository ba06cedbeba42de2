"""The command line. Parsers are built here; nothing heavy is imported before a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version

from stemwright.cli import evaluate as evaluate
from stemwright.cli import models, probe, split, streams
from stemwright.cli.failure import fail
from stemwright.cli.interrupts import Ended
from stemwright.errors import Canceled, StemwrightError

_BY_SIGNAL = 128  # and the signal's number: what shells say
_INTERRUPTED = 130  # what shells expect after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 2 after one line on stderr that says what was wrong."""
    streams.prepare()
    args = _parser().parse_args(argv)
    try:
        code: int = args.func(args)
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, Canceled) as error:
        streams.tell("stemwright: interrupted; nothing half-written is left")
        return _BY_SIGNAL + error.number if isinstance(error, Ended) else _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has ended
        streams.give_up(sys.stdout)
        return 0
    except OSError as error:
        if error.filename is not None:  # not the output: every command says itself what is wrong with its files
            raise
        streams.give_up(sys.stdout)
        return fail(f"the output cannot be written: {error.strerror or error}")
    except StemwrightError as error:
        return fail(str(error))


class _Parser(argparse.ArgumentParser):
    """Says a usage error in the same one line as every other error."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(fail(f"{message}; see `{self.prog} --help`"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="stemwright", description="Takes a mix apart into stems: vocals, drums, bass, other.")
    parser.add_argument("--version", action="version", version=f"stemwright {version('stemwright')}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for command in (split, models, probe, evaluate):
        command.add(subparsers)
    # What is installed beside the engine, such as the server, brings its own commands.
    for entry in sorted(entry_points(group="stemwright.commands"), key=lambda each: each.name):
        try:
            entry.load()(subparsers)
        except ImportError as error:  # a broken server must not keep songs from being separated
            print(f"stemwright: warning: the command {entry.name!r} is not available: {error}", file=sys.stderr)
    return parser
