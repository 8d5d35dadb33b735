"""The README of a model folder: what the model is, how it was made, and what it does not know."""

from typing import TYPE_CHECKING, Any

from showtell.features.backbone import BackboneDescription

if TYPE_CHECKING:
    from showtell.model_folder import ClassifierConfig, ModelConfig


def captioner_card(config: "ModelConfig") -> str:
    """Return the README of a captioner."""
    backbone = config.backbone
    return f"""# A captioner made with showtell

Says in a sentence what a picture shows, and where it looked for each word.

    showtell predict THIS_FOLDER PICTURE

{_backbone_line(backbone)}
- Decoder: {config.captioner.cell.upper()} with additive attention over a
  {backbone.grid_size[0]}x{backbone.grid_size[1]} grid, {config.captioner.vocab_size} tokens
- Trained on {config.provenance.get("train_pictures", "?")} pictures, chosen by CIDEr-D on
  {config.provenance.get("val_pictures", "?")} others

{_scores(config.provenance)}

It knows the words and the kinds of pictures it was trained on, and nothing else; it states what is likely,
not what is true.
"""


def classifier_card(config: "ClassifierConfig") -> str:
    """Return the README of a classifier."""
    names = ", ".join(config.classes[:20]) + (", ..." if len(config.classes) > 20 else "")
    warning = config.provenance.get("warning")
    return f"""# A classifier made with showtell

Tells {len(config.classes)} classes apart: {names}

    showtell predict THIS_FOLDER PICTURE

{_backbone_line(config.backbone)}
- Head: {config.head.kind} on {config.backbone.pooled_dim} features; temperature {config.temperature:.3f}
- Trained on {config.provenance.get("train_pictures", "?")} pictures, chosen by
  {config.provenance.get("val_pictures", "?")} others

{_scores(config.provenance)}
{f"{chr(10)}{warning}{chr(10)}" if warning else ""}
It knows these classes and nothing else: shown anything different, it still names one of them.
"""


def _backbone_line(backbone: BackboneDescription) -> str:
    size = backbone.preprocessing
    return (
        f"- Backbone: {backbone.architecture}, weights from {backbone.weights_source}, input\n"
        f"  {size.width}x{size.height}"
    )


def _scores(provenance: dict[str, Any]) -> str:
    scores = provenance.get("validation", {})
    lines = [f"| {name} | {value:.4f} |" for name, value in scores.items()]
    return "\n".join(["| validation | |", "|---|---|", *lines]) if lines else ""
