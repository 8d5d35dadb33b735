"""A model as a folder of plain files: config.json, model.safetensors, tokenizer.json, README.md."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from showtell.backbones.backbone import Backbone, state_hash
from showtell.backbones.description import BackboneDescription, Precision
from showtell.backbones.weights import restore_backbone
from showtell.errors import ModelError, WeightsError
from showtell.kinds.model_card import captioner_card, classifier_card
from showtell.models.attention import AttentionConfig
from showtell.models.captioner import Captioner
from showtell.models.heads import Head, HeadConfig, build_head
from showtell.text.tokenizer import CaptionTokenizer
from showtell.training.checkpoint import load_tensors, save_tensors

FORMAT = 1
"""Version of the folder's layout; a reader refuses later ones."""


@dataclass(frozen=True)
class ModelConfig:
    """What ``config.json`` of a captioner says.

    Attributes:
        format: Version of the layout.
        kind: What the model does.
        backbone: The network that looks, with its preprocessing.
        captioner: Sizes of the decoder.
        beam_size: Captions searched side by side, unless asked otherwise.
        provenance: Versions, data and scores of the training, for people.
        seals: SHA-256 of ``decoder`` (its state) and of ``tokenizer.json``: words swapped for others of the
            same number would otherwise pass unseen.
    """

    format: int
    kind: Literal["captioner"]
    backbone: BackboneDescription
    captioner: AttentionConfig
    beam_size: int
    provenance: dict[str, Any]
    seals: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassifierConfig:
    """What ``config.json`` of a classifier says.

    Attributes:
        format: Version of the layout.
        kind: What the model does.
        backbone: The network that looks, with its preprocessing.
        head: Sizes of the head.
        classes: Their names, in the order of the logits.
        temperature: What logits are divided by, so that probabilities mean what they say.
        provenance: Versions, data and scores of the training, for people.
        seals: SHA-256 of ``head``, its state, and of ``classes``.
    """

    format: int
    kind: Literal["classifier"]
    backbone: BackboneDescription
    head: HeadConfig
    classes: tuple[str, ...]
    temperature: float
    provenance: dict[str, Any]
    seals: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CaptionerModel:
    """A captioner with its backbone: all that a caption of a photo needs.

    Attributes:
        config: As saved.
        backbone: From pixels to grids.
        captioner: From grids to captions.
    """

    config: ModelConfig
    backbone: Backbone
    captioner: Captioner


@dataclass(frozen=True)
class ClassifierModel:
    """A classifier with its backbone: all that naming a photo needs.

    Attributes:
        config: As saved.
        backbone: From pixels to pooled features.
        head: From pooled features to logits.
    """

    config: ClassifierConfig
    backbone: Backbone
    head: Head

    @torch.inference_mode()
    def probabilities(self, pixels: Tensor) -> Tensor:
        """Name pictures: pixels (B, 3, height, width), uint8, to (B, classes), each row sums to 1."""
        return self.of_pooled(self.backbone(pixels)[1])

    def of_pooled(self, pooled: Tensor) -> Tensor:
        """Turn pooled features (B, D) into probabilities (B, classes)."""
        return (self.head(pooled) / self.config.temperature).softmax(1)


def save_captioner(
    folder: Path, backbone: Backbone, captioner: Captioner, *, beam_size: int, provenance: dict[str, Any]
) -> CaptionerModel:
    """Write a model folder; ``config.json`` comes last and makes it complete. Return what it holds."""
    _begin(folder)
    captioner.tokenizer.save(folder / "tokenizer.json")
    config = ModelConfig(
        format=FORMAT,
        kind="captioner",
        backbone=backbone.description,
        captioner=captioner.decoder.config,
        beam_size=beam_size,
        provenance=provenance,
        seals=_seals(folder, captioner),
    )
    tensors = {f"backbone.{name}": value for name, value in backbone.network.state_dict().items()}
    tensors |= {f"captioner.{name}": value for name, value in captioner.decoder.state_dict().items()}
    save_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    _finish(folder, config, captioner_card(config))
    return CaptionerModel(config, backbone, captioner)


def save_classifier(
    folder: Path,
    backbone: Backbone,
    head: Head,
    classes: Sequence[str],
    *,
    temperature: float,
    provenance: dict[str, Any],
) -> ClassifierModel:
    """Write a model folder; ``config.json`` comes last and makes it complete. Return what it holds."""
    _begin(folder)
    config = ClassifierConfig(
        format=FORMAT,
        kind="classifier",
        backbone=backbone.description,
        head=head.config,
        classes=tuple(classes),
        temperature=temperature,
        provenance=provenance,
        seals=_classifier_seals(head, classes),
    )
    tensors = {f"backbone.{name}": value for name, value in backbone.network.state_dict().items()}
    tensors |= {f"head.{name}": value for name, value in head.state_dict().items()}
    save_tensors(folder / "model.safetensors", tensors, {"format": "pt"})
    _finish(folder, config, classifier_card(config))
    return ClassifierModel(config, backbone, head)


