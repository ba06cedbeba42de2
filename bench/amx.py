"""How closely a segment agrees that is computed in bfloat16 with the kernels for AMX, also on processors that have none.

    python bench/amx.py

Elsewhere than on a processor with AMX the emulator of the tests stands for it, which takes a few minutes, and says how
many instructions a segment took. Says nothing of speed. The network is not compiled.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "engine" / "tests" / "support"


def in_its_process(compiler: str) -> None:
    """Compute the segment in a process that has AMX. Raises SystemExit where there can be none."""
    sys.path.append(str(SUPPORT))
    import tiles

    if (why := tiles.reason_not_to_try(compiler)) is not None:
        raise SystemExit(why)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**tiles.environment(compiler, Path(folder)), "STEMWRIGHT_AMX_COUNTS": "1"}
        subprocess.run([sys.executable, __file__, compiler, folder], env=environment, check=True)


def segment(compiler: str, folder: Path) -> None:
    """Print how closely one segment agrees with plain float32: by torch's own bfloat16, and with the kernels."""
    sys.path.append(str(SUPPORT))
    import tiles
    import torch
    from sounds import htdemucs, save

    from stemwright.backends import fused, operators
    from stemwright.backends.eager import EagerNetwork
    from stemwright.backends.measure import agreement_db, example
    from stemwright.checkpoints.files import load_network

    file = save(htdemucs(), folder, "released")
    fused._instructions = lambda: tiles.OPTIONS  # type: ignore[attr-defined]
    fused.build(compiler, folder)
    right = fused.that_are_right(folder, torch.bfloat16)
    operators.load(folder)
    plain, low = EagerNetwork(load_network(file)), load_network(file)
    mix = example(plain)
    expected, network = plain(mix), EagerNetwork(low, precision="bf16")
    print(f"torch's own bfloat16: {agreement_db(expected, network(mix)):.1f} dB", flush=True)
    fused.fuse(low, tuple(right))
    print(f"with {', '.join(sorted(right))} in tiles: {agreement_db(expected, network(mix)):.1f} dB", flush=True)


def main() -> None:
    """Without arguments, from outside; with a compiler and a folder, inside."""
    if len(sys.argv) == 3:
        segment(sys.argv[1], Path(sys.argv[2]))
    else:
        from stemwright.backends.compiled import compiler

        if (found := compiler()) is None:
            raise SystemExit("there is no C++ compiler here")
        in_its_process(found)


if __name__ == "__main__":
    main()
