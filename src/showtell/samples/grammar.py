"""Captions of drawn scenes in English and Korean, and the decision whether a caption is right.

A right caption says of every group its count, size, colour and shape, and how the groups lie to each
other. Each scene has exactly two: a phrase and a sentence for one group, and for two groups the relation
told from either side. Nothing else is right, so "exactly right" needs no judgement.
"""

import unicodedata
from typing import Literal

from showtell.samples.scenes import Colour, Group, Relation, Scene, Shape, Size

Language = Literal["en", "ko"]

_ENGLISH_COUNTS = {1: "a", 2: "two", 3: "three", 4: "four"}
_ENGLISH_RELATIONS: dict[Relation, tuple[str, str]] = {
    "above": ("above", "below"),
    "left of": ("to the left of", "to the right of"),
}

_KOREAN_COUNTS = {1: "하나", 2: "두 개", 3: "세 개", 4: "네 개"}
_KOREAN_SIZES: dict[Size, str] = {"big": "큰", "small": "작은"}
_KOREAN_COLOURS: dict[Colour, str] = {
    "red": "빨간",
    "orange": "주황색",
    "yellow": "노란",
    "green": "초록색",
    "blue": "파란",
    "purple": "보라색",
}
_KOREAN_SHAPES: dict[Shape, str] = {
    "circle": "원",
    "square": "사각형",
    "triangle": "삼각형",
    "star": "별",
    "heart": "하트",
    "diamond": "마름모",
}
_KOREAN_RELATIONS: dict[Relation, tuple[str, str]] = {
    "above": ("위에", "아래에"),
    "left of": ("왼쪽에", "오른쪽에"),
}


def class_name(shape: Shape, language: Language) -> str:
    """Return the noun for a shape, singular."""
    return _KOREAN_SHAPES[shape] if language == "ko" else shape


def _english_group(group: Group) -> str:
    noun = group.shape if group.count == 1 else f"{group.shape}s"
    return f"{_ENGLISH_COUNTS[group.count]} {group.size} {group.colour} {noun}"


def _write_english(scene: Scene) -> tuple[str, str]:
    if scene.relation is None:
        (group,) = scene.groups
        phrase = _english_group(group)
        return phrase, f"there {'is' if group.count == 1 else 'are'} {phrase}"
    first, second = (_english_group(group) for group in scene.groups)
    forth, back = _ENGLISH_RELATIONS[scene.relation]
    return f"{first} {forth} {second}", f"{second} {back} {first}"


def _korean_kind(group: Group) -> str:
    return f"{_KOREAN_SIZES[group.size]} {_KOREAN_COLOURS[group.colour]} {_KOREAN_SHAPES[group.shape]}"


def _korean_group(group: Group) -> str:
    return _korean_kind(group) if group.count == 1 else f"{_korean_kind(group)} {_KOREAN_COUNTS[group.count]}"


def _subject_particle(word: str) -> str:
    """Return 이 after a final consonant and 가 after a vowel; Hangul syllables come 28 to a vowel."""
    return "이" if (ord(word[-1]) - ord("가")) % 28 else "가"


def _write_korean(scene: Scene) -> tuple[str, str]:
    if scene.relation is None:
        (group,) = scene.groups
        kind, count = _korean_kind(group), _KOREAN_COUNTS[group.count]
        return f"{kind} {count}", f"{kind}{_subject_particle(kind)} {count} 있다"
    first, second = (_korean_group(group) for group in scene.groups)
    forth, back = _KOREAN_RELATIONS[scene.relation]
    return f"{second} {forth} {first}", f"{first} {back} {second}"


def write_captions(scene: Scene, language: Language) -> tuple[str, str]:
    """Describe a scene in both right ways.

    Args:
        scene: What the picture shows.
        language: ``en`` or ``ko``.

    Returns:
        Two captions: with one group a phrase and a sentence; with two groups the relation of the first to
        the second and its inverse.
    """
    return _write_korean(scene) if language == "ko" else _write_english(scene)


def right_captions(scene: Scene, language: Language) -> frozenset[str]:
    """Return every caption that is right for a scene, lower case, NFC, without punctuation."""
    return frozenset(write_captions(scene, language))


def is_right(caption: str, scene: Scene, language: Language) -> bool:
    """Decide whether a caption is right for a scene, letter case, outer blanks and full stop aside."""
    plain = " ".join(unicodedata.normalize("NFC", caption).casefold().rstrip(" .").split())
    return plain in right_captions(scene, language)
