"""Untrusted files to samples: what a file is, how long it says it is, and a process that decodes it."""
