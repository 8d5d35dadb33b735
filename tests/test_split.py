"""Splits: stable under additions, closed over near-duplicates, honest about what the data brings."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from showtell.data.groups import merge_groups
from showtell.data.near_duplicates import leaking_pairs, near_duplicate_groups
from showtell.data.records import SPLITS, AnnotatedImage, Split
from showtell.data.split import assign_splits, classes_without, content_place
from showtell.errors import ConfigError, DataError


def image(number: int, split: Split | None = None, label: str | None = None) -> AnnotatedImage:
    return AnnotatedImage(f"{number}.jpg", Path(f"{number}.jpg"), label=label, split=split)


def digest(number: int) -> bytes:
    return b"content %d" % number


def digests(numbers: range | list[int]) -> dict[str, bytes]:
    return {f"{number}.jpg": digest(number) for number in numbers}


def assigned(
    images: list[AnnotatedImage],
    contents: dict[str, bytes],
    groups: list[list[str]] | None = None,
    seed: int = 0,
) -> dict[str, Split]:
    found = assign_splits(images, contents, groups=groups or [], seed=seed)
    return {p.name: p.split for p in found if p.split is not None}


def test_shares_are_those_asked_for_and_the_seed_matters() -> None:
    numbers = range(20_000)
    images = [image(number) for number in numbers]
    found = assigned(images, digests(numbers))
    counts = Counter(found.values())
    # Three standard deviations of a binomial share of 20,000.
    assert abs(counts["train"] - 16_000) < 170
    assert abs(counts["val"] - 2_000) < 128
    other = assigned(images, digests(numbers), seed=1)
    agreement = np.mean([found[name] == other[name] for name in found])
    assert abs(agreement - (0.64 + 0.01 + 0.01)) < 0.015


def test_the_place_is_pinned() -> None:
    """Another value here moves images of every data set that was ever split."""
    places = [content_place(digest(number), seed) for number, seed in [(0, 0), (1, 0), (0, 1)]]
    assert places == pytest.approx([0.21012078242911858, 0.7554946271095428, 0.16459438722287634], abs=1e-12)
    assert all(0 <= place < 1 for place in places)


@settings(max_examples=150, deadline=None)
@given(
    old=st.lists(st.integers(0, 400), min_size=2, max_size=60, unique=True),
    new=st.lists(st.integers(401, 800), max_size=60, unique=True),
    old_pairs=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=8),
    new_pairs=st.lists(st.tuples(st.integers(0, 119), st.integers(0, 119)), max_size=8),
    seed=st.integers(0, 3),
)
def test_nothing_trained_on_ever_becomes_a_test_image(
    old: list[int],
    new: list[int],
    old_pairs: list[tuple[int, int]],
    new_pairs: list[tuple[int, int]],
    seed: int,
) -> None:
    def groups(numbers: list[int], pairs: list[tuple[int, int]]) -> list[list[str]]:
        return [[f"{numbers[a % len(numbers)]}.jpg", f"{numbers[b % len(numbers)]}.jpg"] for a, b in pairs]

    first_groups = groups(old, old_pairs)
    all_groups = first_groups + groups(old + new, new_pairs)
    try:
        before = assigned([image(n) for n in old], digests(old), first_groups, seed)
    except DataError:
        return
    shuffled = sorted(old + new, key=lambda n: content_place(digest(n), 99))
    after = assigned([image(n) for n in shuffled], digests(old + new), all_groups, seed)
    assert not [name for name in before if before[name] == "train" and after[name] == "test"]
    for group in all_groups:
        assert len({after[name] for name in group}) == 1
    by_hash = {n: content_place(digest(n), seed) for n in old}
    no_stand_in = any(0.8 <= u < 0.9 for u in by_hash.values()) and not first_groups and not new_pairs
    if no_stand_in:
        assert {name: after[name] for name in before} == before


def test_equal_content_stands_on_one_side_through_groups_too() -> None:
    contents = digests(range(300))
    copies = {f"copy{number}.jpg": digest(number) for number in range(300)}
    images = [image(n) for n in range(300)] + [AnnotatedImage(name, Path(name)) for name in copies]
    # The copy of 1 belongs to a group that its original is not named in.
    pairs = [[f"copy{number}.jpg", f"{number + 1}.jpg"] for number in range(0, 300, 3) if number < 299]
    found = assigned(images, contents | copies, pairs)
    assert all(found[f"{n}.jpg"] == found[f"copy{n}.jpg"] for n in range(300))
    assert all(found[a] == found[b] for a, b in pairs)


def test_a_group_with_a_member_in_train_is_in_train() -> None:
    numbers = range(500)
    alone = assigned([image(n) for n in numbers], digests(numbers))
    train = next(name for name in alone if alone[name] == "train")
    test = [name for name in alone if alone[name] == "test"][:3]
    val = next(name for name in alone if alone[name] == "val")
    grouped = assigned([image(n) for n in numbers], digests(numbers), [[test[0], train], [test[1], val]])
    assert grouped[test[0]] == "train"
    assert grouped[test[1]] == grouped[val] == "val"
    assert {n for n in alone if alone[n] != grouped[n]} == {test[0], test[1]}


def test_splits_that_the_data_brings_stay() -> None:
    kept: list[AnnotatedImage] = [image(n, SPLITS[n % 2]) for n in range(50)]
    assert assign_splits(kept, {}) == tuple(kept)
    # An image without a split that duplicates a test image must not be trained on.
    mixed = [image(0, "test"), image(1, "train"), *(image(n) for n in range(2, 200))]
    found = assigned(mixed, digests(range(2, 200)), [["0.jpg", f"{n}.jpg"] for n in range(2, 40)])
    assert {found[f"{n}.jpg"] for n in range(2, 40)} == {"test"}


@pytest.mark.parametrize("with_test", [False, True])
def test_val_comes_out_of_train_where_the_data_brings_none(with_test: bool) -> None:
    train = [image(n, "train") for n in range(3000)]
    test = [image(n, "test") for n in range(3000, 3100)] if with_test else []
    found = assigned(train + test, digests(range(3000)))
    assert all(found[p.name] == "test" for p in test)
    assert abs(Counter(found.values())["val"] - 3000 / 9) < 3 * (3000 * 8 / 81) ** 0.5
    more = assigned([*train, *test, *(image(n, "train") for n in range(4000, 4500))], digests(range(5000)))
    assert {name: more[name] for name in found} == found


def test_a_train_image_like_a_test_image_is_not_made_val() -> None:
    images = [image(n, "train") for n in range(40)] + [image(99, "test")]
    found = assigned(images, digests(range(40)))
    chosen = next(name for name in found if found[name] == "val")
    regrouped = assigned(images, digests(range(40)), [[chosen, "99.jpg"]])
    assert (regrouped[chosen], regrouped["99.jpg"]) == ("train", "test")


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_small_data_has_train_and_val(count: int) -> None:
    refused = 0
    for start in range(0, 3000, count):
        numbers = range(start, start + count)
        try:
            found = Counter(assigned([image(n) for n in numbers], digests(numbers)).values())
        except DataError:
            refused += 1
            assert all(content_place(digest(n), 0) >= 0.8 for n in numbers)
            continue
        assert found["train"] >= 1
        assert found["val"] >= 1
    assert refused <= 0.2**count * 3000 / count * 2


@settings(max_examples=150, deadline=None)
@given(
    old=st.lists(st.integers(0, 400), min_size=2, max_size=12, unique=True),
    new=st.lists(st.integers(401, 800), max_size=12, unique=True),
)
def test_a_stand_in_only_ever_moves_towards_train(old: list[int], new: list[int]) -> None:
    places = {f"{n}.jpg": content_place(digest(n), 0) for n in old}
    if sum(place < 0.8 for place in places.values()) < 2:
        return
    before = assigned([image(n) for n in old], digests(old))
    after = assigned([image(n) for n in old + new], digests(old + new))
    for name in before:
        assert SPLITS.index(after[name]) <= SPLITS.index(before[name]), name
    if not any(0.8 <= place < 0.9 for place in places.values()):
        largest = max((name for name in places if places[name] < 0.8), key=lambda name: places[name])
        assert [name for name in before if before[name] == "val"] == [largest]


def test_the_stand_in_is_the_first_of_test_where_train_has_one_image() -> None:
    by_place = sorted(range(200), key=lambda n: content_place(digest(n), 0))
    test = [n for n in by_place if content_place(digest(n), 0) >= 0.9][:3]
    found = assigned([image(n) for n in [*reversed(test), by_place[0]]], digests(range(200)))
    assert [found[f"{n}.jpg"] for n in [by_place[0], *test]] == ["train", "val", "test", "test"]


def test_one_image_is_trained_on_and_none_is_no_fault() -> None:
    number = next(n for n in range(10) if content_place(digest(n), 0) < 0.8)
    assert assigned([image(number)], digests([number])) == {f"{number}.jpg": "train"}
    assert assign_splits([], {}) == ()


def test_settings_and_digests_are_checked() -> None:
    for val, test in [(0.5, 0.5), (-0.1, 0.1), (0.1, 1.5), (1, 0), (0.5, 1), (float("nan"), 0.1)]:
        with pytest.raises(ConfigError):
            assign_splits([image(1)], digests([1]), sizes=(val, test))
    with pytest.raises(ConfigError):
        assign_splits([image(1)], digests([1]), seed=-1)
    with pytest.raises(DataError, match=r"2\.jpg"):
        assign_splits([image(1), image(2)], digests([1]))
    with pytest.raises(DataError, match=r"20\.jpg and 2 more\."):
        assign_splits([image(number) for number in range(10, 23)], digests([10]))


def test_no_test_share_makes_no_test_image_and_no_val_share_no_val() -> None:
    images = [image(n) for n in range(3000)]
    for val, test, expected in [
        (0.1, 0.0, {"train", "val"}),
        (0.3, 0.0, {"train", "val"}),
        (0.0, 0.1, {"train", "test"}),
        (0.0, 0.0, {"train"}),
    ]:
        found = assign_splits(images, digests(range(3000)), sizes=(val, test))
        assert {p.split for p in found} == expected


def test_classes_without_a_val_image_are_named() -> None:
    images = [
        image(1, "train", "개"),
        image(2, "val", "개"),
        image(3, "train", "cat"),
        image(4, "train"),
    ]
    assert classes_without(images, "val") == ["cat"]
    assert classes_without(images, "train") == []


# --- near-duplicates


def planted(count: int, dim: int = 64) -> tuple[list[str], np.ndarray, list[list[str]]]:
    """Random vectors, among them a pair, a chain of near-duplicates over several blocks, and copies."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(count, dim)).astype(np.float32)
    names = [str(number) for number in range(count)]
    vectors[count - 1] = 7 * vectors[3] + 0.1 * random.normal(size=dim)
    chain = [10, count // 4, count // 2, 3 * count // 4]
    for earlier, later in pairwise(chain):
        step = random.normal(size=dim)
        step -= step @ vectors[earlier] / (vectors[earlier] @ vectors[earlier]) * vectors[earlier]
        scale = 0.2 * np.linalg.norm(vectors[earlier]) / np.linalg.norm(step)
        vectors[later] = vectors[earlier] + scale * step  # cosine 0.98 to its neighbour, less to the rest
    copies = list(range(100, 110))
    vectors[copies] = vectors[100]
    groups = [["3", names[count - 1]], [names[place] for place in chain], [names[place] for place in copies]]
    return names, vectors, groups


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    names, vectors, groups = planted(5000)
    assert near_duplicate_groups(names, vectors, threshold=0.97) == groups
    ends = vectors[[10, 3750]] / np.linalg.norm(vectors[[10, 3750]], axis=1, keepdims=True)
    assert ends[0] @ ends[1] < 0.97, "the chain's ends are joined through its middle only"


def test_groups_equal_those_of_the_full_matrix() -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(1500, 3)).astype(np.float32)
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    names = [f"{number:04}" for number in range(1500)]
    threshold = 0.99982  # no two of these vectors come closer to it than float32 rounds
    near = exact @ exact.T >= threshold
    assert np.abs(exact @ exact.T - threshold).min() > 2e-6
    label = np.arange(1500)
    while True:
        lowest = np.where(near, label[None, :], 1500).min(axis=1)
        if (lowest == label).all():
            break
        label = lowest
    expected = [[names[i] for i in np.nonzero(label == value)[0]] for value in np.unique(label)]
    found = near_duplicate_groups(names, vectors, threshold=threshold)
    assert found == [group for group in expected if len(group) > 1]
    assert len(found) > 80, "the comparison is of many groups, not of none"


