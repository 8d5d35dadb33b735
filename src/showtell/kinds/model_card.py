"""The README of a model: what it is, how it was made, and what it does not know.

A model folder gets a short one when it is saved; the Hub gets all that the run knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from showtell.backbones.description import BackboneDescription

if TYPE_CHECKING:
    from showtell.kinds.model_folder import ClassifierConfig, ModelConfig

    Config: TypeAlias = ModelConfig | ClassifierConfig

TO_FILL_IN = "**To be filled in by who trained it.**"
_SHOWN = 20
"""Classes that are named."""
_HUB = "hub "
"""How a backbone's description says that its weights came from the Hub."""


@dataclass(frozen=True)
class Origin:
    """What a run tells of its model beyond the model's own record.

    Attributes:
        splits: How many pictures each split has.
        evaluations: What ``evaluate`` and the training wrote: ``split``, ``pictures``, ``scores``,
            ``intervals_95``, and for captions ``beam_size``.
    """

    splits: Mapping[str, int] = field(default_factory=dict)
    evaluations: Sequence[Mapping[str, Any]] = ()


def captioner_card(config: "ModelConfig") -> str:
    """Return the README of a captioner's folder."""
    return _short_card(config)


def classifier_card(config: "ClassifierConfig") -> str:
    """Return the README of a classifier's folder."""
    return _short_card(config)


def hub_card(config: "Config", name: str, origin: Origin, license: str | None) -> str:
    """Return the README that goes to the Hub, with the front matter that the Hub reads.

    Args:
        config: Of the model.
        name: Of the repository, with its owner.
        origin: What the run tells.
        license: Its identifier on the Hub, such as ``mit``; None leaves it to be filled in.
    """
    local = name.rpartition("/")[2]
    licence = f"`{license}`, for the model." if license else TO_FILL_IN
    return f"""{_front_matter(config, license)}
# {_title(config)}

{_purpose(config)}

    pip install showtell
    showtell pull {name} {local}
    showtell predict {local} PICTURE

## How it was made

{_facts(config)}

## Data

{_data(config, origin)}

Whose pictures these are, what they show, and who may use them: {TO_FILL_IN}

## Scores

{_hub_scores(config, origin)}

## Limits

{_limits(config)}

It was not examined for what it says of people, nor for any use in which a mistake does harm.

## Licence

{licence} The weights of the backbone that it started from have a licence of their own.
"""


def is_hub_card(text: str) -> bool:
    """Say whether a README has front matter: then somebody has made it their own, or the Hub's."""
    return text.startswith("---\n")


def with_license(card: str, license: str) -> str:
    """Return a card with another licence in its front matter."""
    from huggingface_hub import ModelCard

    found = ModelCard(card, ignore_metadata_errors=True)
    found.data["license"] = license
    return str(found)


def _front_matter(config: "Config", license: str | None) -> str:
    from huggingface_hub import ModelCardData

    captions = config.kind == "captioner"
    source = config.backbone.weights_source
    data = ModelCardData(
        license=license,
        library_name="showtell",
        pipeline_tag="image-to-text" if captions else "image-classification",
        base_model=source.removeprefix(_HUB).split(",")[0] if source.startswith(_HUB) else None,
        tags=["showtell", "image-captioning" if captions else "image-classification", "timm"],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def _short_card(config: "Config") -> str:
    scores = config.provenance.get("validation", {})
    rows = [f"| {name} | {value:.4f} |" for name, value in scores.items()]
    return "\n\n".join(
        part
        for part in (
            f"# {_title(config)}",
            _purpose(config),
            "    showtell predict THIS_FOLDER PICTURE",
            _facts(config),
            "\n".join(["| validation | |", "|---|---|", *rows]) if rows else "",
            _limits(config) + "\n",
        )
        if part
    )


def _title(config: "Config") -> str:
    return f"A {config.kind} made with showtell"


def _purpose(config: "Config") -> str:
    if config.kind == "captioner":
        return "Says in a sentence what a picture shows, and where it looked for each word."
    names = ", ".join(config.classes[:_SHOWN]) + (", ..." if len(config.classes) > _SHOWN else "")
    return f"Tells {len(config.classes)} classes apart: {names}"


def _facts(config: "Config") -> str:
    known = config.provenance
    if config.kind == "captioner":
        rows, columns = config.backbone.grid_size
        made = (
            f"- Decoder: {config.captioner.cell.upper()} with additive attention over a {rows}x{columns} "
            f"grid, {config.captioner.vocab_size:,} tokens"
        )
        by = "CIDEr-D of its captions of"
    else:
        head = config.head.kind
        made = (
            f"- Head: {head} on {config.backbone.pooled_dim} features; temperature {config.temperature:.3f}"
        )
        by = "its answers for"
    train, val = known.get("train_pictures", "?"), known.get("val_pictures", "?")
    chosen = f"- Trained on {_count(train)} pictures, chosen by {by} {_count(val)} others"
    return f"{_backbone_line(config.backbone)}\n{made}\n{chosen}"


def _limits(config: "Config") -> str:
    if config.kind == "captioner":
        return (
            "It knows the words and the kinds of pictures it was trained on, and nothing else; it states "
            "what is likely, not what is true."
        )
    warning = config.provenance.get("warning")
    alike = "It knows these classes and nothing else: shown anything different, it still names one of them."
    return f"{warning}\n\n{alike}" if warning else alike


def _backbone_line(backbone: BackboneDescription) -> str:
    size = backbone.preprocessing
    return (
        f"- Backbone: {backbone.architecture}, weights from {backbone.weights_source}, input "
        f"{size.width}x{size.height}"
    )


def _data(config: "Config", origin: Origin) -> str:
    counts = ", ".join(f"{count:,} {split}" for split, count in origin.splits.items())
    splits = f"Pictures: {counts}. The split is by picture, never by caption." if counts else ""
    print_ = config.provenance.get("data")
    mark = f"SHA-256 of the data: `{print_}`." if print_ else ""
    return " ".join(part for part in (splits, mark) if part) or "The run tells nothing of it."


def _hub_scores(config: "Config", origin: Origin) -> str:
    evaluations = origin.evaluations
    if not evaluations:
        scores = config.provenance.get("validation", {})
        evaluations = [
            {"split": "val", "pictures": config.provenance.get("val_pictures", "?"), "scores": scores}
        ]
    tables = [_table(evaluation) for evaluation in evaluations if evaluation.get("scores")]
    if not tables:
        return "None are recorded."
    if all(evaluation["split"] != "test" for evaluation in evaluations):
        tables.append("The val split also chose what was kept: fresh pictures score lower.")
    return "\n\n".join(tables)


def _table(evaluation: Mapping[str, Any]) -> str:
    beam = f", beam {evaluation['beam_size']}" if "beam_size" in evaluation else ""
    head = f"| {evaluation['split']}, {_count(evaluation['pictures'])} pictures{beam} | | 95% interval |"
    intervals = evaluation.get("intervals_95", {})
    rows = []
    for name, value in evaluation["scores"].items():
        low_high = "{:.4f} to {:.4f}".format(*intervals[name]) if name in intervals else ""
        rows.append(f"| {name} | {value:.4f} | {low_high} |")
    return "\n".join([head, "|---|---|---|", *rows])


def _count(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)
