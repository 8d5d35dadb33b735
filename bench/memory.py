"""What a memory brings to finished captioners: scores with and without, over the same images.

    python bench/memory.py RUN [RUN ...] [--beams 3 10]

Each RUN is a finished `showtell train-captioner`, with or without --memory; runs of several seeds tell more
than one. Each captions its validation split by beams of each width, ranked by likelihood alone and with a
memory of its training images. Differences are paired by image; the interval is that of their mean over all
runs. The seconds of the search and of the memory (finding neighbours and ranking) are of one thread.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from record import add_results, record
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.evaluation.caption_scores import caption_scores
from showtell.evaluation.cider import CiderD
from showtell.evaluation.intervals import bootstrap_interval
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
    """Return a run's model, and the data that it was trained on."""
    settings, console = Run(folder).settings(TrainCaptioner), Console(quiet=True)
    model = load_model(folder)
    assert isinstance(model, CaptionerModel), f"{folder} is no captioner"
    dataset = read_annotated(settings, "captions", console)
    prepared = prepare(dataset, model.backbone, FeatureStore(settings.store), console, seed=settings.seed)
    return model, CaptionData(prepared.features, captioned(prepared, "train"), captioned(prepared, "val"))


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
    add_results(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, gains = [], []
    print("run                  beam  ranked by     BLEU-4  CIDEr-D  words  search s  memory s")
    for folder in arguments.runs:
        model, data = opened(folder)
        model.captioner.memory = remember(data.features, data.train, Console(quiet=True))
        references = {image.name: image.captions for image in data.validation}
        cider = CiderD(references)
        first: np.ndarray | None = None
        for beam in arguments.beams:
            plain, ranked, search, memory = both(model, data, beam)
            for how, texts in (("likelihood", plain), ("memory", ranked)):
                scores = caption_scores(references, texts)
                words = len({word for text in texts.values() for word in metric_tokens(text)})
                row = {"run": folder.name, "beam": beam, "ranked": how, "bleu4": scores.bleu4}
                row |= {"cider_d": scores.cider_d, "words": words, "search_s": search, "memory_s": memory}
                rows.append(row)
                print(
                    f"{folder.name:<20} {beam:>4}  {how:<12} {scores.bleu4:7.4f}  {scores.cider_d:7.4f}  "
                    f"{words:5}  {search:8.1f}  {memory:8.1f}"
                )
            first = cider.score(plain) if first is None else first
        gains.append(cider.score(ranked) - first)
    gain = np.mean(gains, axis=0)[:, None]  # (images, 1)
    low, high = bootstrap_interval(gain, lambda sums: sums / len(gain), seed=0)[0]
    print(
        f"memory at beam {arguments.beams[-1]} less likelihood at beam {arguments.beams[0]}: CIDEr-D "
        f"{gain.mean():+.4f} (95%: {low:+.4f} to {high:+.4f}), mean of {len(gains)} runs"
    )
    record("memory", {"rows": rows, "gain": float(gain.mean()), "interval_95": [low, high]}, arguments)


if __name__ == "__main__":
    main()
