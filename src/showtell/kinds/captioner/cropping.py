"""Whether a trained captioner takes crops of an image: where validation is better with them."""

from showtell.backbones.backbone import Backbone
from showtell.backbones.crops import CROPS
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.kinds.captioner.settings import FEW_TO_CHOOSE, TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask
from showtell.kinds.training import Session
from showtell.training.checkpoint import Progress

_SMALL_NETWORK = 10_000_000
"""Parameters up to which a network encodes several crops in the time of a search (docs/log.md)."""


def choose_crops(
    session: Session[TrainCaptioner],
    used: Backbone,
    features: Features,
    task: CaptionTask,
    progress: Progress,
) -> tuple[Backbone, Features]:
    """Return what the model encodes with, crops of an image included where they help, and its features.

    Crops blur where things are and how many: where captions tell that, validation says so (docs/log.md).

    Args:
        session: Of the training.
        used: What it encodes with from whole images.
        features: Of validation, by that.
        task: With the captioner as it is kept.
        progress: Of the training: how well it scored from whole images.
    """
    console, validation = session.console, task.data.validation
    if (crops := crops_to_try(session.settings, used, len(validation))) == 1:
        return used, features
    cropping, executor = used.with_crops(crops), session.settings.build_executor()
    encoder = session.by_engine(cropping, validation)
    cropped = extract_features(validation, encoder, session.store, console=console, executor=executor)
    if session.settings.test_crops is not None:
        return cropping, cropped
    score, whole = task.score(cropped), progress.best_score
    kept = score > whole
    console.say(
        f"Mean features of {crops} crops of an image (test_crops): CIDEr-D {score:.3f} of validation, "
        f"{whole:.3f} of whole images; {'crops' if kept else 'whole images'} are kept"
    )
    return (cropping, cropped) if kept else (used, features)


def crops_to_try(settings: TrainCaptioner, backbone: Backbone, validation: int) -> int:
    """Return how many crops the finished model may take: by default all where that may pay.

    Args:
        settings: As given.
        backbone: What the model encodes with.
        validation: Images that can tell whether it pays.
    """
    if settings.test_crops is not None:
        return settings.test_crops
    size = sum(value.numel() for value in backbone.network.parameters())
    may = len(backbone.parts) == 1 and size <= _SMALL_NETWORK and validation >= FEW_TO_CHOOSE
    return len(CROPS) if may else 1
