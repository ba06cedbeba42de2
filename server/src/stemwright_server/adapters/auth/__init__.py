"""Who calls: adapters of ``ports.auth``."""
