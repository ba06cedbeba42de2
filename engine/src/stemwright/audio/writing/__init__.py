"""Samples to files: a stream of blocks in, a complete file out, or no file at all."""