def test_copies_meet_a_threshold_of_one_and_empty_vectors_meet_nothing() -> None:
    vectors = np.random.default_rng(2).normal(size=(40, 1280)).astype(np.float32)
    vectors[20:] = vectors[:20] * np.float32(1.7)
    vectors[0] = vectors[1] = 0
    vectors[2, 5] = vectors[3, 5] = np.nan
    names = [str(number) for number in range(40)]
    groups = near_duplicate_groups(names, vectors, threshold=1.0)
    assert groups == [[str(n), str(n + 20)] for n in range(4, 20)]


def test_thousands_of_equal_images_are_one_group() -> None:
    names = [str(number) for number in range(3000)]
    assert near_duplicate_groups(names, np.ones((3000, 8), np.float32), threshold=0.99) == [names]


def test_shapes_and_thresholds_are_checked() -> None:
    with pytest.raises(ValueError, match="need vectors"):
        near_duplicate_groups(["a"], np.ones((2, 3), np.float32), threshold=0.9)
    with pytest.raises(ValueError, match="threshold"):
        near_duplicate_groups(["a"], np.ones((1, 3), np.float32), threshold=95)


def test_leaks_between_splits_are_found_the_most_alike_first() -> None:
    names, vectors, _ = planted(3000)
    sides: dict[str, Split] = {"3": "test", "10": "val", "104": "test"}
    images = [AnnotatedImage(name, Path(name), split=sides.get(name, "train")) for name in names]
    images[109] = AnnotatedImage("109", Path("109"))
    leaks = leaking_pairs(images, vectors, threshold=0.97)
    pairs = [(leak.first, leak.second, leak.splits) for leak in leaks]
    copies = [(str(n), "104", ("train", "test")) for n in range(100, 109) if n != 104]
    assert pairs[: len(copies)] == copies
    assert set(pairs[len(copies) :]) == {("2999", "3", ("train", "test")), ("750", "10", ("train", "val"))}
    assert all(0.97 <= leak.cosine <= 1 for leak in leaks)


