"""Prints the lock: the version of everything installed in this environment, but for our own projects and torch's build."""

from __future__ import annotations

from importlib.metadata import distributions

OURS = "stemwright"  # so begin the names of our own projects
TOOLS = {"pip", "setuptools", "wheel"}  # brought by the environment itself


def main() -> None:
    """One line each, sorted; a local version such as +cpu is left out, so that a GPU build fits as well."""
    found = {dist.metadata["Name"].lower().replace("_", "-"): dist.version.split("+")[0] for dist in distributions()}
    print("# Written by `make lock` or `make lock-services`: every version that is installed.")
    for name in sorted(found.keys() - TOOLS):
        if not name.startswith(OURS):
            print(f"{name}=={found[name]}")


if __name__ == "__main__":
    main()
