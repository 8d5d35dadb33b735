"""Slips are found, forms of a word are not taken for slips."""

import itertools

from showtell.text.spelling import Slip, find_slips

OFTEN = ["a brown dog running on the beach with other children"] * 100 + ["강아지가 풀밭에서 달린다"] * 100


def said(*captions: str) -> list[Slip]:
    return find_slips([*OFTEN, *captions])


def test_a_letter_too_many_too_few_another_or_two_swapped():
    for slip, meant in (
        ("runing", "running"), ("runnning", "running"), ("rumning", "running"), ("rnuning", "running"),
        ("bech", "beach"), ("chlidren", "children"), ("풀박에서", "풀밭에서"),
    ):  # fmt: skip
        assert said(f"one {slip} here") == [Slip(slip, meant, 100)]


def test_other_words_and_other_forms_are_none():
    assert said("two beachs and browns", "brow beacha", "강아지는 달린다") == []
    assert find_slips([*OFTEN, "rumning dogs", "rumning cats"]) == [], "what stands twice is meant"
    assert find_slips([*OFTEN[1:100], "rumning"]) == [], "99 times is not a hundred"
    assert said("dag on the sea") == [], "short words are all alike"


def test_against_the_definition():
    """Every word one edit off, by trying all edits, is found if the edit is not at the end alone."""
    word = "brown"
    edits = {word[:i] + letter + word[i + j :] for i in range(6) for j in (0, 1) for letter in ("", *"abxz")}
    edits |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(4)}
    for edit in edits - {word}:
        same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(word, edit)))
        ending = max(len(word), len(edit)) - same <= 1
        assert bool(said(edit)) == (not ending and len(edit) >= 4), edit
