"""Scenes drawn with Pillow: soft backgrounds, shaded shapes with smooth edges, a little shadow.

A drawing is a pure function of its scene. Lengths are in image widths, so a scene looks the same at any
size.
"""

import colorsys
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from showtell.samples.scenes import Colour, Group, Scene, Shape, Size

Point = tuple[float, float]


def _circle() -> list[Point]:
    return [(0.92 * math.cos(math.tau * k / 60), 0.92 * math.sin(math.tau * k / 60)) for k in range(60)]


def _square() -> list[Point]:
    return [(-0.78, -0.78), (0.78, -0.78), (0.78, 0.78), (-0.78, 0.78)]


def _triangle() -> list[Point]:
    return [(0.0, -0.95), (0.95, 0.72), (-0.95, 0.72)]


def _star() -> list[Point]:
    corners = []
    for k in range(10):
        radius = 1.0 if k % 2 == 0 else 0.45
        corners.append((radius * math.sin(math.pi * k / 5), -radius * math.cos(math.pi * k / 5)))
    return corners


def _heart() -> list[Point]:
    outline = []
    for k in range(60):
        t = math.tau * k / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        outline.append((x / 17, -(y + 2.5) / 17))
    return outline


def _diamond() -> list[Point]:
    return [(0.0, -1.0), (0.66, 0.0), (0.0, 1.0), (-0.66, 0.0)]


_DRAWERS: dict[Shape, Callable[[], list[Point]]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "heart": _heart,
    "diamond": _diamond,
}

OUTLINES: dict[Shape, tuple[Point, ...]] = {shape: tuple(draw()) for shape, draw in _DRAWERS.items()}


DRAWING_SIZE = 192
_OVERSAMPLING = 4
_GAP = 0.025

_RADII: dict[Size, tuple[float, float]] = {"big": (0.135, 0.155), "small": (0.072, 0.084)}
# Hue in degrees with its play, saturation, brightness.
_PAINTS: dict[Colour, tuple[float, float, float, float]] = {
    "red": (356.0, 5.0, 0.80, 0.90),
    "orange": (27.0, 4.0, 0.85, 0.97),
    "yellow": (51.0, 4.0, 0.78, 0.99),
    "green": (135.0, 14.0, 0.65, 0.70),
    "blue": (216.0, 10.0, 0.75, 0.90),
    "purple": (278.0, 9.0, 0.58, 0.78),
}

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """One object where it is drawn."""

    group: Group  # what it is one of
    x: float  # centre, 0 at the left edge to 1 at the right
    y: float  # centre, 0 at the top edge to 1 at the bottom
    radius: float  # of the circle it lies in, in image widths
    turn: float  # rotation in radians


def _scatter(chance: random.Random, radii: list[float]) -> list[Point]:
    """Find places without overlap anywhere in the image, by trying."""
    while True:
        points: list[Point] = []
        for radius in radii:
            x, y = (chance.uniform(radius + _GAP, 1 - radius - _GAP) for _ in range(2))
            if all(math.dist((x, y), other) > radius + near + _GAP for other, near in zip(points, radii)):
                points.append((x, y))
        if len(points) == len(radii):
            return points


def _line_up(chance: random.Random, radii: list[float], *, near_side: bool, middle: float) -> list[Point]:
    """Place a group in one half of the image, side by side across the axis of its relation.

    Returns:
        (along, across) of each object, where ``along`` runs from the first group to the second.
    """
    widest = max(radii)
    along = chance.uniform(widest + _GAP, 0.45 - widest)
    step = 2 * widest + _GAP + chance.uniform(0.0, 0.06)
    centre = middle + chance.uniform(-0.03, 0.03)
    reach = widest + _GAP + step * (len(radii) - 1) / 2
    centre = min(max(centre, reach), 1 - reach)
    return [
        (
            along if near_side else 1 - along,
            centre + step * (place - (len(radii) - 1) / 2),
        )
        for place in range(len(radii))
    ]


