"""Score against diversity: what more varied captions lose, by two dials over a finished captioner.

    python bench/diversity.py RUN [RUN ...] [--draw FILE]

Each RUN is a finished `showtell train-captioner`. Its validation images are searched once with beams of
each width; what is found is then ranked anew, by likelihood and with a memory of the training images, with
more and more weight on rare words: the mean of -log p(word) over a caption's words, p from the training
captions (the anti-language model of Li et al. 2016, equation 10, over single words). That is the first dial;
the width of the beam is the second. By likelihood the product searches 3 wide, with a memory 10, and gives
rare words no weight.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from memory import opened
from record import add_results, record
from showtell.console import Console
from showtell.evaluation.caption_scores import caption_scores
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.remembering import recall, remember
from showtell.kinds.captioner.task import DECODING_BATCH
from showtell.models.captioner import LENGTH_PENALTY
from showtell.text.words import metric_tokens, words

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
Row = dict[str, float | str]


@dataclass(frozen=True)
class Candidate:
    """A caption that a search found, and what speaks for it."""

    text: str
    whole: bool
    likely: float  # log-probability by length
    agreed: float  # with the neighbours' captions, as the memory weighs it
    rare: float  # mean of -log p over its words


def candidates(
    model: CaptionerModel, data: CaptionData, beam: int, rarity: Callable[[str], float]
) -> dict[str, list[Candidate]]:
    """Search every validation image once; return what was found of each, the likeliest first."""
    captioner, found = model.captioner, {}
    for start in range(0, len(data.validation), DECODING_BATCH):
        part = data.validation[start : start + DECODING_BATCH]
        searched = captioner.search(read_grids(captioner, data.features, part), beam_size=beam)
        recalled = recall(captioner, data.features, part)
        assert recalled is not None
        for image, each, what in zip(part, searched, recalled):
            found[image.name] = []
            for one in each:
                text, length = captioner.tokenizer.decode(one.token_ids), len(one.token_log_probabilities)
                likely = one.log_probability / max(1, length) ** LENGTH_PENALTY
                agreed = what.memory.config.weight * what.agreement(text)
                whole = length > len(one.token_ids)
                found[image.name].append(Candidate(text, whole, likely, agreed, rarity(text)))
    return found


def rarity_of(captions: Sequence[str]) -> Callable[[str], float]:
    """Return how rare a caption's words are in these: the mean of -log p, in nats."""
    counts = Counter(word for caption in captions for word in words(caption))
    total = sum(counts.values())

    def rarity(text: str) -> float:
        said = words(text)
        return sum(-math.log(max(1, counts[word]) / total) for word in said) / max(1, len(said))

    return rarity


def scored(
    found: Mapping[str, Sequence[Candidate]],
    references: Mapping[str, Sequence[str]],
    weight: float,
    *,
    memory: bool,
) -> Row:
    """Return the scores of the captions that are worth most, by a weight of rare words."""

    def worth(one: Candidate) -> tuple[bool, float]:
        return one.whole, one.likely + memory * one.agreed + weight * one.rare

    texts = {name: max(each, key=worth).text for name, each in found.items()}
    scores = caption_scores(references, texts)
    distinct = len({word for text in texts.values() for word in metric_tokens(text)})
    return {"bleu4": scores.bleu4, "cider_d": scores.cider_d, "words": distinct}


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw CIDEr-D against different words, a line for each way to rank, the mean of all runs."""
    from showtell.report.figures import ACCENT, INK, small_figure

    figure, axes = small_figure(5.2, 3.6)
    beams = [row["beam"] for row in rows]
    for how, beam, colour in (("likelihood", min(beams), INK), ("memory", max(beams), ACCENT)):
        dial = [row for row in rows if row["ranked"] == how and row["beam"] == beam]
        means = [_mean([row for row in dial if row["weight"] == weight]) for weight in WEIGHTS]
        axes.plot(*zip(*means), "o-", color=colour, markersize=3, label=f"by {how}, beam {beam}")
        axes.plot(*means[0], "o", color=colour, markersize=8)
    axes.set_xlabel("different words over all captions")
    axes.set_ylabel("CIDEr-D")
    axes.legend(frameon=False, fontsize=8, title="large: without weight on rare words", title_fontsize=8)
    figure.savefig(path, dpi=150)


def _mean(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the mean words and the mean CIDEr-D of several runs."""
    words_, scores = ([float(row[name]) for row in rows] for name in ("words", "cider_d"))
    return sum(words_) / len(rows), sum(scores) / len(rows)


def main() -> None:
    """Search, turn both dials, and print, draw and keep the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--beams", nargs="+", type=int, default=[3, 10])
    parser.add_argument("--draw", type=Path, help="picture of the curves")
    add_results(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    print("run        beam  weight  ranked by   BLEU-4  CIDEr-D  words")
    for folder in options.runs:
        model, data = opened(folder)
        model.captioner.memory = remember(data.features, data.train, Console(quiet=True))
        rarity = rarity_of([caption for image in data.train for caption in image.captions])
        references = {image.name: image.captions for image in data.validation}
        for beam in options.beams:
            found = candidates(model, data, beam, rarity)
            for weight in WEIGHTS:
                for how in ("likelihood", "memory"):
                    row = scored(found, references, weight, memory=how == "memory")
                    row |= {"run": folder.name, "beam": beam, "weight": weight, "ranked": how}
                    rows.append(row)
                    print(
                        f"{folder.name:<10} {beam:>4}  {weight:6.2f}  {how:<10} "
                        f"{row['bleu4']:7.4f}  {row['cider_d']:7.4f}  {row['words']:5}",
                        flush=True,
                    )
    if options.draw:
        draw(rows, options.draw)
    record("diversity", rows, options)


if __name__ == "__main__":
    main()
