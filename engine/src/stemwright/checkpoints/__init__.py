"""The model registry: which models there are, where their files lie, how they are fetched and read.

    catalogue   all models that can be had here, by name, and the places they come from
    sources     the places: a folder, this package, the hub, another package
    checkpoint  the weights of one network on this machine
    header      what a checkpoint says of itself
    files       reading a checkpoint without running code from it
    manifest    what is known of Demucs's released models: files, hashes, licence

All but `files` need no torch, so that a list of models answers at once and a server can ask for one.
"""

from stemwright.checkpoints.catalogue import catalogue, find
from stemwright.checkpoints.model_info import Member, ModelInfo, OnFetch

__all__ = ["Member", "ModelInfo", "OnFetch", "catalogue", "find"]
