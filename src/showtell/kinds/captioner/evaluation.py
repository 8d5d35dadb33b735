"""Captions of a split and what they score, and whether a captioner has learnt anything."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, NotLearntError
from showtell.evaluation.caption_scores import SCORE_NAMES, CaptionScores, caption_scores
from showtell.evaluation.diversity import CaptionDiversity, compared_diversity
from showtell.evaluation.teacher_forced import TeacherForced, teacher_forced
from showtell.extraction.features import Features
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.kinds.captioner.remembering import recall
from showtell.kinds.captioner.settings import FEW_TO_CHOOSE, Recipe, TrainCaptioner
from showtell.kinds.captioner.task import decoding_batches, generate_captions
from showtell.kinds.captioner.verdict import Verdict, commonest_captions, judge, nearest_captions
from showtell.kinds.kind import Question
from showtell.models.captioner import Caption, Captioner
from showtell.runs.records import EvaluationRecord, JsonObject

_EXTREMES = 5
"""Best captions that are shown, and as many worst ones."""
_ALSO_CAPTIONED = 20
"""Training images that are captioned, too, to see whether a model gives all images one caption."""
_ENOUGH = 200
"""Captioned photos from which captions of real photos become sentences worth reading (docs/log.md)."""


class DiversityRecord(msgspec.Struct):
    """What captions are like as a whole: the model's, and one caption of people per image."""

    model: CaptionDiversity
    people: CaptionDiversity


class CaptionEvaluationRecord(EvaluationRecord, kw_only=True):
    """``evaluation-SPLIT.json`` of a captioner.

    Attributes:
        teacher_forced: How well the next word of people's captions is predicted.
        diversity: What the captions are like as a whole.
        verdict: Against captions that need no model, as found at the end of the training; None elsewhere.
    """

    teacher_forced: TeacherForced
    diversity: DiversityRecord
    verdict: Verdict | None = None


@dataclass(frozen=True)
class SaidCaption:
    """What was said of an image that was scored: of very many, the map of every word would fill the memory.

    Attributes:
        text: The caption.
        neighbours: Names of the training images that spoke for it; empty without a memory.
    """

    text: str
    neighbours: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptionEvaluation:
    """Captions of a split and what they score.

    Attributes:
        split: Which split, or ``all`` of other data.
        captions: The generated caption of each image, by name.
        references: What people wrote, by name.
        scores: Figures with intervals.
        beam_size: Captions searched side by side.
        diversity: What the captions are like as a whole.
        teacher_forced: How well the next word of people's captions is predicted.
        verdict: Against what needs no model; None where that was not asked.
    """

    split: str
    captions: dict[str, SaidCaption]
    references: dict[str, tuple[str, ...]]
    scores: CaptionScores
    beam_size: int
    diversity: DiversityRecord
    teacher_forced: TeacherForced
    verdict: Verdict | None = None

    @property
    def texts(self) -> dict[str, str]:
        """Return the generated captions as text, by name."""
        return {name: caption.text for name, caption in self.captions.items()}

    def _repr_html_(self) -> str:
        from showtell.kinds.captioner.showing import caption_evaluation_html

        return caption_evaluation_html(self)

    def figures(self) -> dict[str, float]:
        """Return the figures by name, without intervals."""
        return {name: float(getattr(self.scores, name)) for name in SCORE_NAMES}

    @property
    def cider_d(self) -> dict[str, float]:
        """Return the CIDEr-D of each caption by name, from the best to the worst."""
        by_name = dict(zip(self.scores.names, self.scores.per_image["cider_d"].tolist()))
        return dict(sorted(by_name.items(), key=lambda pair: (-pair[1], pair[0])))

    def record(self) -> CaptionEvaluationRecord:
        """Return what is kept in ``evaluation-SPLIT.json``."""
        return CaptionEvaluationRecord(
            split=self.split,
            images=self.scores.count,
            scores=self.figures(),
            intervals_95=dict(self.scores.intervals),
            beam_size=self.beam_size,
            teacher_forced=self.teacher_forced,
            diversity=self.diversity,
            verdict=self.verdict,
        )

    def lines(self) -> Iterator[JsonObject]:
        """Return what is kept of each image, from the best to the worst."""
        for name, cider_d in self.cider_d.items():
            yield {
                "image": name,
                "caption": self.captions[name].text,
                "neighbours": self.captions[name].neighbours,
                "references": self.references[name],
                "cider_d": cider_d,
            }

    def table(self) -> str:
        """Return the scores as a table with 95% intervals."""
        lines = [f"{self.split}, {self.scores.count:,} images, beam {self.beam_size}      95% interval"]
        for name, value in self.figures().items():
            low, high = self.scores.intervals[name]
            lines.append(f"  {name:<18} {value:7.4f}   {low:.4f} to {high:.4f}")
        return "\n".join(lines)

    def examples(self) -> str:
        """Return the best and the worst captions beside one of people."""
        ranked, lines = list(self.cider_d), []
        for title, names in (("Best", ranked[:_EXTREMES]), ("Worst", ranked[::-1][:_EXTREMES])):
            lines.append(f"{title} captions:")
            for name in names:
                lines += [
                    f"  {name}: {self.captions[name].text}",
                    f"    people: {self.references[name][0]}",
                ]
        return "\n".join(lines)


