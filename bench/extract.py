"""Measure `showtell extract`, the whole command, against other ways to the same features, in the same run.

    python bench/extract.py --photos ../shared/data/knyang --phone ../shared/data/phone \
        [--python PEERS/bin/python]

Photos are cut and scaled to 500x375 in as many variants as are needed, so that every file is another one;
photos of a phone are taken as they are. Weights are random: they change no time. Peers run in processes of
their own; one whose package is missing is named and left out. They are timed without their start, ours with
it. Each way has its turn in every round; the table shows medians. Figures need a quiet machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import count, cycle, islice
from pathlib import Path
from typing import Any

from extract_peers import SIDES, WAYS
from record import add_results, record

PLAIN = "showtell extract"
OURS = {
    PLAIN: [],
    f"{PLAIN}, torch": ["--engine", "torch"],
    f"{PLAIN}, onnxruntime": ["--engine", "onnxruntime"],
    f"{PLAIN}, openvino": ["--engine", "openvino"],
    f"{PLAIN}, openvino, bfloat16": ["--engine", "openvino", "--precision", "bfloat16"],
    f"{PLAIN}, torch, bfloat16": ["--precision", "bfloat16"],
    f"{PLAIN}, onnxruntime, int8": ["--engine", "onnxruntime", "--precision", "int8"],
}
FIRST = "from showtell import cli; from showtell.extraction import fastest; fastest.WORTH = 0; cli.main()"
"""The command, with engines compared however little there is to encode."""
SLOW = ("study notes", "Hugging Face", "timm", "img2vec")
_KNOWN = 16
SIZE, QUALITY = (500, 375), 95
SUFFIXES = {".jpg", ".jpeg"}


def make_photos(source: Path, folder: Path, number: int) -> None:
    """Write that many JPEGs of 500x375, each another part of a photo."""
    from PIL import Image, ImageOps

    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    folder.mkdir()
    for index, path in islice(enumerate(cycle(files)), number):
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened.convert("RGB"))
        scale = min(image.width / SIZE[0], image.height / SIZE[1]) * (1 - 0.02 * (index // len(files)))
        width, height = int(SIZE[0] * scale), int(SIZE[1] * scale)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        part = image.resize(SIZE, Image.Resampling.LANCZOS, (left, top, left + width, top + height))
        part.save(folder / f"{index:05d}.jpg", quality=QUALITY)


def copy_phone(source: Path, folder: Path, number: int) -> None:
    """Write that many copies of a phone's photos, each with other bytes after its end.

    The store looks at the same content once; decoders do not read what follows an image's end.
    """
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
    folder.mkdir()
    for index, path in islice(zip(count(), cycle(files)), number):
        (folder / f"{index:05d}.jpg").write_bytes(path.read_bytes() + b"%d" % index)


def run_ours(network: str, folder: Path, number: int, how: list[str]) -> dict[str, Any]:
    """Run the whole command over a folder, and time it from outside.

    The store knows a few images: engines are compared, and a graph is written, at the first use of a network,
    ever, which is timed apart.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        images = Path(scratch) / "images"
        images.mkdir()
        files = sorted(folder.iterdir())[:number]
        command = ["extract", str(images), "--backbone", network]
        command += ["--weights", "random", "--store", f"{scratch}/store", "--json", *how]
        for path in files[:_KNOWN]:
            (images / path.name).hardlink_to(path)
        first = _seconds([sys.executable, "-c", FIRST, *command])[0]
        for path in files[_KNOWN:]:
            (images / path.name).hardlink_to(path)
        seconds, done = _seconds([sys.executable, "-m", "showtell", *command])
    result = json.loads(done.stdout)
    assert result["computed"] == number - _KNOWN, result
    return {"images": number - _KNOWN, "seconds": seconds, "inside": result["seconds"], "first": first}


def _seconds(command: list[str]) -> tuple[float, "subprocess.CompletedProcess[str]"]:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - started, done


