"""Go on from a finished run (``--from RUN``): with its network, its splits, and what was corrected of it."""

import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from showtell.console import Console, many
from showtell.data.answers import MACHINE
from showtell.data.records import SPLITS, Dataset
from showtell.errors import ConfigError
from showtell.kinds.kind import AnyModel, find_kind
from showtell.kinds.model_folder import load_model
from showtell.runs.corrections import Column, Corrections, learnt_corrections, with_corrections
from showtell.runs.run import Run
from showtell.runs.settings import FineTuningSettings
from showtell.runs.trained_data import digests_of
from showtell.runtime import choose_device
from showtell.settings import spelled
from showtell.store.store import FeatureStore

S = TypeVar("S", bound=FineTuningSettings)
_NETWORK = ("backbone", "weights", "image_size", "resize")
"""Settings that shape the features: those of the run, whose weights were made to read them."""
_RUN_BY = ("engine", "precision")
"""Settings that a loaded model does not have: torch runs it, and the fastest engine fills the store."""


def inherit(settings: S, shape: Sequence[str] = ()) -> S:
    """Return settings with what the run that they go on from says; as they are where there is none.

    Args:
        settings: Of the new training.
        shape: Settings that shape the model, besides those of its backbone.

    Raises:
        ConfigError: A setting differs from that of the run; or the backbone is to be trained, too.
        ModelError: There is no finished run of this kind.
    """
    if settings.from_run is None:
        return settings
    if settings.fine_tune is not None:
        raise ConfigError(
            "--from goes on with the heads and words of a run, and --fine-tune with its network.",
            hint="Leave one of them out: fine-tuning starts from the network's own weights.",
        )
    trained = settings_of_run(settings.from_run, type(settings))
    defaults = {field.name: field.default for field in fields(settings)}
    of_run = {name: getattr(trained, name) for name in (*_NETWORK, *shape)}
    of_run |= {name: defaults[name] for name in _RUN_BY}
    for name, own in of_run.items():
        given = getattr(settings, name)
        if given not in (defaults[name], own):
            raise ConfigError(
                f"{spelled(settings, name)} {given} does not go with --from {settings.from_run}, which has "
                f"{'its own' if own is None else own}.",
                hint="Leave it out, or train anew without --from.",
            )
    return replace(settings, **of_run)


def settings_of_run(folder: Path, wanted: type[S]) -> S:
    """Return the settings of a run that a training of the same kind goes on from.

    Raises:
        ConfigError: The run is of another kind.
        ModelError: There is no finished run.
    """
    run = Run(folder)
    kind = find_kind(run.record.kind)
    if not issubclass(wanted, kind.Settings):
        raise ConfigError(
            f"--from {folder} is a {kind.name}, and this command trains another kind.",
            hint="Expected a run of the same kind.",
            run=f"showtell train-{kind.name} --from {shlex.quote(str(folder))}",
        )
    return run.settings(wanted)


def load_start(settings: FineTuningSettings) -> AnyModel:
    """Load the model that a training goes on from."""
    assert settings.from_run is not None
    return load_model(settings.from_run, choose_device(settings.device))


def corrected_texts(settings: FineTuningSettings, column: Column) -> list[str]:
    """Return what was corrected of the run that a training goes on from; nothing where there is none."""
    if settings.from_run is None:
        return []
    answers = Corrections(Run(settings.from_run), column).table.read()
    return [answer.text for answer in answers if answer.who != MACHINE]


def continued(
    dataset: Dataset, settings: FineTuningSettings, column: Column, store: FeatureStore, console: Console
) -> Dataset:
    """Return data with the splits and the corrections of the run that a training goes on from.

    An image that the run trained on is never scored, and one that it was scored on is never trained on,
    whatever they are called now. As it is where a training starts from nothing.

    Args:
        dataset: As read.
        settings: Of the new training.
        column: What is learnt of an image.
        store: Remembers the content of files.
        console: Told what was corrected, and how many images are new.

    Raises:
        ModelError: The run does not know its images.
        DataError: Its corrections cannot be read.
    """
    if settings.from_run is None:
        return dataset
    run = Run(settings.from_run)
    recorded = {record.sha256: record.split for record in run.images}
    known = {image.name: digest for image, digest in digests_of(dataset.images, store)}
    splits = {
        name: split for split in SPLITS for name, digest in known.items() if recorded.get(digest) == split
    }
    images = tuple(replace(image, split=splits.get(image.name, image.split)) for image in dataset.images)
    corrections = [*learnt_corrections(run, column, console), *Corrections(run, column).read()]
    digests = [bytes.fromhex(known[image.name]) if image.name in known else None for image in images]
    found = with_corrections(replace(dataset, images=images), digests, corrections, column)
    kept = f"{len(splits):,} of {many(len(images), 'image', 'images')} keep its splits"
    console.say(f"Going on from {run.folder}: {kept}")
    if corrections:
        right = {one.digest for one in corrections}
        old = [image for image, digest in zip(found.images, digests) if digest in right]
        where = Counter(image.split for image in [*old, *found.images[len(images) :]])
        shown = ", ".join(f"{where[split]:,} in {split}" for split in SPLITS if where[split])
        whose = run.folder if run.before is None else f"{run.folder} and what it went on from"
        console.say(f"Corrections: {len(corrections):,} of {whose}; of their images {shown}")
    return found
