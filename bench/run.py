"""Measures the whole table side by side with demucs on this machine: `make bench`.

Some of it:

    python bench/run.py [--only ROW ...] [--seconds 60]

Prints the table, writes bench/results/<machine>.json and .svg, and the README's figures of that machine.
Rows that were not asked for keep their last figures.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from picture import draw
from rows import ROWS, Row
from table import markdown, quoted_in
from timing import NotMeasuredError

from stemwright.machine.processor import cpu_flags

_BUSY = 0.1  # of the processor; less is what a quiet system does anyway
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
# What keeps oneDNN, torch and MKL, ours and the peer's alike, to fewer instructions than the processor has.
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
ENVIRONMENT = {"avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"} if "amx_bf16" in cpu_flags() else {}, "avx2": AVX2}


def main() -> None:
    """Measure each row in a process of its own, and write what came out after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[row.key for row in ROWS], metavar="ROW", help="only these rows")
    parser.add_argument("--seconds", type=float, default=60, help="of audio (default: 60)")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.row:
        print(json.dumps(_measured(next(row for row in ROWS if row.key == args.row), args.seconds)))
        return
    machine = describe_machine()
    file = RESULTS / f"{slug(machine)}.json"
    known = json.loads(file.read_text())["rows"] if file.exists() else {}
    for row in ROWS:
        if args.only is None or row.key in args.only:
            print(f"{row.what} ...", file=sys.stderr, flush=True)
            known[row.key] = _in_process(row, args.seconds)
            write(file, machine, known)
    print(markdown(json.loads(file.read_text())))
    print(f"\nwritten: {file.relative_to(ROOT)}")


def describe_machine() -> dict[str, Any]:
    """What figures depend on."""
    import torch

    from stemwright.machine.machine import Machine
    from stemwright.machine.processor import version_of

    machine = Machine.here()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    kinds = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in cpu_flags()]
    return {
        "cpu": machine.cpu,
        "flags": kinds,
        "threads": machine.threads,
        "gpu": gpu,
        "versions": {name: version_of(name) for name in ("torch", "demucs", "openvino")},
    }


def slug(machine: dict[str, Any]) -> str:
    """A file name for a machine."""
    text = f"{machine['cpu']} {machine['threads']} threads {machine['gpu'] or ''}"
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("(r)", "")).strip("-")


def write(file: Path, machine: dict[str, Any], known: dict[str, Any]) -> None:
    """The results and their picture."""
    missing = {"value": None, "note": "not measured: not asked for yet on this machine"}
    rows = {row.key: known.get(row.key) or {**_described(row), **missing} for row in ROWS}
    results = {"machine": machine, "rows": rows}
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n")
    file.with_suffix(".svg").write_text(draw(results))
    readme = ROOT / "README.md"
    readme.write_text(quoted_in(readme.read_text(), file.relative_to(ROOT).as_posix(), results))


def _in_process(row: Row, seconds: float) -> dict[str, Any]:
    """A row that fails says so in its line and does not keep the others from being measured."""
    command = [sys.executable, __file__, "--row", row.key, "--seconds", str(seconds)]
    environment = {**os.environ, **ENVIRONMENT.get(row.key, {})}
    before = _processor_seconds()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    others = _share_of_others(before, _processor_seconds())
    if done.returncode != 0:
        return {**_described(row), "value": None, "note": f"not measured: the measurement ended with {done.returncode}"}
    result = dict(json.loads(done.stdout.splitlines()[-1]))
    in_processor_seconds = result.pop("processor", None)
    if result["value"] is not None and others > _BUSY:
        if row.wants_quiet:
            return {
                **result,
                "value": None,
                "note": f"not measured: others took {others:.0%} of the processor meanwhile",
            }
        if in_processor_seconds is not None:
            result["value"] = in_processor_seconds
            result["note"] += "; in processor seconds"
        result["note"] += f"; others took {others:.0%} of the processor meanwhile"
    return result


def _processor_seconds() -> tuple[float, float]:
    """What the processor has worked so far, stolen time included, and what of that our children had."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    except OSError:
        return 0.0, 0.0  # not Linux: nothing is said of others
    busy = sum(fields[:3]) + sum(fields[5:8])
    times = os.times()
    return busy / os.sysconf("SC_CLK_TCK"), times.children_user + times.children_system


def _share_of_others(before: tuple[float, float], after: tuple[float, float]) -> float:
    total, ours = after[0] - before[0], after[1] - before[1]
    return max(0.0, 1 - ours / total) if total > 0 else 0.0


def _measured(row: Row, seconds: float) -> dict[str, Any]:
    try:
        figure = row.measure(seconds)
    except NotMeasuredError as reason:
        return {**_described(row), "value": None, "note": f"not measured: {reason}"}
    processor = round(figure.processor, 3) if figure.processor is not None else None
    return {**_described(row), "value": round(figure.value, 3), "note": figure.note, "processor": processor}


def _described(row: Row) -> dict[str, Any]:
    fields = asdict(row)
    del fields["measure"], fields["key"], fields["wants_quiet"]
    return {**fields, "date": datetime.datetime.now(datetime.UTC).date().isoformat()}


if __name__ == "__main__":
    main()
