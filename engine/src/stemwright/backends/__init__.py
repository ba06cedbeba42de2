"""What computes a network: torch as it is, a network compiled for this machine, or OpenVINO.

All of them are `stemwright.models.network.Network`: arrays in, arrays out. What only one of them can do stays in its module.
"""
