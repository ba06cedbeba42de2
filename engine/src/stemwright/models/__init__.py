"""The networks.

    architecture   what is known of a kind of network, as one value
    registry       the kinds there are, one line for each
    network        what the engine asks of a network, whatever computes it
    bag            several networks whose outputs are averaged

Everything else is a folder or a file for each architecture. A new one is such a folder, and a line in `registry`.
"""
