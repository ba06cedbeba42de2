"""Where files lie: adapters of ``ports.blobs``."""
