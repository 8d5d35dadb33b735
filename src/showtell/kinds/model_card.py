"""The README of a model: what it is, how it was made, and what it does not know.

A model folder gets a short one when it is saved; the Hub gets all that the run knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from showtell.backbones.description import BackboneDescription
from showtell.kinds.model import Card, Model, ModelConfig
from showtell.runs.records import EvaluationRecord

TO_FILL_IN = "**To be filled in by who trained it.**"
_HUB = "hub "
"""How a backbone's description says that its weights came from the Hub."""


@dataclass(frozen=True)
class Origin:
    """What a run tells of its model beyond the model's own record.

    Attributes:
        splits: How many images each split has.
        evaluations: What ``evaluate`` and the training wrote.
    """

    splits: Mapping[str, int] = field(default_factory=dict)
    evaluations: Sequence[EvaluationRecord] = ()


def short_card(model: Model[Any]) -> str:
    """Return the README of a model's folder."""
    card, config = model.card(), model.config
    scores = config.provenance.validation
    rows = [f"| {name} | {value:.4f} |" for name, value in scores.items()]
    return "\n\n".join(
        part
        for part in (
            f"# {_title(config)}",
            card.purpose,
            "    showtell predict THIS_FOLDER PICTURE",
            _facts(model),
            "\n".join(["| validation | |", "|---|---|", *rows]) if rows else "",
            card.limits + "\n",
        )
        if part
    )


def hub_card(model: Model[Any], name: str, origin: Origin, license: str | None) -> str:
    """Return the README that goes to the Hub, with the front matter that the Hub reads.

    Args:
        model: As it is sent.
        name: Of the repository, with its owner.
        origin: What the run tells.
        license: Its identifier on the Hub, such as ``mit``; None leaves it to be filled in.
    """
    local, config, card = name.rpartition("/")[2], model.config, model.card()
    licence = f"`{license}`, for the model." if license else TO_FILL_IN
    return f"""{_front_matter(config, card, license)}
# {_title(config)}

{card.purpose}

    pip install showtell
    showtell pull {name} {local}
    showtell predict {local} PICTURE

## How it was made

{_facts(model)}

## Data

{_data(config, origin)}

Whose images these are, what they show, and who may use them: {TO_FILL_IN}

## Scores

{_hub_scores(config, origin)}

## Limits

{card.limits}

It was not examined for what it says of people, nor for any use in which a mistake does harm.

## Licence

{licence} The weights of the backbone that it started from have a licence of their own.
"""


def is_hub_card(text: str) -> bool:
    """Say whether a README has front matter: then somebody has made it their own, or the Hub's."""
    return text.startswith("---\n")


def with_license(card: str, license: str) -> str:
    """Return a card with another licence in its front matter.

    Raises:
        ValueError: The front matter is no YAML.
    """
    from huggingface_hub import ModelCard

    try:
        found = ModelCard(card, ignore_metadata_errors=True)
    except Exception as error:  # of the reader of YAML, which is the Hub's own affair
        raise ValueError(f"its front matter is no YAML: {error}") from error
    found.data["license"] = license
    return str(found)


def _front_matter(config: ModelConfig, card: Card, license: str | None) -> str:
    from huggingface_hub import ModelCardData

    sources = [one.weights_source for one in config.backbone.networks]
    hub = [source.removeprefix(_HUB).split(",")[0] for source in sources if source.startswith(_HUB)]
    data = ModelCardData(
        license=license,
        library_name="showtell",
        pipeline_tag=card.pipeline_tag,
        base_model=(hub if len(hub) > 1 else hub[0]) if hub else None,
        tags=["showtell", card.tag, "timm"],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _title(config: ModelConfig) -> str:
    return f"A {config.kind} made with showtell"


def _facts(model: Model[Any]) -> str:
    known, card = model.config.provenance, model.card()
    chosen = (
        f"Trained on {_count(known.train_images)} images, chosen by {card.chosen_by} "
        f"{_count(known.val_images)} others"
    )
    backbones = map(_backbone_line, model.config.backbone.networks)
    return "\n".join(f"- {line}" for line in (*backbones, *card.made, chosen))


def _backbone_line(backbone: BackboneDescription) -> str:
    size = backbone.preprocessing
    crops = f", mean features of {backbone.crops} crops of an image" if backbone.crops > 1 else ""
    return (
        f"Backbone: {backbone.architecture}, weights from {backbone.weights_source}, input "
        f"{size.width}x{size.height}{crops}"
    )


def _data(config: ModelConfig, origin: Origin) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in origin.splits.items())
    splits = f"Images: {counts}. The split is by image, never by caption." if counts else ""
    data = config.provenance.data
    mark = f"SHA-256 of the data: `{data}`." if data else ""
    return " ".join(part for part in (splits, mark) if part) or "The run tells nothing of it."


def _hub_scores(config: ModelConfig, origin: Origin) -> str:
    # Of a score that says nothing, the limits say why.
    evaluations = [one for one in origin.evaluations if not one.doubt] or [_of_training(config)]
    tables = [_table(evaluation) for evaluation in evaluations if evaluation.scores]
    if not tables:
        return "None are recorded."
    if all(one.split == "val" and not one.folds for one in evaluations):
        tables.append("The val split also chose what was kept: fresh images score lower.")
    return "\n\n".join(tables)


def _of_training(config: ModelConfig) -> EvaluationRecord:
    """Return what the model itself records of its validation."""
    known = config.provenance
    scores = dict(known.validation)
    folds = int(scores.pop("folds", 0))
    scores.pop("groups", None)
    return EvaluationRecord(
        split="val", images=0 if folds else known.val_images or 0, scores=scores, folds=folds
    )


def _table(evaluation: EvaluationRecord) -> str:
    count = f", {evaluation.images:,} images" if evaluation.images else ""
    split = evaluation.split
    if evaluation.folds:
        split = f"cross-validation of train and val in {evaluation.folds} folds"
    count += f", beam {evaluation.beam_size}" if evaluation.beam_size else ""
    rows = []
    for name, value in evaluation.scores.items():
        interval = evaluation.intervals_95.get(name)
        low_high = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
        rows.append(f"| {name} | {value:.4f} | {low_high} |")
    return "\n".join([f"| {split}{count} | | 95% interval |", "|---|---|---|", *rows])


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
