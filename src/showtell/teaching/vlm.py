"""Captions by an image-to-text model of transformers, whose weights the user has already."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from showtell.data.images import open_image
from showtell.errors import MissingExtraError, ModelError

_LONGEST = 40
"""Tokens of a caption."""


class ImageToText:
    """A model that writes a sentence of an image.

    Args:
        name: A folder, or a name in the cache of the Hugging Face Hub.

    Raises:
        MissingExtraError: transformers is not installed.
        ModelError: The weights are not on this machine, or are of another kind of model.
    """

    def __init__(self, name: str) -> None:
        if find_spec("transformers") is None:
            raise MissingExtraError("transformers", "vlm", "Captions by an image-to-text model")
        import transformers

        here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        self.name = name
        try:
            self._images = transformers.AutoImageProcessor.from_pretrained(name, **here)
            self._words = transformers.AutoTokenizer.from_pretrained(name, **here)
            kind = transformers.AutoModelForImageTextToText
            self._model = kind.from_pretrained(name, use_safetensors=True, **here).eval()
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{name} is not an image-to-text model on this machine: {str(error).splitlines()[0]}",
                hint="Expected a folder, or a name in the Hugging Face cache, with safetensors weights; "
                "nothing is downloaded.",
            ) from error

    @torch.inference_mode()
    def caption(self, path: Path) -> str:
        """Write a caption of an image.

        Raises:
            ImageError: It cannot be read.
        """
        pixels = self._images(images=open_image(path), return_tensors="pt")
        ids = self._model.generate(**pixels, max_new_tokens=_LONGEST, do_sample=False)
        return " ".join(self._words.decode(ids[0], skip_special_tokens=True).split())
