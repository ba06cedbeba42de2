"""The separation models, for Stemwright's workers. Light: torch is imported only in `prepare` and `load`."""

from stemwright_demucs.separation_service import Demucs

__all__ = ["service"]

service = Demucs()
