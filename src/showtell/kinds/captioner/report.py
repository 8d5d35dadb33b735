"""The report of a captioner: scores, best and worst captions, and whether its attention can be trusted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from showtell.console import Console
from showtell.evaluation.caption_scores import SCORE_TITLES
from showtell.evaluation.faithfulness import CHOICES, Faithfulness, WordDrop, measure_faithfulness
from showtell.evaluation.occlusion import dependence
from showtell.extraction.extract import extract_features
from showtell.extraction.fastest import by_fastest
from showtell.kinds.captioner.data import read_grids
from showtell.kinds.captioner.drawing import draw_attention
from showtell.kinds.captioner.evaluation import CaptionEvaluationRecord, DiversityRecord, caption_images
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.kind import Reported
from showtell.kinds.report import facts_of, find_image, score_rows
from showtell.models.captioner import Caption
from showtell.report.cards import WORDS, PageItem, card_of
from showtell.report.document import save_for_page
from showtell.report.figures import ACCENT, FAINT, GRID, INK, small_figure
from showtell.report.fonts import font
from showtell.report.run_report import RunFacts, write_run_report
from showtell.store.store import FeatureStore

_NAMES = {"cider_d": SCORE_TITLES["cider_d"]} | SCORE_TITLES
"""Scores in the order of the table: first the one that chooses the checkpoint."""
_LONGEST = 30
"""Captions with more words are drawn as having as many."""
_CHOICE_NAMES = {
    "depends": "depends on most",
    "most": "looked at most",
    "random": "at random",
    "least": "looked at least",
}
_WORDS = WORDS["en"] | {
    "hint": "Point at a word, tap it, or move with the arrow keys: the image shows what that word depends "
    "on, by how much less likely it becomes without each cell (occlusion). The line under a word is how sure "
    "the model was.",
    "sure": "{percent}% sure; depends mostly on the {area}",
    "scale": ("What a word depends on", "nothing", "most in the image"),
}
_WORDS_SHOWN = 8
_SHOWN = 6
"""Best captions that are shown, and as many worst ones."""
_ALTERED = 150
"""Validation images that the faithfulness of attention is measured on, at most."""


def report_captioner(reported: Reported) -> Path:
    """Write the report of a captioner and its figures.

    Args:
        reported: What it is written of. Where its features are at hand, nothing is encoded again.

    Returns:
        ``report.html``.

    Raises:
        DataError: Images that were scored are not there any more.
        ImageError: An image cannot be read.
    """
    model, run = reported.model, reported.run
    assert isinstance(model, CaptionerModel)
    facts = facts_of(reported, xe_epochs=model.config.provenance.xe_epochs)
    material = _material(reported, model)
    evaluation, split = material.record, reported.split
    cards = {}
    for which, items in (("best", material.best), ("worst", material.worst)):
        cards[which] = [card_of(replace(item, caption=material.depends[item.name]), _WORDS) for item in items]
        for number, item in enumerate(items, 1):
            figure = facts.figures / f"{which}-{number}.png"
            draw_attention(item.open(), item.caption, item.preprocessing, figure)
    scores, diversity = evaluation.scores, evaluation.diversity
    return write_run_report(
        facts,
        "kinds/captioner/report.html",
        title="What the captioner learnt",
        summary=[
            (f"CIDEr-D, {split}", f"{scores['cider_d']:.3f}"),
            (f"BLEU-4, {split}", f"{scores['bleu4']:.3f}"),
            ("Images scored", f"{evaluation.images:,}"),
        ],
        cards=[*cards["best"], *cards["worst"]],
        caption_words=_WORDS,
        best=cards["best"],
        worst=cards["worst"],
        split=split,
        images=evaluation.images,
        beam_size=evaluation.beam_size,
        chose=run.record.resolved.get("recipe.criterion") != "last",
        scores=score_rows(evaluation, _NAMES, _widest),
        fault=model.config.provenance.fault,
        verdict=evaluation.verdict,
        word_precision=diversity.model.word_precision,
        forced=evaluation.teacher_forced,
        diversity=_diversity_rows(diversity),
        unknown=evaluation.teacher_forced.unknown_words,
        lengths=save_for_page(
            draw_lengths(diversity.model.lengths, diversity.people.lengths),
            facts.figures / "lengths.svg",
            "How many words the captions of the model and of people have",
        ),
        trust=_trust(facts, material.faithfulness),
    )


@dataclass(frozen=True)
class _Material:
    """What a report shows, computed or at hand.

    Attributes:
        record: The scores.
        best: Captions that agree most with people's.
        worst: Those that agree least.
        depends: Their captions by name, with maps of what each word depends on.
        faithfulness: What words lose without what they attended to; None where no caption has a word.
    """

    record: CaptionEvaluationRecord
    best: list[PageItem]
    worst: list[PageItem]
    depends: dict[str, Caption]
    faithfulness: Faithfulness | None


def _material(reported: Reported, model: CaptionerModel) -> _Material:
    run, split = reported.run, reported.split
    named = {image.name: image for image in reported.dataset.images}
    record = run.evaluation(split, CaptionEvaluationRecord)
    lines = run.predictions(split)
    half = min(_SHOWN, len(lines) // 2) or len(lines)
    chosen = [*lines[:half], *lines[half:][::-1][:half]]
    shown = [find_image(line["image"], named, reported) for line in chosen]
    texts = {line["image"]: line["caption"] for line in run.predictions("val")}
    checked = [named[name] for name in sorted(texts) if name in named]
    checked = checked[:: -(-len(checked) // _ALTERED) or 1]
    features = reported.features
    if features is None:
        asked = list({image.name: image for image in (*shown, *checked)}.values())
        store = FeatureStore(reported.settings.store)
        backbone = by_fastest(model.backbone, asked, store, Console(quiet=True))
        features = extract_features(asked, backbone, store)
    captions = dict(caption_images(model.captioner, features, shown, beam_size=record.beam_size))
    grids = partial(read_grids, model.captioner, features)
    items = [
        PageItem(
            image=image.path,
            caption=captions[image.name],
            preprocessing=model.backbone.preprocessing,
            name=image.name,
            references=tuple(line["references"]),
            score=f"CIDEr-D {line['cider_d']:.2f}",
        )
        for image, line in zip(shown, chosen)
    ]
    faithfulness = measure_faithfulness(model.captioner, grids, checked, texts)
    depends = dependence(model.captioner, grids, shown, captions)
    return _Material(record, items[:half], items[half:], depends, faithfulness)


def _widest(high: float) -> int:
    """Return the end of a score's axis.

    CIDEr-D goes up to 10, but people's captions reach about 1 to 2 against each other's; the others end
    at 1.
    """
    return max(1, math.ceil(high))


def _diversity_rows(diversity: DiversityRecord) -> list[tuple[str, list[str]]]:
    both = [diversity.model, diversity.people]
    rows = [
        ("Different captions", [f"{one.distinct_captions:,} of {one.captions:,}" for one in both]),
        ("Different words", [f"{one.distinct_words:,}" for one in both]),
        ("Words a caption", [f"{one.words / max(one.captions, 1):.1f}" for one in both]),
    ]
    for what, shares in (
        ("Words that others use of the same image", [one.word_precision for one in both]),
        ("Captions that stand word for word in training", [one.memorized for one in both]),
    ):
        if shares[0] is not None:
            rows.append((what, ["-" if share is None else f"{share:.1%}" for share in shares]))
    return rows


@dataclass(frozen=True)
class _Trust:
    """The faithfulness of attention as the report shows it.

    Attributes:
        figure: The drawing.
        found: What was measured.
        keeps: The share of a word's probability that is left, by which cells are taken away.
        verdict: Whether most is more, less or the same as random.
        words: Words for which they differ most.
    """

    figure: Markup
    found: Faithfulness
    keeps: dict[str, float]
    low: float
    high: float
    verdict: str
    words: Sequence[WordDrop]


def _trust(facts: RunFacts, found: Faithfulness | None) -> _Trust | None:
    """Return the drawing of the faithfulness and what it says."""
    if found is None:
        return None
    low, high = found.intervals["difference"]
    return _Trust(
        figure=save_for_page(
            draw_faithfulness(found),
            facts.figures / "faithfulness.svg",
            "How much less likely words become without the cells that they looked at",
        ),
        found=found,
        keeps={which: math.exp(-drop) for which, drop in found.drops.items()},
        low=low,
        high=high,
        verdict="more" if low > 0 else "less" if high < 0 else "same",
        words=found.by_word[:_WORDS_SHOWN],
    )


def draw_lengths(model: Mapping[int, int], people: Mapping[int, int]) -> Figure:
    """Draw how many words captions have.

    Args:
        model: How many of the model's captions have as many words, by the number of words.
        people: The same of people's captions.
    """
    figure, axes = small_figure()
    longest = min(_LONGEST, max([*model, *people], default=1))
    at = np.arange(longest + 1)
    for lengths, colour, name in ((people, FAINT, "people"), (model, ACCENT, "model")):
        counts = np.zeros(longest + 1)
        for words, count in lengths.items():
            counts[min(words, longest)] += count
        share = counts / max(counts.sum(), 1)
        axes.fill_between(at, share, step="mid", color=colour, alpha=0.18, linewidth=0)
        axes.step(at, share, where="mid", color=colour, linewidth=1.8, label=name)
    axes.set_xlim(0, longest + 0.5)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.set_xlabel("words in a caption", color=FAINT)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", colors=FAINT, labelsize=9)
    axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    _plain(axes)
    return figure


def draw_faithfulness(found: Faithfulness) -> Figure:
    """Draw the mean drop of a word's log-probability for each choice of cells, with its 95% interval."""
    figure, axes = small_figure(height=2.1)
    for row, choice in enumerate(CHOICES):
        low, high = found.intervals[choice]
        drop = found.drops[choice]
        colour = ACCENT if choice == "most" else FAINT
        axes.barh(row, drop, color=colour, alpha=0.3, height=0.62)
        axes.errorbar(
            drop, row, xerr=[[drop - low], [high - drop]], color=colour, fmt="o", capsize=4, markersize=5
        )
    names = [_CHOICE_NAMES[choice] for choice in CHOICES]
    axes.set_yticks(range(len(names)), names)
    for tick, choice in zip(axes.get_yticklabels(), CHOICES):
        tick.set_fontproperties(font(_CHOICE_NAMES[choice], 9.5, bold=choice == "most"))
        tick.set_color(INK)
    axes.invert_yaxis()
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.set_xlabel("fall of a word's log-probability", color=FAINT)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(axis="x", colors=FAINT, length=0, labelsize=9)
    axes.tick_params(axis="y", length=0)
