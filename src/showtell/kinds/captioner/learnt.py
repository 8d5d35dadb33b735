"""Whether a captioner has learnt anything, and what would help one that has not."""

from showtell.errors import NotLearntError
from showtell.evaluation.verdict import Verdict, commonest_captions, judge, nearest_captions
from showtell.extraction.features import Features
from showtell.kinds.captioner.evaluation import CaptionEvaluation
from showtell.kinds.captioner.recipe import FEW_TO_CHOOSE, Recipe
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.trainee import CaptionTrainee, describe_images

_ALSO_DESCRIBED = 20
"""Training images that are captioned, too, to see whether a model says the same of all."""
_ENOUGH = 200
"""Captioned photos from which captions of real photos become sentences worth reading (docs/log.md)."""


def judge_captioner(trainee: CaptionTrainee, extraction: Features, evaluation: CaptionEvaluation) -> Verdict:
    """Hold a trained captioner against the most frequent caption and the nearest image's.

    Args:
        trainee: Holds the captioner and its images.
        extraction: Features of training and validation images by the same network.
        evaluation: Of the validation images.
    """
    common = commonest_captions(trainee.train)
    others = describe_images(
        trainee.captioner, extraction, trainee.train[:_ALSO_DESCRIBED], beam_size=evaluation.beam_size
    )
    return judge(
        evaluation.references,
        evaluation.texts,
        evaluation.scores.intervals["cider_d"],
        {
            "the most frequent caption": dict.fromkeys(evaluation.captions, common),
            "the nearest image's": nearest_captions(extraction, trainee.train, trainee.validation),
        },
        others=list(others.values()),
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
    if config.weights == "random":
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