# --- sizes and groups


@settings(max_examples=200, deadline=None)
@given(
    count=st.integers(9, 120),
    val=st.integers(1, 4),
    test=st.integers(0, 4),
    pairs=st.lists(st.tuples(st.integers(0, 119), st.integers(0, 119)), max_size=25),
    seed=st.integers(0, 3),
)
def test_counts_are_kept_within_a_group(
    count: int, val: int, test: int, pairs: list[tuple[int, int]], seed: int
) -> None:
    names = [f"{number}.jpg" for number in range(count)]
    groups = [[names[a % count], names[b % count]] for a, b in pairs]
    images = [image(number) for number in range(count)]
    found = assign_splits(images, digests(range(count)), groups=groups, sizes=(val, test), seed=seed)
    split = {p.name: p.split for p in found}
    members = merge_groups(images, digests(range(count)), groups)
    for group in members:
        assert len({split[name] for name in group}) == 1
    if len(members) < 4:
        return
    largest = max(map(len, members))
    counts = Counter(split.values())
    for name, wanted in (("val", val), ("test", test)):
        # At least one group, whatever its size; and else no farther from the count than half of one.
        assert counts[name] <= max(largest, wanted + largest / 2)
        assert counts[name] >= min(1, wanted)
        if largest == 1:
            assert counts[name] == wanted


