"""The separation models, for Stemwright's workers. Light: torch is imported only in `prepare` and `load`."""

from stemwright_demucs.service import Demucs

__all__ = ["model"]

model = Demucs()
