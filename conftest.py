"""For every test of the repository."""

import os

from hypothesis import settings

# Two threads on two busy cores wait for each other; small networks gain nothing from them. Set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on the machine and on what else it does; no test asserts a time.
# The same examples in every run, so that a run tells of the change it runs for; others are looked for in `make chaos`.
settings.register_profile("stemwright", deadline=None, derandomize=os.environ.get("STEMWRIGHT_CHAOS") != "long")
settings.load_profile("stemwright")