def evaluate_captions(captioner: Captioner, question: Question, *, beam_size: int) -> CaptionEvaluation:
    """Caption images from their cached features and score the captions.

    Args:
        captioner: In evaluation mode.
        question: The images; those without captions are left out.
        beam_size: Captions searched side by side.

    Raises:
        DataError: No image has a caption.
    """
    features, dataset = question.prepared.features, question.prepared.dataset
    images = tuple(image for image in question.prepared.images if image.captions)
    if not images:
        raise DataError(f"The {question.split} split of {dataset.source} has no image with captions.")
    captions = {
        name: SaidCaption(caption.text, tuple(one.image for one in caption.neighbours))
        for name, caption in caption_images(
            captioner, features, images, beam_size=beam_size, known=question.known
        )
    }
    texts = {name: caption.text for name, caption in captions.items()}
    references = {image.name: image.captions for image in images}
    known = [caption for image in question.training for caption in image.captions]
    return CaptionEvaluation(
        question.split,
        captions,
        references,
        caption_scores(references, texts),
        beam_size,
        DiversityRecord(*compared_diversity(texts, references, known)),
        teacher_forced(captioner, partial(read_grids, captioner, features), images, references),
    )


def caption_images(
    captioner: Captioner,
    features: Features,
    images: Sequence[AnnotatedImage],
    *,
    beam_size: int,
    known: Mapping[str, str] | None = None,
) -> Iterator[tuple[str, Caption]]:
    """Yield the name of each image and its best caption, with where the model attended.

    ``known`` is as in :class:`Question`: a memory does not answer with what it has of an image itself.
    """
    for part, grid in decoding_batches(captioner, features, images):
        recalled = recall(captioner, features, part, known)
        best = captioner.best(grid, recalled, beam_size=beam_size)
        yield from ((image.name, caption) for image, caption in zip(part, best))


def judge_captioner(
    captioner: Captioner, data: CaptionData, features: Features, evaluation: CaptionEvaluation
) -> Verdict:
    """Hold a trained captioner against the most frequent caption and the nearest image's.

    Args:
        captioner: In evaluation mode.
        data: Training and validation images, with features by one network.
        features: Grids of training images as the captioner reads them.
        evaluation: Of the validation images.
    """
    common, others = commonest_captions(data.train), data.train[:_ALSO_CAPTIONED]
    texts = generate_captions(captioner, features, others, beam_size=evaluation.beam_size)
    return judge(
        evaluation.references,
        evaluation.texts,
        evaluation.scores.intervals["cider_d"],
        {
            "the most frequent caption": dict.fromkeys(evaluation.captions, common),
            "the nearest image's": nearest_captions(data.features, data.train, data.validation),
        },
        others=list(texts.values()),
    )


def refuse_unlearnt(config: TrainCaptioner, recipe: Recipe, verdict: Verdict, images: int) -> None:
    """Refuse to call a model trained that is not known to have learnt anything.

    Args:
        config: Of the training.
        recipe: What followed from its data.
        verdict: Of the validation.
        images: Captioned ones, of all splits.

    Raises:
        NotLearntError: So it is.
    """
    if verdict.fault:
        raise NotLearntError(
            f"The captioner in {config.out} is not known to have learnt anything: {verdict.fault}.",
            hint=_what_would_help(config, recipe, verdict, images),
        )


def _what_would_help(config: TrainCaptioner, recipe: Recipe, verdict: Verdict, images: int) -> str:
    """Say what would help a model that has learnt nothing."""
    means = []
    if images < _ENOUGH:
        means.append(f"more captioned images (there are {images}; about {_ENOUGH} are a beginning)")
    if verdict.images < FEW_TO_CHOOSE:
        means.append(f"more images in validation than {verdict.images} (--val-size)")
    if config.weights is not None and "random" in config.weights.split(","):
        means.append("a pretrained backbone (--weights) in place of random weights")
    if config.epochs is not None:
        means.append(f"more --epochs than {config.epochs}")
    if not recipe.augmentations:
        means.append("augmentations = 8")
    if config.tokenizer == "bpe":
        means.append("--tokenizer word")
    if not means:
        means.append("captions that tell the images apart; another learning_rate or --seed")
    return f"What would help: {'; '.join(means)}."
