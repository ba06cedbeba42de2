"""The two commands of the server alone, as ``stemwright`` finds them: through the entry points, without the engine."""

import argparse
import sys
from importlib.metadata import entry_points


def main() -> int:
    parser = argparse.ArgumentParser(prog="stemwright")
    subparsers = parser.add_subparsers(required=True)
    for entry in entry_points(group="stemwright.commands"):
        if entry.value.startswith("stemwright_server."):
            entry.load()(subparsers)
    args = parser.parse_args()
    return int(args.func(args))


if __name__ == "__main__":
    sys.exit(main())
