"""What is said of an export: on the screen, and in the README beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from showtell.console import human_bytes

_SCORES = {"cider_d": "CIDEr-D", "accuracy": "accuracy"}


def check_lines(about: Mapping[str, Any], folder: Path) -> list[str]:
    """Say what the check found, and what the files cost.

    Args:
        about: The content of ``model.json``, with its ``check``.
        folder: Where the files are.
    """
    check = about["check"]
    ways = {name: check[name] for name in ("graphs", "script", "int8") if name in check}
    lines = [f"Against the original, on {check['pictures']:,} {check['source']}:"]
    lines += [f"  {_NAMES[name]:<28} {_agreement('classes' in about, way)}" for name, way in ways.items()]
    scored = {name: check[name] for name in ("original", *ways)}
    for key, title in _SCORES.items():
        if key in check["original"]:
            figures = ", ".join(f"{way[key]:.4f} {name}" for name, way in scored.items())
            lines.append(f"  {title:<28} {figures}")
    times = ", ".join(f"{way['milliseconds']:.1f} {name}" for name, way in scored.items() if name != "script")
    lines.append(f"  {'milliseconds a picture':<28} {times}; one at a time, reading aside")
    sizes = {"graphs": about["files"], "int8": about.get("int8_files", {})}
    taken = {
        name: sum((folder / file).stat().st_size for file in files.values()) for name, files in sizes.items()
    }
    lines.append(f"  {'size':<28} " + ", ".join(f"{human_bytes(n)} {name}" for name, n in taken.items() if n))
    return lines


_NAMES = {
    "graphs": "graphs, same pixels",
    "script": "run.py, resized by Pillow",
    "int8": "int8 graphs, same pixels",
}


def _agreement(classes: bool, way: Mapping[str, Any]) -> str:
    what, numbers = ("class", "probabilities") if classes else ("caption", "log-probabilities")
    return (
        f"the same {what} for {way['same']:,} of {way['pictures']:,}; "
        f"{numbers} differ by {way['largest_difference']:.2g} at most"
    )


def export_readme(about: Mapping[str, Any], folder: Path) -> str:
    """Return the README of an export."""
    files = "\n".join(f"- `{file}`: {about['purposes'][part]}" for part, file in about["files"].items())
    smaller = about.get("int8_files")
    int8 = (
        f"\n- `{'`, `'.join(smaller.values())}`: the same in 8-bit integers (`run.py --int8`)"
        if smaller
        else ""
    )
    lines = "\n".join(f"    {line}" for line in check_lines(about, folder))
    return f"""# A {about["kind"]} made with showtell, as ONNX

    pip install onnxruntime pillow numpy
    python run.py PICTURE...

{files}{int8}
- `model.json`: how pictures become pixels, how numbers become words, and what the check found
- `run.py`: a short program that does all of it; import `ExportedModel` from it, or read how it is done
- `showtell_pixels`: how it reads pictures, the package's own code; HEIC needs `pip install pillow-heif`

Pixels are (batch, 3, height, width), uint8, RGB; mean and standard deviation are applied inside the graph.
Batches may be of any size.

{lines}
"""
