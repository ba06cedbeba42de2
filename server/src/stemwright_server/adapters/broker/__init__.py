"""What wakes workers up: adapters of ``ports.broker``."""
