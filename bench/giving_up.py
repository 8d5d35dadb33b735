"""When a beam search may give up on captions that are still growing: steps, time, and what it changes.

    python bench/giving_up.py RUN [RUN ...] [--beams 3 10] [--ahead 0 2 4]

Each RUN is a finished `showtell train-captioner`. Its validation images, whole, are captioned one at a time,
as a loaded model answers, on one thread: by a patient search, which gives up nothing that could still be one
of the best, and by searches that trust a growing caption with so many certain words (`Beam.ahead`).
"""

import argparse
import statistics
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch

from memory import opened
from record import add_results, record
from showtell.evaluation.cider import CiderD
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.models.captioner import LENGTH_PENALTY, Captioner
from showtell.models.decoding import Beam, beam_search

Row = dict[str, object]


@torch.inference_mode()
def captions(captioner: Captioner, data: CaptionData, beam: Beam) -> tuple[dict[str, str], list[int], float]:
    """Return the caption of each image, the steps each took, and milliseconds an image, the median."""
    decoder, texts, steps, spent = captioner.decoder, {}, [], []
    for image in data.validation:
        grid = read_grids(captioner, data.features, [image])
        started = time.process_time()
        memory, taken = decoder.encode_grid(grid), 0

        def step(state, token_ids, memory=memory):
            nonlocal taken
            taken += 1
            return decoder.step(memory, state, token_ids)

        found = beam_search(step, decoder.start(memory), captioner.special, beam)[0]
        spent.append(1000 * (time.process_time() - started))
        steps.append(taken)
        texts[image.name] = captioner.tokenizer.decode(found[0].token_ids)
    return texts, steps, statistics.median(spent)


def compare(folder: Path, size: int, aheads: list[int]) -> list[Row]:
    """Print and return what each search makes of a run's validation images."""
    model, data = opened(folder)
    captioner, cider = model.captioner, CiderD({image.name: image.captions for image in data.validation})
    most = captioner.decoder.config.max_length
    patient: dict[str, str] = {}
    rows: list[Row] = []
    for ahead in (most, *aheads):
        texts, steps, ms = captions(captioner, data, Beam(size, most, LENGTH_PENALTY, ahead))
        patient = patient or texts
        other = sum(texts[name] != patient[name] for name in texts)
        score = float(np.mean(cider.score(texts)))
        row: Row = {"run": folder.name, "beam": size, "ahead": ahead, "steps": statistics.mean(steps)}
        rows.append(row | {"ms": ms, "other_captions": other, "cider_d": score})
        name = "patient" if ahead == most else str(ahead)
        print(
            f"{folder.name:<12} {size:>4}  {name:>7}  {statistics.mean(steps):5.1f}  {ms:6.1f}  "
            f"{other:5} of {len(texts)}  {score:.4f}",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--beams", nargs="+", type=int, default=[3, 10])
    parser.add_argument("--ahead", nargs="+", type=int, default=[0, 2, 4])
    add_results(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("run          beam    ahead  steps      ms  other captions  CIDEr-D")
    rows: list[Row] = []
    for folder, size in product(arguments.runs, arguments.beams):
        rows += compare(folder, size, arguments.ahead)
    record("giving_up", {"rows": rows}, arguments)


if __name__ == "__main__":
    main()
