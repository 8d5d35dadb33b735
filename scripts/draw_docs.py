"""Draw the pictures of the documents from pictures that the package draws itself; the same each time.

Run: python scripts/draw_docs.py
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro
from PIL import Image

from showtell.config import PreviewAugment, PreviewNormalize, PreviewTokens
from showtell.samples import draw_scene, make_scenes, write_captions_dataset, write_classes_dataset
from showtell.tasks.preview import preview_augment, preview_normalize, preview_tokens

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COUNT = 120
MOST_BYTES = 200_000
RARE = {"en": 12, "ko": 16}
"""Words that are seen less often stay unknown, so that the drawings show some."""


def draw_dusk(folder: Path) -> None:
    """Draw scenes in a light that fades to one corner, which gives them shadows as photos have."""
    folder.mkdir()
    across = np.linspace(0, 1, 192)
    light = 1 - 0.35 * (across[:, None] + across[None, :])
    scenes = make_scenes(0, 4 * COUNT, "train", related_share=1.0)
    large = [scene for scene in scenes if {group.size for group in scene.groups} == {"big"}]
    for number, scene in enumerate(large):
        lit = np.asarray(draw_scene(scene)) * light[..., None] * (1, 0.92, 0.8)
        Image.fromarray(lit.clip(0, 255).astype(np.uint8)).save(folder / f"scene-{number:03d}.png")


def make_small(path: Path) -> None:
    """Compress a drawing, keep 256 colours where that is not enough, and say its size."""
    with Image.open(path) as image:
        drawing = image.convert("RGB")
    drawing.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        drawing.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def draw(out: Path = PICTURES) -> None:
    """Draw all pictures into a folder."""
    with TemporaryDirectory() as folder:
        classes, dusk, english, korean = (Path(folder) / name for name in ("shapes", "dusk", "en", "ko"))
        write_classes_dataset(classes, count=COUNT, seed=0)
        write_captions_dataset(english, language="en", count=COUNT, seed=0)
        write_captions_dataset(korean, language="ko", count=COUNT, seed=0)
        draw_dusk(dusk)
        augment = PreviewAugment(data=classes, count=2, views=5, out=out / "preview-augment.png")
        normalize = PreviewNormalize(data=dusk, out=out / "preview-normalize.png")
        words = PreviewTokens(data=english, min_count=RARE["en"], out=out / "preview-tokens.png")
        korean_words = PreviewTokens(data=korean, min_count=RARE["ko"], out=out / "preview-tokens.ko.png")
        made = [preview_augment(augment), preview_normalize(normalize)]
        made += [preview_tokens(words), preview_tokens(korean_words)]
    for path in made:
        make_small(path)


if __name__ == "__main__":
    tyro.cli(draw)