def place_objects(scene: Scene) -> tuple[Placed, ...]:
    """Say where every object of a scene is drawn.

    Groups in a relation lie in opposite halves and nearly (or as nearly as fits) on one
    line, so that "above" never shades into "left of".

    Returns:
        The objects in the order of the groups; none overlaps another or the edge.
    """
    chance = random.Random(f"places/{scene.look}")
    radii = [[chance.uniform(*_RADII[group.size]) for _ in range(group.count)] for group in scene.groups]
    if scene.relation is None:
        points = [_scatter(chance, radii[0])]
    else:
        middle = chance.uniform(0.25, 0.75)
        points = [
            _line_up(chance, group_radii, near_side=place == 0, middle=middle)
            for place, group_radii in enumerate(radii)
        ]
        if scene.relation == "above":
            points = [[(across, along) for along, across in group] for group in points]
        else:
            points = [[(along, across) for along, across in group] for group in points]
    return tuple(
        Placed(group, x, y, radius, chance.uniform(-0.17, 0.17))
        for group, group_points, group_radii in zip(scene.groups, points, radii)
        for (x, y), radius in zip(group_points, group_radii)
    )


def _rgb(hue: float, saturation: float, brightness: float) -> Rgb:
    """Convert from degrees and two shares to 0-255 each."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, min(saturation, 1.0), min(brightness, 1.0))
    return round(red * 255), round(green * 255), round(blue * 255)


def _blend(corners: list[Rgb], size: int) -> Image.Image:
    """Fill a square with the smooth blend of its four corner colours."""
    small = Image.new("RGB", (2, 2))
    small.putdata(corners)
    return small.resize((size, size), Image.Resampling.BICUBIC)


def _background(chance: random.Random, size: int) -> Image.Image:
    hue = chance.uniform(0, 360)
    corners = [
        _rgb(hue + chance.uniform(-35, 35), chance.uniform(0.04, 0.16), chance.uniform(0.90, 0.99))
        for _ in range(4)
    ]
    return _blend(corners, size)


def _paint(chance: random.Random, colour: Colour, size: int) -> Image.Image:
    """Shade a square from light at the top left to deep at the bottom right."""
    hue, play, saturation, brightness = _PAINTS[colour]
    hue += chance.uniform(-play, play)
    saturation += chance.uniform(-0.05, 0.05)
    light = _rgb(hue, saturation - 0.10, brightness + 0.05)
    plain = _rgb(hue, saturation, brightness)
    deep = _rgb(hue, saturation + 0.06, brightness - 0.07)
    return _blend([light, plain, plain, deep], size)


def _mask(placed: Placed, size: int, left: int, top: int, side: int) -> Image.Image:
    """Cover an object's square with 255 inside its outline and smooth edges."""
    scale = _OVERSAMPLING
    radius, sine, cosine = placed.radius * size, math.sin(placed.turn), math.cos(placed.turn)
    centre_x, centre_y = placed.x * size - left, placed.y * size - top
    outline = [
        (
            (centre_x + radius * (x * cosine - y * sine)) * scale,
            (centre_y + radius * (x * sine + y * cosine)) * scale,
        )
        for x, y in OUTLINES[placed.group.shape]
    ]
    mask = Image.new("L", (side * scale, side * scale))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    return mask.reduce(scale)


def draw_scene(scene: Scene, size: int = DRAWING_SIZE) -> Image.Image:
    """Draw a scene.

    Args:
        scene: What to draw.
        size: Width and height in pixels, 32 or more.

    Returns:
        An RGB image; the same scene and size give the same pixels.
    """
    chance = random.Random(f"look/{scene.look}")
    image = _background(chance, size)
    margin = max(2, round(size * _GAP))
    for placed in place_objects(scene):
        side = math.ceil(2 * placed.radius * size) + 2 * margin
        left, top = round(placed.x * size - side / 2), round(placed.y * size - side / 2)
        mask = _mask(placed, size, left, top, side)
        shadow = mask.filter(ImageFilter.BoxBlur(margin / 2)).point([value * 3 // 10 for value in range(256)])
        drop = max(1, margin // 3)
        image.paste((70, 70, 95), (left + drop, top + drop), shadow)
        image.paste(_paint(chance, placed.group.colour, side), (left, top), mask)
    return image
