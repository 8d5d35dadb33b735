"""All images on a plane, those that look alike near each other: by their features, for the page."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from showtell.console import Console
from showtell.data.images import Preprocessing, open_image
from showtell.data.neighbours import unit_vectors
from showtell.data.records import AnnotatedImage
from showtell.errors import ImageError, MissingExtraError
from showtell.notebook import data_uri

Method = Literal["pca", "umap"]
Floats = npt.NDArray[np.float32]
MOST = 10_000
"""Images of a map; of more, as many at equal distances."""
_PIXELS, _SMALLEST, _LARGEST = 20_000_000, 44, 120
"""Of all small copies together (about 8 MB), and of a side of one."""
_SHEET, _QUALITY = 2640, 70
"""Side of a sheet of small copies, pixels, and its JPEG quality."""
_UNIT = 10_000
"""Places are written as whole numbers up to this."""


@dataclass(frozen=True)
class ImageMap:
    """Images on a plane.

    Attributes:
        images: N of them.
        places: (N, 2), in [0, 1].
        by: What it is made by and what it shows, in words.
    """

    images: tuple[AnnotatedImage, ...]
    places: Floats
    by: str


def map_of(images: Sequence[AnnotatedImage], vectors: Floats, by: str, method: Method) -> ImageMap:
    """Lay images out on a plane.

    Args:
        images: At least one.
        vectors: Their features, (N, D).
        by: What the features are, in words.
        method: PCA, which keeps distances as far as a plane can; or UMAP, which keeps who is near whom.

    Raises:
        MissingExtraError: umap-learn is not installed.
    """
    step = -(-len(images) // MOST)
    images, units = tuple(images[::step]), unit_vectors(vectors[::step])
    if method == "umap" and len(images) > 3:
        places, how = _umap(units), "UMAP"
    else:
        places, share = principal_plane(units)
        how = f"PCA, which keeps {share:.0%} of their variance"
    low, extent = places.min(0), np.maximum(np.ptp(places, axis=0), 1e-9)
    sampled = f"; one in {step} images" if step > 1 else ""
    return ImageMap(images, (places - low) / extent, f"{by} by {how}{sampled}")


def principal_plane(vectors: Floats) -> tuple[Floats, float]:
    """Return the first two principal components of vectors (N, D) as (N, 2), and their share of the variance.

    Each component points where its largest loading is positive, so that the same data gives the same map.
    """
    centred = (vectors - vectors.mean(0)).astype(np.float64)
    values, axes = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = axes[:, :-3:-1]
    largest = np.abs(axes).argmax(0)
    axes = axes * np.sign(axes[largest, range(axes.shape[1])])
    places = centred @ axes
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    share = float(values[-2:].sum() / max(values.sum(), 1e-12))
    return places.astype(np.float32), share


def _umap(vectors: Floats) -> Floats:
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingExtraError("umap-learn", "map", "A map by UMAP") from error
    neighbours = min(15, len(vectors) - 1)
    found: Floats = UMAP(metric="cosine", n_neighbors=neighbours, random_state=0, n_jobs=1).fit_transform(
        vectors
    )
    return found


def map_for_page(drawn: ImageMap, paths: Mapping[str, Path], console: Console) -> dict[str, object]:
    """Return what the template needs of a map: places, names and groups as JSON, and sheets of small copies.

    Args:
        drawn: The map.
        paths: The files of the images by their names.
        console: Told the progress.
    """
    images = drawn.images
    side = int(min(_LARGEST, max(_SMALLEST, (_PIXELS / len(images)) ** 0.5)))
    groups = [image.label or image.split or "" for image in images]
    named = sorted(set(groups) - {""})
    data = {
        "side": side,
        "columns": _SHEET // side,
        "places": (drawn.places * _UNIT).round().astype(int).ravel().tolist(),
        "names": [image.name for image in images],
        "groups": [named.index(group) if group else -1 for group in groups],
        "named": named,
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return {
        "by": drawn.by,
        "count": len(images),
        # Within a script element nothing is unescaped, and only this could end it.
        "data": Markup(text.replace("<", "\\u003c")),
        "sheets": _sheets([paths[image.name] for image in images], side, console),
    }


def _sheets(paths: Sequence[Path], side: int, console: Console) -> list[Markup]:
    """Return small copies of images side by side, row by row, on as many sheets as they take."""
    shrink = Preprocessing(side, side, "stretch", 1.0, "bilinear", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def small(path: Path) -> Image.Image | None:
        try:
            image = open_image(path, shrink_to=shrink)
        except ImageError:
            return None
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        return image.resize((side, side), Image.Resampling.BILINEAR, (left, top, left + short, top + short))

    columns = _SHEET // side
    sheets = []
    with ThreadPoolExecutor() as workers, console.bar(len(paths), "drawing the map", "images") as bar:
        copies = workers.map(small, paths)
        for start in range(0, len(paths), columns * columns):
            count = min(columns * columns, len(paths) - start)
            sheet = Image.new("RGB", (columns * side, -(-count // columns) * side), "#808080")
            for place in range(count):
                copy = next(copies)
                if copy is not None:
                    sheet.paste(copy, (place % columns * side, place // columns * side))
                bar.update(1)
            sheets.append(Markup(data_uri(sheet, side=_SHEET, quality=_QUALITY)))
    return sheets
