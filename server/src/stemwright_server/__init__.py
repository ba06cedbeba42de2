"""Jobs for stem separation: an HTTP API, a queue of record and workers. Never imports torch."""
