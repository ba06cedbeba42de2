"""The machine that computes: its processor, devices, memory, and what is kept for it between runs."""
