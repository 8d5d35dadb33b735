"""Train, val and test by image: stable when images are added, near-duplicates on one side."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from showtell.console import Console, many
from showtell.data.groups import Groups, merge_groups
from showtell.data.names import few
from showtell.data.records import SPLITS, AnnotatedImage, Dataset, Split
from showtell.data.sizes import DEFAULT_SIZE, check_sizes
from showtell.errors import ConfigError, DataError

FEW, LEAST_VAL = 80, 8
"""Images below which a captioner has no test split unless it is asked for, and how many then validate: two
find the better of two models two times in three, eight nineteen times in twenty (docs/log.md)."""


def sizes_for_captions(
    dataset: Dataset, val_size: float | None, test_size: float | None, console: Console
) -> tuple[float, float]:
    """Return the sizes of val and test for captions: of few images, all that are not learnt from validate.

    Args:
        dataset: As read; one that brings splits keeps them.
        val_size: As asked for; None for what the data calls for.
        test_size: The same.
        console: Told what is done otherwise.
    """
    count = len(dataset.images)
    usual_val: float = DEFAULT_SIZE
    usual_test: float = DEFAULT_SIZE
    if count < FEW and not any(image.split for image in dataset.images):
        usual_val, usual_test = max(1, min(LEAST_VAL, count // 4)), 0.0
        done = {
            "--val-size": "" if val_size is not None else f"{usual_val} of {count} validate",
            "--test-size": "" if test_size is not None else "none is kept for a test",
        }
        flags = [flag for flag, what in done.items() if what]
        if flags:
            what = ", and ".join(done[flag] for flag in flags)
            console.say(
                f"Few images: {what} ({' and '.join(flags)} {'say' if flags[1:] else 'says'} otherwise)"
            )
    return usual_val if val_size is None else val_size, usual_test if test_size is None else test_size


def check_room(dataset: Dataset, val_size: float, test_size: float) -> None:
    """Refuse sizes of splits that the data brings itself.

    Raises:
        ConfigError: Said in its message.
    """
    brought = {image.split for image in dataset.images}
    if None in brought:
        return
    asked = {"--test-size": test_size != DEFAULT_SIZE} | {
        "--val-size": val_size != DEFAULT_SIZE and not lacks_val(dataset.images)
    }
    useless = sorted(flag for flag, is_asked in asked.items() if is_asked)
    if useless:
        raise ConfigError(
            f"{' and '.join(useless)} cannot be used: all images of {dataset.source} have a split already "
            f"({', '.join(name for name in SPLITS if name in brought)}).",
            hint="Leave the flag out. The splits are those of the data, or of the run that --from names.",
        )


def say_sizes(
    images: Sequence[AnnotatedImage], groups: Groups, dataset: Dataset, test_size: float, console: Console
) -> None:
    """Say how many images each split has, of how many groups, and why a split is empty."""
    parts = []
    for name in SPLITS:
        names = [image.name for image in images if image.split == name]
        if names:
            count = len({groups.of[name] for name in names})
            grouped = f" in {many(count, 'group', 'groups')}" if count < len(names) else ""
            parts.append(f"{len(names):,} {name}{grouped}")
    console.say("Split: " + ", ".join(parts))
    ours = any(image.split is None for image in dataset.images)
    untested = 0 < test_size < 1 and not any(image.split == "test" for image in images)
    if ours and untested and groups.count < len(images):
        count = max(1, round(len(images) * test_size))
        console.say(
            "  No test images: a group is in test only where each of its images would be. "
            f"--test-size {count} takes groups of about {count:,} images"
        )


def assign_splits(
    images: Sequence[AnnotatedImage],
    digests: Mapping[str, bytes],
    *,
    groups: Sequence[Sequence[str]] = (),
    sizes: tuple[float, float] = (DEFAULT_SIZE, DEFAULT_SIZE),
    seed: int = 0,
) -> tuple[AnnotatedImage, ...]:
    """Give every image a split, and keep those that the data brings.

    An image's place u in [0, 1) is a keyed hash of its content, or of the group that the data names: train
    at the bottom, then val, test at the top. So nothing but the content, the seed and the sizes decides:
    order, names and the other images don't. Images of equal content, and those of one group, share the
    smallest u among them. Adding an image can only lower that, which moves a group from test to val to
    train and never back: what was once trained on never becomes a test image.

    Sizes of less than 1 are shares: u from ``1 - test_size`` up is test. Sizes of 1 and more are counts: the
    groups with the largest u, until one more would miss the count by more. More images then push others
    towards train, too. There is one exception: where an image joins a *test* group and takes it to train,
    the next groups follow in its place, from train only where val holds fewer images than it did.

    What the data brings:

    - An image with a split keeps it. One without, in a group with such images, follows them (train
      before val before test), since the copy of a test image must not be trained on.
    - Where all images have a split and none is val, val is taken out of train, by the same hash: the
      top ``val / (train + val)`` of u, or the count.

    A burst is in train unless all its images have a large u, so bursts leave val small or empty. Then
    groups stand in, those with the largest u in train, so that later images only move them back there:
    one where val would be empty, more where its groups took over half of its images away. A class's last
    group in train does not, where others can. If train has a single group, the one with the smallest u in
    test does. Only a stand-in may go against the order above, from train to val or from val to test; from
    train to test it can't. None is taken where val has a size of 0, where the data is a single group, or
    where val would have come out of a train folder with a single group.

    Args:
        images: The images, with unique names.
        digests: Content digest by image name; needed for each image that the hash decides.
        groups: Names of images that belong on one side, such as near-duplicates; names that are not
            among the images are passed over, groups that overlap are merged.
        sizes: Of val and of test: a share below 1, or a count of images; both leave something to train on.
        seed: Chooses another assignment; from 0 to 2**64 - 1.

    Returns:
        The same images in the same order, each with a split.

    Raises:
        ConfigError: A size or ``seed`` is out of range.
        DataError: A digest is missing, or so few images are given that none is in train.
    """
    val_size, test_size = sizes
    check_sizes(val_size, test_size, len(images))
    if not 0 <= seed < 2**64:
        raise ConfigError(f"The seed {seed} is out of range.", hint="Expected a whole number from 0 up.")
    members = merge_groups(images, digests, groups)
    chosen = {image.name: image.split for image in images if image.split is not None}
    carve = lacks_val(images)
    own = _own_places(images, digests, seed, "train" if carve else None)
    places = [min((own[name] for name in names if name in own), default=0.0) for names in members]
    if carve:
        free = {n: places[n] for n, names in enumerate(members) if all(chosen[x] == "train" for x in names)}
        # Val is what it would be of data without a test folder.
        val_size, test_size = (val_size / (1 - test_size) if val_size < 1 > test_size else val_size), 0.0
    else:
        free = {number: places[number] for number in _follow(chosen, members)}
    found = _cut(free, members, val_size, test_size)
    if val_size > 0 and (carve or "val" not in chosen.values()):
        by_share = val_size < 1 and test_size < 1
        alone = sum(1 - val_size - test_size <= u < 1 - test_size for u in own.values()) if by_share else 0
        _stand_in(found, free, members, {image.name: image.label for image in images}, alone)
    for number, split in found.items():
        chosen.update(dict.fromkeys(members[number], split))
    if images and "train" not in chosen.values():
        raise DataError(
            f"None of the {len(images):,} images is in the training split (seed {seed}).",
            hint="Expected more images or another --seed; or training images, where the data brings "
            "its own splits.",
        )
    return tuple(replace(image, split=chosen[image.name]) for image in images)


def classes_without(images: Iterable[AnnotatedImage], split: Split) -> list[str]:
    """Return the classes, sorted, that have no image in a split.

    Splits are not stratified: a class's share would hang on the other images, and adding one would
    move others. So it is said instead.
    """
    labels = {(image.label, image.split) for image in images if image.label is not None}
    present = {label for label, where in labels if where == split}
    return sorted({label for label, _ in labels if label is not None} - present)


def content_place(digest: bytes, seed: int) -> float:
    """Return an image's place u in [0, 1): uniform, and the same on every machine.

    Args:
        digest: Content digest, any length.
        seed: From 0 to 2**64 - 1.
    """
    keyed = hashlib.blake2b(digest, digest_size=8, key=seed.to_bytes(8, "little"), person=b"showtell split")
    return (int.from_bytes(keyed.digest(), "little") >> 11) / 2**53


def lacks_val(images: Sequence[AnnotatedImage]) -> bool:
    """Tell whether the data brings a split for every image, train among them, and no val."""
    splits = {image.split for image in images}
    return "train" in splits and "val" not in splits and None not in splits


def _own_places(
    images: Sequence[AnnotatedImage], digests: Mapping[str, bytes], seed: int, decided: Split | None
) -> dict[str, float]:
    """Return u of every image that the hash decides: of its content, or of its group's name."""
    undecided = [image for image in images if image.split == decided]
    missing = sorted(image.name for image in undecided if image.name not in digests)
    if missing:
        raise DataError(
            f"{len(missing):,} images have no content digest to split by: {few(missing)}.",
            hint="Expected images that can be read; leave out the others before splitting.",
        )
    return {
        image.name: content_place(
            digests[image.name] if image.group is None else b"group " + image.group.encode(), seed
        )
        for image in undecided
    }


