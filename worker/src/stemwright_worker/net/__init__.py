"""Talking to addresses that are not to be trusted."""
