"""What is played and sung in a recording, for Stemwright's workers. Light: nothing slow is imported before `prepare`."""

from stemwright_pitch.pitch_service import Pitch

__all__ = ["service"]

service = Pitch()