def _follow(chosen: dict[str, Split], members: list[list[str]]) -> list[int]:
    """Let images follow those of their group that have a split; return the groups in which none has."""
    free = []
    for number, names in enumerate(members):
        followed = [chosen[name] for name in names if name in chosen]
        if followed:
            unplaced = [name for name in names if name not in chosen]
            chosen.update(dict.fromkeys(unplaced, min(followed, key=SPLITS.index)))
        else:
            free.append(number)
    return free


def _cut(
    places: Mapping[int, float], members: list[list[str]], val_size: float, test_size: float
) -> dict[int, Split]:
    """Return the split of every free group: shares by its place, counts from the top."""
    order = sorted(places, key=lambda number: -places[number])
    total = sum(len(members[number]) for number in order)
    if test_size < 1:
        test = [number for number in order if places[number] >= 1 - test_size]
    else:
        test = _top(order, members, test_size)
    rest = order[len(test) :]
    if val_size < 1:
        below = test_size if test_size < 1 else test_size / max(1, total)
        val = [number for number in rest if places[number] >= 1 - val_size - below]
    else:
        val = _top(rest, members, val_size)
    found: dict[int, Split] = dict.fromkeys(order, "train")
    return found | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")


def _top(order: Sequence[int], members: list[list[str]], count: float) -> list[int]:
    """Return the first groups that come nearest to a count, one at least, but never the last group."""
    taken: list[int] = []
    size = 0
    for number in order[:-1]:
        if taken and size + len(members[number]) / 2 > count:
            break
        taken.append(number)
        size += len(members[number])
    return taken


def _stand_in(
    found: dict[int, Split],
    places: Mapping[int, float],
    members: list[list[str]],
    labels: Mapping[str, str | None],
    alone: int,
) -> None:
    """Let groups stand in where val is empty, or where groups took over half of its images away.

    Args:
        found: Split by group; changed.
        places: Their u.
        members: Names by group.
        labels: By name.
        alone: How many images val would have if each stood alone.
    """
    size = sum(len(members[number]) for number, split in found.items() if split == "val")
    if size and 2 * size >= alone:
        return
    train = sorted((n for n, split in found.items() if split == "train"), key=lambda n: -places[n])
    classes = {number: {labels[name] for name in members[number]} for number in train}
    left = Counter(label for number in train for label in classes[number])
    for number in train:
        if size and size + len(members[number]) / 2 > alone:
            return
        if all(left[label] > 1 for label in classes[number]):
            found[number] = "val"
            size += len(members[number])
            left.subtract(classes[number])
    test = [number for number, split in found.items() if split == "test"]
    if not size and len(train) < 2 and test:
        found[min(test, key=lambda number: places[number])] = "val"
