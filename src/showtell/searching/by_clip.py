"""The images that a CLIP puts nearest to a text: its text tower, against what its image tower has encoded.

The image tower is a backbone as any other, whose features are in the store; its projection is the classifier
that timm leaves on it. The text tower lies beside its weights, in the files of open_clip.

Source: Radford et al. 2021, "Learning transferable visual models from natural language supervision".
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from showtell.backbones.backbone import Backbone
from showtell.backbones.sources import cached_on_hub
from showtell.data.images import load_pixels
from showtell.data.neighbours import Nearest
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, MissingExtraError, WeightsError
from showtell.extraction.features import Features
from showtell.samples import draw_scene, make_scenes
from showtell.searching.result import Match
from showtell.training.checkpoint import load_tensors

_CONFIG, _TENSORS = "open_clip_config.json", "open_clip_model.safetensors"
_SAME = 0.99
"""Cosine of what both give for one image, from which the text tower is of the backbone's weights."""


class ByClip:
    """Finds images by a text, by the cosine of both in the space that a CLIP shares between them."""

    score = "cosine"

    def __init__(self, clip: Any, tokenizer: Any, backbone: Backbone) -> None:
        self.by = f"the text tower of {backbone.description.architecture}"
        self._clip, self._tokenizer, self._backbone = clip, tokenizer, backbone

    @classmethod
    def of(cls, backbone: Backbone, weights: str | None) -> "ByClip":
        """Load the text tower of a backbone.

        Args:
            backbone: The image tower.
            weights: The folder of its weights; None for the cache of the hub. Nothing is downloaded.

        Raises:
            ConfigError: The backbone is no CLIP of open_clip.
            WeightsError: The text tower is not on this machine, or is that of other weights.
            MissingExtraError: open_clip is not installed.
        """
        name = backbone.description.architecture
        if "clip" not in name or not isinstance(backbone.network.get_classifier(), torch.nn.Linear):
            raise ConfigError(
                f"{name} does not know what a text means.",
                hint="Expected --run with one's own captioner, or a CLIP as --backbone, such as "
                "vit_base_patch32_clip_224.openai.",
            )
        try:
            from open_clip.model import CLIP
            from open_clip.tokenizer import SimpleTokenizer
        except ImportError as error:
            raise MissingExtraError("open_clip_torch", "clip", "The text tower of a CLIP") from error
        folder = Path(weights) if weights is not None and Path(weights).is_dir() else None
        config, tensors = (_find(file, name, folder) for file in (_CONFIG, _TENSORS))
        stated = json.loads(config.read_text(encoding="utf-8"))["model_cfg"]
        text = stated["text_cfg"]
        if "hf_model_name" in text or "hf_tokenizer_name" in text:
            raise ConfigError(
                f"The text tower of {name} is a model of its own, {text.get('hf_model_name', 'unnamed')}.",
                hint="Expected a CLIP with the tokenizer of open_clip.",
            )
        sizes = {key: stated[key] for key in ("embed_dim", "vision_cfg", "text_cfg")}
        clip = CLIP(**sizes, quick_gelu=stated.get("quick_gelu", False)).eval()
        clip.load_state_dict(load_tensors(tensors)[0])
        found = cls(clip, SimpleTokenizer(context_length=text.get("context_length", 77)), backbone)
        found._check(tensors)
        return found

    def among(self, images: Sequence[AnnotatedImage], features: Features) -> "ByClip":
        """Say which images can be found; return itself."""
        self._images = images
        pooled = torch.from_numpy(features.pooled(images))
        parts = [self._project(part) for part in pooled.split(4096)]
        self._nearest = Nearest(torch.cat(parts).numpy())
        return self

    @torch.inference_mode()
    def find(self, asked: str, count: int) -> list[Match]:
        """Find the images nearest to a text."""
        vector = self._clip.encode_text(self._tokenizer([asked])).float().numpy()
        places, cosines = self._nearest.search(vector.astype(np.float32), count)
        return [
            Match(self._images[place], cosine)
            for place, cosine in zip(places[0].tolist(), cosines[0].tolist())
        ]

    @torch.inference_mode()
    def _project(self, pooled: Tensor) -> Tensor:
        """Bring pooled features (N, D) into the shared space (N, E)."""
        projected: Tensor = self._backbone.network.get_classifier()(pooled.to(self._backbone.device).float())
        return projected.cpu()

    @torch.inference_mode()
    def _check(self, tensors: Path) -> None:
        """Refuse the text tower of other weights: both towers must see one image alike.

        Raises:
            WeightsError: They do not.
        """
        scene = draw_scene(make_scenes(0, 1, "train")[0], 320)
        pixels = load_pixels(scene, self._backbone.preprocessing).unsqueeze(0)
        ours = self._project(self._backbone(pixels.to(self._backbone.device))[1])
        theirs = self._clip.encode_image(self._backbone.normalise(pixels).cpu()).float()
        cosine = float(F.cosine_similarity(ours, theirs))
        if not cosine > _SAME:
            raise WeightsError(
                f"{tensors} is not of the weights of {self._backbone.description.architecture}: both encode "
                f"an image at a cosine of {cosine:.3f}.",
                hint="Expected the text tower of the same training.",
            )


def _find(file: str, name: str, folder: Path | None) -> Path:
    """Return a file of open_clip, in a folder or in the hub's cache.

    Raises:
        WeightsError: It is not there.
    """
    found = cached_on_hub(name, file) if folder is None else folder / file
    if found is None or not found.is_file():
        raise WeightsError(
            f"{file} of {name} is not {'in the cache of the hub' if folder is None else f'in {folder}'}: the "
            "text tower lies there.",
            hint="Download the repository of the network once; showtell downloads no text tower by itself.",
        )
    return found
