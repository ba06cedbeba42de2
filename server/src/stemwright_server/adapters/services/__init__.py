"""What services offer: adapters of ``ports.planner``."""
