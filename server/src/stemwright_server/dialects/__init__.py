"""The HTTP APIs, one folder each, over the same use cases. None imports another."""
