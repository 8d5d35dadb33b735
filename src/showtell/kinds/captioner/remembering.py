"""Filling a captioner's memory from training images, asking it of others, and its file in a model folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch

from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import ModelError
from showtell.extraction.features import Features
from showtell.kinds.model import CHANGED
from showtell.models.captioner import Captioner
from showtell.models.memory import CaptionMemory, MemoryConfig, Recollection

_EXACT = 100_000
"""Remembered images up to which the nearest of all are found in milliseconds."""


class _Remembered(msgspec.Struct):
    """A line of ``memory.json``."""

    image: str
    captions: tuple[str, ...]


def remember(features: Features, train: Sequence[AnnotatedImage], console: Console) -> CaptionMemory:
    """Make a memory of training images; say what then travels with the model.

    Args:
        features: Of the images, by the backbone that is used for inference.
        train: The images, with captions.
        console: Told what is kept.
    """
    captions = sum(len(image.captions) for image in train)
    slow = "" if len(train) <= _EXACT else f"; above {_EXACT:,} images, each answer waits for the search"
    console.say(
        f"Memory: {captions:,} captions and the pooled features of {len(train):,} training images stay in "
        f"the model, for whoever has it to read{slow}"
    )
    pooled = torch.from_numpy(features.pooled(train))
    return CaptionMemory.of(pooled, [image.name for image in train], [image.captions for image in train])


def recall(
    captioner: Captioner,
    features: Features,
    images: Sequence[AnnotatedImage],
    known: Mapping[str, str] | None = None,
) -> list[Recollection] | None:
    """Ask the memory of images with cached features, none of itself; None where there is no memory.

    Args:
        captioner: Whose memory is asked.
        features: Of the images.
        images: Which ones.
        known: The name in the memory of each image that may be there, by its own; None where it is the same.
    """
    memory = captioner.memory
    if memory is None:
        return None
    pooled = torch.from_numpy(features.pooled(images)).to(memory.directions.device)
    names = [image.name if known is None else known.get(image.name, "") for image in images]
    return memory.recall(pooled, names)


def memory_text(memory: CaptionMemory) -> str:
    """Return what ``memory.json`` holds: the images' names and captions; features are among the weights."""
    lines = [
        json.dumps({"image": name, "captions": captions}, ensure_ascii=False)
        for name, captions in zip(memory.names, memory.captions)
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def read_memory(path: Path, config: MemoryConfig) -> CaptionMemory:
    """Read a memory, its features still to be loaded with the weights.

    Raises:
        ModelError: The file is missing, or is of another model.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[_Remembered])
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read as a model's memory: {error}", hint=CHANGED) from error
    if len(found) != config.images:
        raise ModelError(f"{path} holds {len(found):,} images, not {config.images:,}.", hint=CHANGED)
    return CaptionMemory(config, [one.image for one in found], [one.captions for one in found])
