"""Which adapter stands behind which port. Nothing is connected at import."""
