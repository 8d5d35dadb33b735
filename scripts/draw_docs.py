"""Draw the images of the documents from images that the package draws itself; the same each time.

Run: python scripts/draw_docs.py

The report is photographed in a browser: that takes playwright, chromium, and two minutes for the quickstart.
The lessons are run for their figures; they take as long.
"""

import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tyro
from PIL import Image

from showtell.console import Console
from showtell.kinds.report import write_report
from showtell.kinds.settings import Report
from showtell.lessons.lesson import all_lessons
from showtell.previews.preview import preview_augment, preview_normalize, preview_tokens
from showtell.previews.settings import PreviewAugment, PreviewNormalize, PreviewTokens
from showtell.quickstart.quickstart import run_quickstart
from showtell.quickstart.settings import Quickstart
from showtell.samples import draw_scene, make_scenes, write_captions_dataset, write_classes_dataset

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


def photograph_report(folder: Path, out: Path) -> list[Path]:
    """Photograph the top of the report of the quickstart's run, a word chosen; nothing without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        return []
    folder.mkdir()
    with chdir(folder):  # the report names its data and its run as they are typed
        run_quickstart(Quickstart(), Console())
        page = write_report(Report(run=Quickstart().out / "run")).resolve()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme="light")
        shown.goto(page.as_uri())
        cards = shown.locator(".cards").first
        cards.locator(".word").nth(2).click()
        shown.evaluate("scrollTo(0, 0)")
        shown.wait_for_timeout(500)  # until the attention has faded in
        end = cards.locator(".card").first.bounding_box()
        size = {"x": 0, "y": 0, "width": 1100, "height": end["y"] + end["height"] + 24}
        shown.screenshot(path=out, clip=size, full_page=True)
        browser.close()
    return [out]


def draw_lessons(folder: Path, out: Path) -> list[Path]:
    """Run each lesson; its figure is what it saves beside itself, at half the size."""
    folder.mkdir()
    made = []
    for lesson in all_lessons():
        script = folder / lesson.name
        script.write_text(lesson.text, encoding="utf-8")
        subprocess.run([sys.executable, script.name], cwd=folder, check=True)
        with Image.open(script.with_suffix(".png")) as figure:
            half = figure.convert("RGB").reduce(2)
        made.append(out / f"lesson-{lesson.number}.png")
        half.save(made[-1])
    return made


def make_small(path: Path) -> None:
    """Compress a drawing, keep 256 colours where that is not enough, and say its size."""
    with Image.open(path) as image:
        drawing = image.convert("RGB")
    drawing.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        drawing.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def draw(out: Path = PICTURES) -> None:
    """Draw all images into a folder."""
    with TemporaryDirectory() as folder:
        classes, dusk, english, korean = (Path(folder) / name for name in ("shapes", "dusk", "en", "ko"))
        write_classes_dataset(classes, count=COUNT, seed=0)
        write_captions_dataset(english, language="en", count=COUNT, seed=0)
        write_captions_dataset(korean, language="ko", count=COUNT, seed=0)
        draw_dusk(dusk)
        augment = PreviewAugment(data=classes, count=2, augmentations=5, out=out / "preview-augment.png")
        normalize = PreviewNormalize(data=dusk, out=out / "preview-normalize.png")
        words = PreviewTokens(data=english, min_count=RARE["en"], out=out / "preview-tokens.png")
        korean_words = PreviewTokens(data=korean, min_count=RARE["ko"], out=out / "preview-tokens.ko.png")
        made = [preview_augment(augment), preview_normalize(normalize)]
        made += [preview_tokens(words), preview_tokens(korean_words)]
        made += draw_lessons(Path(folder) / "lessons", out)
        made += photograph_report(Path(folder) / "desk", out.resolve() / "report.png")
    for path in made:
        make_small(path)


if __name__ == "__main__":
    tyro.cli(draw)