@settings(max_examples=200, deadline=None)
@given(
    old=st.lists(st.integers(0, 400), min_size=8, max_size=60, unique=True),
    new=st.lists(st.integers(401, 800), max_size=60, unique=True),
    val=st.sampled_from([0.1, 0.25, 3]),
    test=st.sampled_from([0.0, 0.1, 0.2, 3]),
)
def test_with_any_sizes_nothing_trained_on_becomes_a_test_image(
    old: list[int], new: list[int], val: float, test: float
) -> None:
    """New images come in groups of their own, or join one that is in train."""

    def find(numbers: list[int], groups: list[list[str]]) -> dict[str, Split | None]:
        found = assign_splits([image(n) for n in numbers], digests(numbers), groups=groups, sizes=(val, test))
        return {p.name: p.split for p in found}

    try:
        before = find(old, [])
    except DataError:
        return
    trained = [name for name in before if before[name] == "train"]
    joined = [[trained[0], f"{number}.jpg"] for number in new[::3]]
    after = find(old + new, joined)
    assert not [name for name in trained if after[name] == "test"]


def test_groups_of_the_data_are_placed_by_their_name() -> None:
    """Whatever their size, and wherever their next image lies: a patient never changes sides."""
    patients = [replace(image(n), group=f"patient {n // 50}") for n in range(10_000)]
    contents = digests(range(10_500))
    found = assign_splits(patients, contents)
    by_group = {p.group: p.split for p in found}
    assert all(by_group[p.group] == p.split for p in found)
    # Three standard deviations of 200 patients.
    assert abs(Counter(by_group.values())["train"] - 160) < 17
    more = [replace(image(n), group=f"patient {n % 200}") for n in range(10_000, 10_500)]
    after = assign_splits([*patients, *more], contents)
    assert {p.group: p.split for p in after} == by_group


