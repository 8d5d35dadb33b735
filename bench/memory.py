"""What a memory and crops bring to finished captioners: scores with and without, over the same images.

    python bench/memory.py RUN [RUN ...] [--beams 3 10] [--crops 1 6]

Each RUN is a finished `showtell train-captioner`, with or without --memory; runs of several seeds tell more
than one. Each captions its validation split by beams of each width, from the mean features of so many crops
of an image, ranked by likelihood alone and with a memory of its training images. Differences are paired by
image; the interval is that of their mean over all runs. The seconds of the search and of the memory (finding
neighbours and ranking) are of one thread.
"""

import argparse
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch

from record import add_results, record
from showtell.backbones.crops import CROPS
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.evaluation.caption_scores import caption_scores
from showtell.evaluation.cider import CiderD
from showtell.evaluation.intervals import bootstrap_interval
from showtell.extraction.extract import extract_features
from showtell.extraction.prepared import prepare
from showtell.kinds.captioner.data import CaptionData, captioned, read_grids
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.remembering import recall, remember
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import DECODING_BATCH
from showtell.kinds.model_folder import load_model
from showtell.runs.run import Run
from showtell.store.store import FeatureStore
from showtell.text.words import metric_tokens

Texts = dict[str, str]


def opened(folder: Path) -> tuple[CaptionerModel, CaptionData]:
    """Return a run's model, and the data that it was trained on, by features of whole images."""
    settings, console = Run(folder).settings(TrainCaptioner), Console(quiet=True)
    model = load_model(folder)
    assert isinstance(model, CaptionerModel), f"{folder} is no captioner"
    dataset = read_annotated(settings, "captions", console)
    backbone = model.backbone.with_crops(1)
    prepared = prepare(dataset, backbone, FeatureStore(settings.store), console, seed=settings.seed)
    return model, CaptionData(prepared.features, captioned(prepared, "train"), captioned(prepared, "val"))


def cropped(folder: Path, model: CaptionerModel, data: CaptionData, crops: int) -> CaptionData:
    """Return the data with features of validation images by several crops of each."""
    if crops == 1:
        return data
    store = FeatureStore(Run(folder).settings(TrainCaptioner).store)
    backbone = model.backbone.with_crops(crops)
    return replace(
        data, features=extract_features(data.validation, backbone, store, console=Console(quiet=True))
    )


def both(model: CaptionerModel, data: CaptionData, beam: int) -> tuple[Texts, Texts, float, float]:
    """Return the captions by likelihood and with memory, and the seconds of search and memory."""
    captioner, plain, ranked = model.captioner, {}, {}
    search = memory = 0.0
    for start in range(0, len(data.validation), DECODING_BATCH):
        part = data.validation[start : start + DECODING_BATCH]
        grid = read_grids(captioner, data.features, part)
        begun = time.perf_counter()
        found = captioner.search(grid, beam_size=beam)
        searched = time.perf_counter()
        recalled = recall(captioner, data.features, part)
        assert recalled is not None
        best = [captioner.rank(each, what)[0] for each, what in zip(found, recalled)]
        search, memory = search + searched - begun, memory + time.perf_counter() - searched
        for image, first, chosen in zip(part, found, best):
            plain[image.name] = captioner.tokenizer.decode(first[0].token_ids)
            ranked[image.name] = captioner.tokenizer.decode(chosen.token_ids)
    return plain, ranked, search, memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--beams", nargs="+", type=int, default=[3, 10])
    parser.add_argument("--crops", nargs="+", type=int, default=[1, len(CROPS)])
    add_results(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, object]] = []
    scored: dict[tuple[int, int, str], list[np.ndarray]] = {}
    print("run                  crops  beam  ranked by     BLEU-4  CIDEr-D  words  search s  memory s")
    for folder in arguments.runs:
        model, data = opened(folder)
        model.captioner.memory = remember(data.features, data.train, Console(quiet=True))
        references = {image.name: image.captions for image in data.validation}
        cider = CiderD(references)
        seen = {crops: cropped(folder, model, data, crops) for crops in arguments.crops}
        for crops, beam in product(arguments.crops, arguments.beams):
            plain, ranked, search, memory = both(model, seen[crops], beam)
            for how, texts in (("likelihood", plain), ("memory", ranked)):
                scores = caption_scores(references, texts)
                words = len({word for text in texts.values() for word in metric_tokens(text)})
                row = {"run": folder.name, "crops": crops, "beam": beam, "ranked": how}
                row |= {"bleu4": scores.bleu4, "cider_d": scores.cider_d, "rouge_l": scores.rouge_l}
                rows.append(row | {"words": words, "search_s": search, "memory_s": memory})
                print(
                    f"{folder.name:<20} {crops:>5}  {beam:>4}  {how:<12} {scores.bleu4:7.4f}  "
                    f"{scores.cider_d:7.4f}  {words:5}  {search:8.1f}  {memory:8.1f}",
                    flush=True,
                )
                scored.setdefault((crops, beam, how), []).append(cider.score(texts))
    record("memory", {"rows": rows, "gains": _gains(scored, arguments)}, arguments)


def _gains(
    scored: dict[tuple[int, int, str], list[np.ndarray]], arguments: argparse.Namespace
) -> list[dict[str, object]]:
    """Print and return by how much CIDEr-D gains by the memory and by crops, paired over images."""
    first, last = (arguments.crops[0], arguments.beams[0]), (arguments.crops[-1], arguments.beams[-1])
    pairs = [((last[0], first[1], "likelihood"), (*last, "memory"))]
    if first[0] != last[0]:
        pairs += [
            ((first[0], beam, how), (last[0], beam, how))
            for beam, how in ((first[1], "likelihood"), (last[1], "memory"))
        ]
    found: list[dict[str, object]] = []
    images = len(next(iter(scored.values()))[0])
    for before, after in pairs:
        gain = np.mean(np.subtract(scored[after], scored[before]), axis=0)[:, None]  # (images, 1)
        low, high = bootstrap_interval(gain, lambda sums: sums / images, seed=0)[0]
        found.append({"from": before, "to": after, "gain": float(gain.mean()), "interval_95": [low, high]})
        names = ["{} crops, beam {}, by {}".format(*one) for one in (before, after)]
        print(f"{names[1]} less {names[0]}: CIDEr-D {gain.mean():+.4f} (95%: {low:+.4f} to {high:+.4f})")
    return found


if __name__ == "__main__":
    main()
