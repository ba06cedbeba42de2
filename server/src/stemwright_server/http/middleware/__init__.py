"""The ASGI middleware of ours, one class a file. The order that they stand in is written in ``wiring/api.py``."""
