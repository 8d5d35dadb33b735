"""Drawn scenes written as the data sets that people bring: captions with images, and class folders."""

import json
import unicodedata
from pathlib import Path

from showtell.data.records import Split
from showtell.samples.drawing import draw_scene
from showtell.samples.grammar import Language, class_name, write_captions
from showtell.samples.scenes import Scene, make_scenes

CAPTIONS_FILE = "captions.json"
PICTURES_FOLDER = "images"


def _sizes(count: int) -> dict[Split, int]:
    """Divide a number of images: a twelfth for validation, an eighth for test, at least one each."""
    val, test = max(1, count // 12), max(1, count // 8)
    return {"train": max(1, count - val - test), "val": val, "test": test}


def _draw(scene: Scene, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_scene(scene).save(path)


def write_captions_dataset(folder: Path, *, language: Language, count: int, seed: int) -> dict[str, Scene]:
    """Write drawn images with a Karpathy JSON of captions and splits.

    An image of train has one caption, in the plain way; one of val or test has every right caption.

    Args:
        folder: Where ``captions.json`` and ``images/`` are written; made if missing.
        language: Of the captions.
        count: Number of images over all splits, 3 or more.
        seed: Any integer; the same seed gives the same files.

    Returns:
        The scene of each image by its file name, in the order of the JSON.
    """
    scenes: dict[str, Scene] = {}
    images: list[dict[str, object]] = []
    for split, share in _sizes(count).items():
        for place, scene in enumerate(make_scenes(seed, share, split)):
            name = f"{split}_{place:05d}.png"
            _draw(scene, folder / PICTURES_FOLDER / name)
            scenes[name] = scene
            captions = write_captions(scene, language)
            sentences = [
                {"raw": caption, "tokens": caption.split(), "imgid": len(images)}
                for caption in (captions[:1] if split == "train" else captions)
            ]
            images.append(
                {
                    "imgid": len(images),
                    "filename": name,
                    "filepath": PICTURES_FOLDER,
                    "split": split,
                    "sentences": sentences,
                }
            )
    table = {"dataset": "showtell scenes", "images": images}
    (folder / CAPTIONS_FILE).write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")
    return scenes


def write_classes_dataset(
    folder: Path, *, count: int, seed: int, language: Language = "en"
) -> dict[str, Scene]:
    """Write drawn images of one group each as class folders ``SPLIT/SHAPE/NAME.png``.

    Val and test show each shape in colours or counts in which train never shows it.

    Args:
        folder: Where ``train/``, ``val/`` and ``test/`` are written; made if missing.
        count: Number of images over all splits, 3 or more.
        seed: Any integer; the same seed gives the same files.
        language: Of the folder names.

    Returns:
        The scene of each image by its path in the folder, with forward slashes.
    """
    scenes: dict[str, Scene] = {}
    for split, share in _sizes(count).items():
        for place, scene in enumerate(make_scenes(seed, share, split, related_share=0.0)):
            label = unicodedata.normalize("NFC", class_name(scene.groups[0].shape, language))
            name = f"{split}/{label}/{place:05d}.png"
            _draw(scene, folder / name)
            scenes[name] = scene
    return scenes
