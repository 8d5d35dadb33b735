"""Reckon how many minutes from raw photos to a CIDEr-D of 0.50, ours and the tutorials', on the same cores.

    python bench/time_to_quality.py RUN [--score 0.5] [--python PEERS]

RUN is a finished training of ours, whose validations say after how many captions the score was reached. What
a caption costs is measured here and now, ours and both tutorials' in one sitting (captioner_peers.py, grids
of 49x1280); encoding an image and captioning one in a validation cost what --encode and --caption say, by
default the figures of docs/benchmarks.md on quiet cores. Theirs is extrapolated: epochs of hours are not
trained. It is given every advantage: the score after as many captions as ours, though their loss after as
many is higher, and the TensorFlow tutorial encodes no mirrored image and no view. The PyTorch tutorial runs
its convolutional network on every caption, as it is published; that is reckoned with our network's forward
pass.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from record import add_results, record

CAPTIONS = 5
"""Of an image."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--captions", type=int, default=2400, help="that everybody trains on here")
    parser.add_argument("--encode", nargs=3, type=float, default=(98.0, 63.0, 136.0), metavar="IMAGES_PER_S",
                        help="ours, the TensorFlow tutorial's, and the forward pass alone")  # fmt: skip
    parser.add_argument("--caption", type=float, default=114.0, help="images a second in a validation")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of everybody")
    parser.add_argument("--python", default=sys.executable, help="a Python that has tensorflow")
    add_results(parser)
    options = parser.parse_args()

    config = json.loads((options.run / "config.json").read_text("utf-8"))["resolved"]
    lines = [json.loads(line) for line in (options.run / "metrics.jsonl").read_text("utf-8").splitlines()]
    reached = [one for one in lines if one.get("validation", {}).get("cider_d", 0.0) >= options.score]
    if not reached:
        sys.exit(f"{options.run} never reached {options.score}")
    step, epoch = reached[0]["step"], reached[0]["validation"]["epoch"]
    images = [json.loads(line) for line in (options.run / "images.jsonl").read_text("utf-8").splitlines()]
    train, val = (sum(one["split"] == split for one in images) for split in ("train", "val"))
    captions = step * config["recipe.batch_size"] * CAPTIONS
    rates = measure(options)

    views = (
        1 + bool(config["recipe.augmentations"]) + config["recipe.augmentations"]
    )  # plain, mirrored, others
    seconds = {
        "ours": {
            "encode": (train * views + val) / options.encode[0],
            "train": captions / rates["ours"],
            "validate": epoch * val / options.caption,
        }
    }
    for kind, rate in rates.items():
        if kind == "tensorflow":
            seconds[kind] = {"encode": (train + val) / options.encode[1], "train": captions / rate}
        elif kind != "ours":
            seconds[kind] = {"encode": captions / options.encode[2], "train": captions / rate}
    print(f"{options.score} was reached after {epoch} epochs, {captions:,} captions of {train:,} images")
    ours = sum(seconds["ours"].values())
    for kind, parts in seconds.items():
        total = sum(parts.values())
        said = ", ".join(f"{name} {part / 60:.1f}" for name, part in parts.items())
        print(f"{kind:<12} {total / 60:6.1f} min ({said}), ours is {total / ours:.1f} times as fast")
    record("time_to_quality", {"captions": captions, "per_s": rates, "seconds": seconds}, options)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return captions a second of everybody, measured in one sitting."""
    script = str(Path(__file__).with_name("captioner_peers.py"))
    with tempfile.TemporaryDirectory() as folder:
        asked = {"sizes": "49x1280", "captions": options.captions, "threads": options.threads,
                 "python": options.python, "results": folder}  # fmt: skip
        flags = [text for name, value in asked.items() for text in (f"--{name}", str(value))]
        subprocess.run([sys.executable, script, *flags], check=True)
        found = json.loads((Path(folder) / "captioner_peers.jsonl").read_text("utf-8"))
    return {kind: one["captions_per_s"] for kind, one in found["figures"]["49x1280"].items()}


if __name__ == "__main__":
    main()
