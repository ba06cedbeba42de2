"""What fetches callers' links: adapters of ``ports.sources``."""
