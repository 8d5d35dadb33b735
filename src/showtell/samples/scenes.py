"""What there is to see in a drawn image, and which compositions are kept for validation and test.

A scene is one group of equal objects (three small green triangles), or two groups in a relation (a big
red circle above two small yellow stars) that differ in colour and in shape. Two kinds of composition are
held out, so that nobody can score by remembering whole phrases:

- three of the 36 pairs of colour and shape for test (no red square, yellow star or blue diamond ever
  occurs in train), three others for validation (red heart, yellow circle, blue triangle);
- six of the 108 triples of a count above one, colour and shape for test (two orange stars, two blue
  circles, three yellow squares, three purple hearts, four red triangles, four green diamonds: train shows
  a blue circle and three of them, but never two), six others for validation (two orange circles, two
  blue stars, three yellow hearts, three purple squares, four red diamonds, four green triangles).

A scene with a composition of the test belongs to test, one of validation to validation, one with both to
none, every other scene to train. Each single word occurs in train, and so does every shape with five
colours and with every count.
"""

import random
from dataclasses import dataclass
from typing import Literal, get_args

from showtell.data.records import Split

Shape = Literal["circle", "square", "triangle", "star", "heart", "diamond"]
Colour = Literal["red", "orange", "yellow", "green", "blue", "purple"]
Size = Literal["big", "small"]
Relation = Literal["above", "left of"]

SHAPES: tuple[Shape, ...] = get_args(Shape)
COLOURS: tuple[Colour, ...] = get_args(Colour)
SIZES: tuple[Size, ...] = get_args(Size)
RELATIONS: tuple[Relation, ...] = get_args(Relation)
COUNTS_ALONE = (1, 2, 2, 2, 3, 3, 4, 4)
COUNTS_RELATED = (1, 2)

_NONE: frozenset[Split] = frozenset()
_VAL: frozenset[Split] = frozenset({"val"})
_TEST: frozenset[Split] = frozenset({"test"})


@dataclass(frozen=True, slots=True)
class Group:
    """Equal objects that are described together."""

    count: int  # how many, 1 to 4; at most 2 in a scene with a relation
    size: Size  # of each of them
    colour: Colour  # of each of them
    shape: Shape  # of each of them


@dataclass(frozen=True, slots=True)
class Scene:
    """What an image shows."""

    # one group, or two that differ in colour and in shape: the upper before the lower, the left before the
    # right
    groups: tuple[Group, ...]
    relation: Relation | None  # how the first group lies to the second; None with one group
    look: int  # seed of everything a caption leaves open: places, exact hues, turns, background


def held_out_in(group: Group) -> frozenset[Split]:
    """Name the splits, other than train, that a group's compositions are kept for.

    Returns:
        Empty where all compositions of the group may occur in train.
    """
    colour, shape = COLOURS.index(group.colour), SHAPES.index(group.shape)
    owners: set[Split] = set()
    if colour % 2 == 0:
        pair = (shape - colour) % len(SHAPES)
        owners.update({1: _TEST, 4: _VAL}.get(pair, _NONE))
    if group.count == 2 + shape % 3:
        triple = (group.count + colour + shape) % len(SHAPES)
        owners.update({0: _TEST, 3: _VAL}.get(triple, _NONE))
    return frozenset(owners)


def split_of(scene: Scene) -> Split | None:
    """Say which split a scene belongs to; None where it mixes compositions of val and of test."""
    owners = frozenset().union(*(held_out_in(group) for group in scene.groups))
    if len(owners) > 1:
        return None
    return next(iter(owners), "train")


def _random_group(chance: random.Random, counts: tuple[int, ...]) -> Group:
    return Group(
        count=chance.choice(counts),
        size=chance.choice(SIZES),
        colour=chance.choice(COLOURS),
        shape=chance.choice(SHAPES),
    )


def _random_scene(chance: random.Random, *, related: bool) -> Scene:
    look = chance.getrandbits(48)
    if not related:
        return Scene((_random_group(chance, COUNTS_ALONE),), None, look)
    first = second = _random_group(chance, COUNTS_RELATED)
    while first.colour == second.colour or first.shape == second.shape:
        second = _random_group(chance, COUNTS_RELATED)
    return Scene((first, second), chance.choice(RELATIONS), look)


def make_scenes(
    seed: int, count: int, split: Split | None, *, related_share: float = 0.5
) -> tuple[Scene, ...]:
    """Make up scenes of one split, or of all compositions.

    Each scene is a function of the seed, the split and its place alone: asking for more scenes never
    changes the first ones.

    Args:
        seed: Any integer.
        count: Number of scenes, 0 or more.
        split: Whose compositions to use; every scene of val and test shows a held-out composition. None
            uses all compositions alike.
        related_share: Share of scenes with two groups in a relation, 0 to 1.

    Returns:
        The scenes, ``count`` of them.
    """
    made = []
    for index in range(count):
        chance = random.Random(f"{seed}/{split}/{index}")
        related = chance.random() < related_share
        scene = _random_scene(chance, related=related)
        while split is not None and split_of(scene) != split:
            scene = _random_scene(chance, related=related)
        made.append(scene)
    return tuple(made)
