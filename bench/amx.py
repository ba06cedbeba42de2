"""How closely a segment agrees that is computed in bfloat16 with the kernels for AMX, also on processors that have none.

    python bench/amx.py
    python bench/amx.py attention

Elsewhere than on a processor with AMX the emulator of the tests stands for it, which takes a few minutes, and says how
many instructions a segment took: of all the kernels, or of those that are named. Says nothing of speed. The network is
not compiled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "engine" / "tests" / "support"


def in_its_process(compiler: str, kernels: list[str]) -> None:
    """Compute the segment in a process that has AMX. Raises SystemExit where there can be none."""
    sys.path.append(str(SUPPORT))
    import tiles

    if not tiles.can_be_tried():
        raise SystemExit("this processor has no AVX-512, which the kernels for AMX use beside it")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *kernels, "--inside", compiler, folder]
        subprocess.run(command, env=tiles.environment(compiler, Path(folder)), check=True)


def segment(compiler: str, folder: Path, kernels: Collection[str]) -> None:
    """Print how closely one segment agrees with plain float32: by torch's own bfloat16, and with the kernels."""
    sys.path.append(str(SUPPORT))
    import tiles
    import torch
    from inputs import htdemucs, save

    from stemwright.backends import fused, operators
    from stemwright.backends.eager import EagerNetwork
    from stemwright.backends.measure import agreement_db, example
    from stemwright.checkpoints.files import load_network

    file = save(htdemucs(), folder, "released")
    fused.build(compiler, folder, tiles.OPTIONS)
    right = fused.verify(folder, torch.bfloat16)
    if not (names := sorted(right.intersection(kernels or right))):
        raise SystemExit("none of these kernels is right here")
    os.environ["STEMWRIGHT_AMX_COUNTS"] = "1"  # only from here on: the trial is a process of its own
    operators.load(folder)
    plain, low = EagerNetwork(load_network(file)), load_network(file)
    mix = example(plain)
    expected, network = plain(mix), EagerNetwork(low, precision="bf16")
    print(f"torch's own bfloat16: {agreement_db(expected, network(mix)):.1f} dB", flush=True)
    fused.fuse(low.module, tuple(names))
    print(f"with {', '.join(names)} in tiles: {agreement_db(expected, network(mix)):.1f} dB", flush=True)


def main() -> None:
    """From outside, or inside with a compiler and a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help="only these of them (default: all)")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        segment(args.inside[0], Path(args.inside[1]), args.kernels)
        return
    from stemwright.backends import operators
    from stemwright.machine.machine import Machine

    if unknown := set(args.kernels) - set(operators.KERNELS):
        parser.error(f"no kernel: {', '.join(sorted(unknown))}; there are {', '.join(operators.KERNELS)}")
    if (found := Machine.here().compiler) is None:
        raise SystemExit("there is no C++ compiler here")
    in_its_process(found, args.kernels)


if __name__ == "__main__":
    main()
