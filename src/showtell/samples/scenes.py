"""What there is to see in a drawn picture, and which compositions are kept for validation and test.

A scene is one group of equal objects (three small green triangles), or two groups in a relation (a big
red circle above two small yellow stars). Two kinds of composition are held out, so that nobody can score
by remembering whole phrases:

- six of the 36 pairs of colour and shape for test, six others for validation;
- of the 18 pairs of a count of two, three or four and a shape: three for test, three others for
  validation.

A scene with a composition of the test belongs to test, one of validation to validation, one with both to
none, every other scene to train. Each single word occurs in train: every colour there with four shapes,
every shape with four colours and with at least two of the counts above one.
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
MOST_ALONE = 4
MOST_RELATED = 2


@dataclass(frozen=True, slots=True)
class Group:
    """Equal objects that are described together.

    Attributes:
        count: How many, 1 to 4; at most 2 in a scene with a relation.
        size: Of each of them.
        colour: Of each of them.
        shape: Of each of them.
    """

    count: int
    size: Size
    colour: Colour
    shape: Shape

    @property
    def kind(self) -> tuple[Size, Colour, Shape]:
        """What one object of the group is."""
        return self.size, self.colour, self.shape


@dataclass(frozen=True, slots=True)
class Scene:
    """What a picture shows.

    Attributes:
        groups: One group, or two groups of different kinds: the upper before the lower, the left before
            the right.
        relation: How the first group lies to the second; None with one group.
        look: Seed of everything a caption leaves open: places, exact hues, turns, background.
    """

    groups: tuple[Group, ...]
    relation: Relation | None
    look: int


def held_out_in(group: Group) -> frozenset[Split]:
    """Name the splits, other than train, that a group's compositions are kept for.

    Returns:
        Empty where all compositions of the group may occur in train.
    """
    colour, shape = COLOURS.index(group.colour), SHAPES.index(group.shape)
    owners: set[Split] = set()
    pair = (shape - colour) % len(SHAPES)
    if pair == 1:
        owners.add("test")
    elif pair == 4:
        owners.add("val")
    if group.count > 1 and shape == 2 * (group.count - 2):
        owners.add("test")
    elif group.count > 1 and shape == 2 * (group.count - 2) + 1:
        owners.add("val")
    return frozenset(owners)


def split_of(scene: Scene) -> Split | None:
    """Say which split a scene belongs to; None where it mixes compositions of val and of test."""
    owners = frozenset().union(*(held_out_in(group) for group in scene.groups))
    if len(owners) > 1:
        return None
    return next(iter(owners), "train")


def _random_group(chance: random.Random, most: int) -> Group:
    return Group(
        count=chance.randint(1, most),
        size=chance.choice(SIZES),
        colour=chance.choice(COLOURS),
        shape=chance.choice(SHAPES),
    )


def _random_scene(chance: random.Random, *, related: bool) -> Scene:
    look = chance.getrandbits(48)
    if not related:
        return Scene((_random_group(chance, MOST_ALONE),), None, look)
    first = second = _random_group(chance, MOST_RELATED)
    while first.kind == second.kind:
        second = _random_group(chance, MOST_RELATED)
    return Scene((first, second), chance.choice(RELATIONS), look)


def make_scenes(seed: int, count: int, split: Split, *, related_share: float = 0.6) -> tuple[Scene, ...]:
    """Make up scenes of one split.

    Each scene is a function of the seed, the split and its place alone: asking for more scenes never
    changes the first ones.

    Args:
        seed: Any integer.
        count: Number of scenes, 0 or more.
        split: Whose compositions to use; every scene of val and test shows a held-out composition.
        related_share: Share of scenes with two groups in a relation, 0 to 1.

    Returns:
        The scenes, ``count`` of them.
    """
    made = []
    for index in range(count):
        chance = random.Random(f"{seed}/{split}/{index}")
        related = chance.random() < related_share
        scene = _random_scene(chance, related=related)
        while split_of(scene) != split:
            scene = _random_scene(chance, related=related)
        made.append(scene)
    return tuple(made)
