"""Outlines of the shapes, as polygons in a circle of radius 1 around the origin, y downwards."""

import math
from collections.abc import Callable

from showtell.samples.scenes import Shape

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
