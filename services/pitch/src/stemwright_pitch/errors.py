"""What goes wrong on purpose, with the code that the job's error has."""

from __future__ import annotations


class PitchError(Exception):
    """A recording that cannot be analysed, or a model that is not here. Trying again changes nothing."""

    retryable = False

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
