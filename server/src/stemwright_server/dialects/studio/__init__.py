"""The orchestrator's API: upload, process, status, events."""
