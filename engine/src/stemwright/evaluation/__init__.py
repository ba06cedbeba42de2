"""How good a separation is, given the true stems."""

from stemwright.evaluation.metrics import si_sdr, usdr

__all__ = ["si_sdr", "usdr"]