def _begin(folder: Path) -> None:
    """Make a folder that counts as no model until :func:`_finish`, whatever it held before."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").unlink(missing_ok=True)


def _finish(folder: Path, config: ModelConfig | ClassifierConfig, card: str) -> None:
    (folder / "README.md").write_text(card, encoding="utf-8")
    partial = folder / ".config.json.partial"
    partial.write_text(json.dumps(asdict(config), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / "config.json")


def load_model(
    run: Path, device: torch.device | None = None, precision: Precision | None = None
) -> CaptionerModel | ClassifierModel:
    """Load a model from its folder, or from the run that holds it.

    Args:
        run: A run folder or a model folder.
        device: Where to put it; None for the CPU.
        precision: Of the backbone's arithmetic; None for that of the training.

    Raises:
        ModelError: It is missing, incomplete, of a later format, or its parts do not fit together.
    """
    folder = find_model(run)
    config = _read_config(folder)
    tensors, _ = load_tensors(folder / "model.safetensors")
    device = device or torch.device("cpu")
    try:
        backbone = restore_backbone(config.backbone, _part(tensors, "backbone."), precision).to(device)
        if isinstance(config, ClassifierConfig):
            return ClassifierModel(config, backbone, _load_head(folder, config, tensors).to(device).eval())
        return CaptionerModel(config, backbone, _load_captioner(folder, config, tensors).to(device).eval())
    except WeightsError as error:
        raise ModelError(error.what, would_do=error.would_do) from error
    except (RuntimeError, KeyError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise ModelError(f"{folder} does not fit together: {reason}", would_do=_CHANGED) from error


def _load_captioner(folder: Path, config: ModelConfig, tensors: dict[str, Tensor]) -> Captioner:
    tokenizer = CaptionTokenizer.load(folder / "tokenizer.json")
    if tokenizer.vocab_size != config.captioner.vocab_size:
        raise ModelError(
            f"{folder / 'tokenizer.json'} has {tokenizer.vocab_size} tokens; the model was trained with "
            f"{config.captioner.vocab_size}.",
            would_do=_CHANGED,
        )
    captioner = Captioner(config.captioner, tokenizer, config.backbone.grid_size)
    captioner.decoder.load_state_dict(_part(tensors, "captioner."))
    _check_seals(folder, config.seals, _seals(folder, captioner))
    return captioner


def _load_head(folder: Path, config: ClassifierConfig, tensors: dict[str, Tensor]) -> Head:
    head = build_head(config.head)
    head.load_state_dict(_part(tensors, "head."))
    if len(config.classes) != config.head.classes:
        raise ModelError(
            f"{folder} names {len(config.classes)} classes; its head knows {config.head.classes}.",
            would_do=_CHANGED,
        )
    _check_seals(folder, config.seals, _classifier_seals(head, config.classes))
    return head


def find_model(run: Path) -> Path:
    """Return the model folder of a run, or the folder itself where it is one.

    Raises:
        ModelError: There is no finished model.
    """
    for folder in (run / "model", run):
        if (folder / "model.safetensors").is_file() and (folder / "config.json").is_file():
            return folder
    if (run / "checkpoints").is_dir():
        raise ModelError(
            f"The training in {run} is not finished.",
            would_do="Repeat its command with --resume; it goes on from the last checkpoint.",
        )
    near = [found.parents[1] for place in (run, run.parent) for found in place.glob("*/model/config.json")]
    if near:
        names = ", ".join(map(str, sorted(near)[:5]))
        raise ModelError(f"There is no model in {run}.", would_do=f"There is one in {names}.")
    raise ModelError(
        f"There is no model in {run}.",
        would_do="Give the folder that --out named in training.",
        run="showtell train-captioner DATA --out RUN",
    )


def _read_config(folder: Path) -> ModelConfig | ClassifierConfig:
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}.") from error
    if isinstance(raw, dict) and isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
        raise ModelError(
            f"{path} has format {raw['format']}; this showtell reads up to {FORMAT}.",
            run="pip install --upgrade showtell",
        )
    try:
        if isinstance(raw, dict) and raw.get("kind") == "classifier":
            return msgspec.convert(raw, ClassifierConfig)
        return msgspec.convert(raw, ModelConfig)
    except msgspec.ValidationError as error:
        raise ModelError(f"{path} is not a model's config: {error}.") from error


_CHANGED = "The folder was changed after training; take an unchanged copy."


def _seals(folder: Path, captioner: Captioner) -> dict[str, str]:
    # As text, so that a copy with other line ends is still the same.
    words = (folder / "tokenizer.json").read_text(encoding="utf-8")
    return {
        "decoder": state_hash(captioner.decoder.state_dict()),
        "tokenizer.json": hashlib.sha256(words.encode()).hexdigest(),
    }


def _classifier_seals(head: Head, classes: Sequence[str]) -> dict[str, str]:
    names = json.dumps(list(classes), ensure_ascii=False)
    return {
        "head": state_hash(head.state_dict()),
        "classes": hashlib.sha256(names.encode()).hexdigest(),
    }


def _check_seals(folder: Path, seals: dict[str, str], found: dict[str, str]) -> None:
    for part, seal in seals.items():
        if found.get(part) != seal:
            raise ModelError(
                f"The {part} of {folder} has the SHA-256 {str(found.get(part))[:12]}; {seal[:12]} was saved.",
                would_do=_CHANGED,
            )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
