"""Every score again, by other people's programs or in plain slow loops, and captions to try them on."""

import math
import random
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import snowballstemmer
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

Words = Sequence[str]
SCRIPTS = {
    "Latin": "a the dog dogs café running runs on grass red ball x-ray don't",
    "Hangul": "강아지가 강아지는 풀밭에서 달린다 달리는 빨간 공을 물고 두 마리 개 아이들이",
    "Cyrillic": "собака собаки бежит бегут по траве красный мяч ёж две й дети",
    "Arabic": "كلب كلاب يركض على العشب كرة حمراء طفل مع في الماء كَلْب",
    "Han": "狗 草 地 上 跑 红 球 的 一 只 两 人",
}
"""Few words each, so that captions share many; two of a stem, and letters that have two Unicode forms."""
_MARKS = {"Han": ("，", "。", "", "、"), "Arabic": (" ", "، ", ". ", "  ")}
_PARTS = {"don't": ("do", "n't")}


class Written(NamedTuple):
    """A caption as written, and the words that a score must see in it."""

    text: str
    words: list[str]


def write(chance: random.Random, script: str, most: int = 12) -> Written:
    """Write words of a script in a random Unicode form, with marks between, some in capitals."""
    chosen = chance.choices(SCRIPTS[script].split(), k=chance.randint(1, most))
    marks = _MARKS.get(script, (" ", ", ", ". ", "  ", "\t", "; "))
    text = "".join(
        (word.upper() if chance.random() < 0.1 else word) + chance.choice(marks) for word in chosen
    )
    parts = [part for word in chosen for part in _PARTS.get(word, (word,))]
    form = chance.choice(("NFC", "NFD"))
    return Written(unicodedata.normalize(form, text), [unicodedata.normalize("NFC", word) for word in parts])


def toolkit(
    references: dict[str, list[Words]], hypotheses: dict[str, Words]
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Score by the COCO caption toolkit: the set, and each image in the order of the sorted names."""
    names = sorted(references)
    true = {name: [" ".join(words) for words in references[name]] for name in names}
    said = {name: [" ".join(hypotheses[name])] for name in names}
    bleus, alone = Bleu(4).compute_score(true, said, verbose=0)
    rouge, rouges = Rouge().compute_score(true, said)
    cider, ciders = Cider().compute_score(true, said)
    scores = {f"bleu{n + 1}": float(bleus[n]) for n in range(4)} | {"rouge_l": float(rouge)}
    each = {f"bleu{n + 1}": list(alone[n]) for n in range(4)} | {"rouge_l": list(rouges)}
    return scores | {"cider_d": float(cider)}, each | {"cider_d": list(ciders)}


def chrf(hypothesis: Words, references: Sequence[Words]) -> float:
    """Return chrF of one caption: the F-measure, beta 2, of the reference that it is highest with."""
    return max(_chrf("".join(hypothesis), "".join(reference)) for reference in references)


def _chrf(said: str, true: str) -> float:
    precisions, recalls = [], []
    for n in range(1, 7):
        ours, theirs = (
            Counter(text[start : start + n] for start in range(len(text) - n + 1)) for text in (said, true)
        )
        if ours and theirs:
            shared = sum(min(count, theirs[run]) for run, count in ours.items())
            precisions.append(shared / sum(ours.values()))
            recalls.append(shared / sum(theirs.values()))
    if not precisions:
        return 0.0
    precision, recall = (sum(values) / len(values) for values in (precisions, recalls))
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def meteor(hypothesis: Words, references: Sequence[Words]) -> float:
    """Return METEOR's score of equal words and stems, by trying every alignment."""
    return max(_meteor(hypothesis, reference) for reference in references)


def _meteor(said: Words, true: Words) -> float:
    stem = snowballstemmer.stemmer("english").stemWord
    options = [[j for j, word in enumerate(true) if stem(word) == stem(mine)] for mine in said]
    claims = Counter(j for choices in options for j in choices)
    best = max(_alignments(said, true, options, claims, 0, ()))
    equal, chunks, stems = best[0], -best[1], best[2]
    matched, weight = equal + stems, equal + 0.6 * stems
    if not matched:
        return 0.0
    if chunks == 1 and matched == len(said) == len(true):
        chunks = 0
    precision, recall = weight / len(said), weight / len(true)
    mean = precision * recall / (0.85 * precision + 0.15 * recall)
    return mean * (1 - 0.6 * (chunks / matched) ** 0.2)


def _alignments(
    said: Words,
    true: Words,
    options: list[list[int]],
    claims: Counter[int],
    at: int,
    taken: tuple[tuple[int, int], ...],
) -> Iterator[tuple[int, int, int, int]]:
    """Yield equal words, -chunks, stems and straightness of every way to align the words from one on."""
    if at == len(said):
        equal = sum(said[i] == true[j] for i, j in taken)
        starts = sum(after != (i + 1, j + 1) for (i, j), after in pairwise(taken))
        chunks = starts + bool(taken)
        yield equal, -chunks, len(taken) - equal, -sum(abs(i - j) for i, j in taken)
        return
    alone = len(options[at]) == 1 and claims[options[at][0]] == 1
    if not alone:
        yield from _alignments(said, true, options, claims, at + 1, taken)
    for j in options[at]:
        if all(j != other for _, other in taken):
            yield from _alignments(said, true, options, claims, at + 1, (*taken, (at, j)))


def calibration_error(probabilities: npt.NDArray[np.float64], labels: Sequence[int]) -> float:
    """Return the expected calibration error over 15 bins, image by image."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(15)]
    for row, label in zip(probabilities.tolist(), labels):
        sure = max(row)
        bins[min(14, math.floor(sure * 15))].append((sure, row.index(sure) == label))
    gaps = [
        abs(sum(sure for sure, _ in one) / len(one) - sum(right for _, right in one) / len(one)) * len(one)
        for one in bins
        if one
    ]
    return sum(gaps) / len(labels)


def among_five(probabilities: npt.NDArray[np.float64], labels: Sequence[int]) -> float:
    """Return the share of images with fewer than five classes likelier than the right one."""
    better = [sum(p > row[label] for p in row) for row, label in zip(probabilities.tolist(), labels)]
    return sum(count < 5 for count in better) / len(labels)
