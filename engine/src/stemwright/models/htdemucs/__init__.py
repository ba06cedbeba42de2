"""HTDemucs, for inference."""