def run_way(way: str, network: str, folder: Path, number: int, python: str) -> dict[str, Any]:
    """Run one way in a process of its own."""
    program = Path(__file__).with_name("extract_peers.py")
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
    command = [python, str(program), way, network, str(folder), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["?"])[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(options: argparse.Namespace, network: str, kind: str, folder: Path) -> list[dict[str, Any]]:
    """Let every way have its turn in each round; return a row a way."""
    available = len(list(folder.iterdir()))
    ways = [*OURS, *WAYS]
    if kind == "phone":
        ways = [name for name in ways if not name.startswith("forward")]
    if options.ways:
        ways = [name for name in ways if name in options.ways]
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(options.rounds):
        for name in ways:
            if "missing" in rows.get(name, {}):
                continue
            if name in OURS:
                found = run_ours(network, folder, available, OURS[name])
            else:
                number = min(available, options.slow if name.startswith(SLOW) else options.forward)
                found = run_way(name, network, folder, number, options.python or sys.executable)
            row = rows.setdefault(name, {"network": network, "images": kind, "way": name, "rates": []})
            if "missing" in found:
                row["missing"] = found["missing"]
                continue
            row["count"] = found["images"]
            row["rates"].append(found["images"] / found["seconds"])
            print(f"{network}, {kind}, {name}: {row['rates'][-1]:.1f} images/s", file=sys.stderr, flush=True)
            if "inside" in found:
                row.setdefault("inside", []).append(found["images"] / found["inside"])
                row.setdefault("first use, s", []).append(found["first"])
    return list(rows.values())


def show(rows: list[dict[str, Any]]) -> None:
    """Print one table: medians, the range, and how many times as fast ours is."""
    network, kind = rows[0]["network"], rows[0]["images"]
    print(f"\n{network} at {SIDES[network]}, {kind}\n")
    print("| way | images | images/s | lowest to highest | ours is |")
    print("|---|---|---|---|---|")
    own = next((row["rates"] for row in rows if row["way"] == PLAIN), None)
    decoding = next((row["rates"] for row in rows if row["way"] == "decoding only"), None)
    for row in rows:
        if not row["rates"]:
            print(f"| {row['way']} | left out: {row['missing']} | | | |")
            continue
        rate, rates = statistics.median(row["rates"]), row["rates"]
        ratio = _times(own, rate) if row["way"] != PLAIN else ""
        print(
            f"| {row['way']} | {row['count']} | {rate:.1f} | {min(rates):.1f} to {max(rates):.1f} | {ratio} |"
        )
        if row["way"].startswith("forward") and decoding:
            both = 1 / (1 / rate + 1 / statistics.median(decoding))
            print(f"| with decoding, one after the other | | {both:.1f} | | {_times(own, both)} |")
        if "inside" in row:
            print(f"| the same without its start | | {statistics.median(row['inside']):.1f} | | |")
            print(f"| its first use of all, of {_KNOWN} images, s | | {min(row['first use, s']):.1f} | | |")


def _times(own: list[float] | None, rate: float) -> str:
    """Say how many times as fast ours is, where it was measured."""
    return f"{statistics.median(own) / rate:.2f} times" if own else ""


def main() -> None:
    """Measure both networks on photos and on photos of a phone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs, however deep")
    parser.add_argument("--phone", type=Path, help="a folder of JPEGs as a phone wrote them")
    parser.add_argument("--count", type=int, default=2000, help="photos for ours")
    parser.add_argument("--slow", type=int, default=200, help="photos for other pipelines")
    parser.add_argument("--forward", type=int, default=640, help="photos for the forward pass alone")
    parser.add_argument("--phones", type=int, default=300, help="photos of a phone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--ways", nargs="+", choices=[*OURS, *WAYS], help="only these")
    parser.add_argument("--python", help="interpreter that has the other ways' packages")
    parser.add_argument("--folder", type=Path, help="where to write images and features")
    add_results(parser)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    tables = []
    with tempfile.TemporaryDirectory(prefix="bench-extract-", dir=options.folder) as scratch:
        if options.photos:
            make_photos(options.photos, Path(scratch) / "photos", options.count)
        if options.phone:
            copy_phone(options.phone, Path(scratch) / "phone", options.phones)
        for kind in ("photos", "phone"):
            for network in options.networks:
                if (Path(scratch) / kind).is_dir():
                    tables.append(measure(options, network, kind, Path(scratch) / kind))
                    show(tables[-1])
    record("extract", [row for rows in tables for row in rows], options)


if __name__ == "__main__":
    main()