@pytest.mark.parametrize("scenes", [4, 5, 10, 40])
def test_bursts_leave_validation_its_share_of_them(scenes: int) -> None:
    images = [image(n) for n in range(scenes * 12)]
    groups = [[f"{s * 12 + f}.jpg" for f in range(12)] for s in range(scenes)]
    found = assign_splits(images, digests(range(scenes * 12)), groups=groups)
    counts = Counter(p.split for p in found)
    assert counts["val"] % 12 == counts["train"] % 12 == 0
    assert 12 <= counts["val"] <= max(12, scenes * 12 * 0.2)
    asked = assign_splits(images, digests(range(scenes * 12)), groups=groups, sizes=(12, 12))
    assert Counter(p.split for p in asked) == {"train": (scenes - 2) * 12, "val": 12, "test": 12}


def test_the_last_group_of_a_class_does_not_stand_in() -> None:
    for start in range(0, 400, 40):
        numbers = range(start, start + 40)
        groups = [[f"{start + s * 10 + f}.jpg" for f in range(10)] for s in range(4)]
        images = [image(n, label="cat" if n < start + 10 else "dog") for n in numbers]
        found = assign_splits(images, digests(numbers), groups=groups)
        if all(content_place(digest(n), 0) < 0.8 for n in range(start, start + 10)):
            assert {p.split for p in found if p.label == "cat"} == {"train"}
        single = [image(n, label=str((n - start) // 10)) for n in numbers]
        counts = Counter(p.split for p in assign_splits(single, digests(numbers), groups=groups))
        assert counts == {"train": 40}


def test_val_that_comes_out_of_a_train_folder_has_the_size_that_is_asked_for() -> None:
    images = [image(n, "train") for n in range(500)] + [image(n, "test") for n in range(500, 600)]
    found = assign_splits(images, digests(range(600)), sizes=(50, 0.1))
    assert Counter(p.split for p in found) == {"train": 450, "val": 50, "test": 100}
