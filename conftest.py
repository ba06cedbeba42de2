"""For every test of the repository."""

import fcntl
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Two threads on two busy cores wait for each other; small networks gain nothing from them. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on the machine and on what else it does; no test asserts a time.
# The same examples in every run, so that a run tells of the change it runs for; others are looked for in `make chaos`.
settings.register_profile("stemwright", deadline=None, derandomize=os.environ.get("STEMWRIGHT_CHAOS") != "long")
settings.load_profile("stemwright")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test marked `alone` waits until the other processes' tests are done, and they wait for it; it keeps none out for long."""
    cache = getattr(item.config, "cache", None)
    if cache is None:  # turned off for tests that a test runs
        return (yield)
    folder = cache.mkdir("alone")
    with (folder / "next").open("w") as following, (folder / "running").open("w") as running:
        fcntl.flock(following, fcntl.LOCK_EX)  # who waits to be alone holds it, so that nobody else begins meanwhile
        fcntl.flock(running, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        fcntl.flock(following, fcntl.LOCK_UN)
        return (yield)
