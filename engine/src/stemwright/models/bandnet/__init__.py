"""The small network of the `pocket` model."""
