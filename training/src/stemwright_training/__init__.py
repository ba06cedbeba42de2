"""Synthetic songs with true stems, and the training run of the small model that ships with Stemwright."""
