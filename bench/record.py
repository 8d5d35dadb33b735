"""The record of what the scripts beside it measured: a line of JSON per run, to be compared over time.

    bench/results/<name>.jsonl

A line says when, on what machine, with which versions and settings and of which code the figures are. It
names no host, no user and no path: a setting that is one is left out.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("torch", "torchvision", "timm", "numpy", "onnxruntime", "lmdb", "pillow")
_STARTED = time.perf_counter()


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add ``--results``, the folder that :func:`record` writes to."""
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the JSON lines (default: bench/results)"
    )


def record(name: str, figures: Any, options: argparse.Namespace) -> Path:
    """Append a line to ``<name>.jsonl``.

    Args:
        name: Of the script, without its suffix.
        figures: What was measured, as JSON can hold it; names carry units.
        options: What the script was asked for: its settings, and ``results``, the folder.

    Returns:
        The file.
    """
    path: Path = options.results / f"{name}.jsonl"
    settings = {key: value for key, value in vars(options).items() if value is not None and _is_plain(value)}
    line = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(Path(__file__).parent),
        "machine": machine(),
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
        "load": round(os.getloadavg()[0], 1),
        "versions": versions(),
        "settings": settings,
        "seconds": round(time.perf_counter() - _STARTED, 1),
        "figures": _rounded(figures),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


def code_version(folder: Path) -> str:
    """Return the commit of a folder's work tree, with ``-dirty`` after it if files differ from it."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def machine() -> str:
    """Describe the processor as docs/benchmarks.md does: cores, architecture, instructions that count."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        flags = ""
    known = {"avx512f": "AVX-512", "avx512_bf16": "bfloat16", "amx_tile": "AMX", "asimd": "NEON"}
    parts = [name for flag, name in known.items() if f" {flag} " in flags]
    return ", ".join([f"{os.cpu_count()} cores", platform.machine(), *parts])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose speed shows."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _is_plain(value: Any) -> bool:
    """Tell a setting from a path."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, int | float) or (isinstance(value, str) and os.sep not in value)


def _rounded(value: Any) -> Any:
    """Round numbers to six digits that count."""
    if isinstance(value, dict):
        return {str(key): _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
