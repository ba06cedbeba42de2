"""The model registry: which models there are, where their files lie, how they are fetched and read.

    manifest   what is known of Demucs's released models: files, hashes, licence
    catalogue  all models that can be had here, by name
    hub        fetching, with the hash checked
    files      reading a checkpoint without running code from it

The first three need no torch, so that a list of models answers at once and a server can ask for one.
"""

from stemwright.checkpoints.catalogue import catalogue, find
from stemwright.checkpoints.model_info import Member, ModelInfo

__all__ = ["Member", "ModelInfo", "catalogue", "find"]
