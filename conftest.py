"""For every test of the repository."""

from hypothesis import settings

# How long an example takes depends on the machine and on what else it does; no test asserts a time.
settings.register_profile("stemwright", deadline=None)
settings.load_profile("stemwright")
