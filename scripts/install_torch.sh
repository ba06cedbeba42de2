#!/bin/sh
# Installs the pinned torch, without CUDA unless this machine has a GPU. What else it needs is installed before, from a lock.
# Its hash is not looked at: the index of PyTorch and that of PyPI have different builds of it under one version.
#   install_torch.sh PIP [FILE]
# FILE says which: a line torch==VERSION of it, which may be a comment (as in a lock); requirements/torch.txt if none is named.
# TORCH_INDEX names another index (see https://pytorch.org/get-started/locally) and wins over what is found out here.
set -eu
pip=$1
pin=$(sed -n 's/^\(# \)\{0,1\}torch==//p' "${2:-$(dirname "$0")/../requirements/torch.txt}")

if "${pip%pip}python" -c "import torch; assert torch.__version__.split('+')[0] == '$pin'" 2>/dev/null; then
    exit 0
fi
if [ -n "${TORCH_INDEX:-}" ]; then
    exec "$pip" install -q --extra-index-url "$TORCH_INDEX" "torch==$pin"
fi
if command -v nvidia-smi >/dev/null 2>&1 || [ "$(uname -s)" != Linux ]; then
    exec "$pip" install -q "torch==$pin"
fi
# A CPU build that the machine's own pip settings know of; else the one that PyTorch publishes.
"$pip" install -q "torch==$pin+cpu" 2>/dev/null ||
    exec "$pip" install -q --extra-index-url https://download.pytorch.org/whl/cpu "torch==$pin+cpu"
