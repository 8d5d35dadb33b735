"""How large val and test are: what was asked for against what the data brings, and what came of it."""

from collections.abc import Sequence

from showtell.console import Console, many
from showtell.data.groups import Groups
from showtell.data.records import SPLITS, Dataset, Picture
from showtell.data.sizes import DEFAULT_SIZE
from showtell.data.split import lacks_val
from showtell.errors import ConfigError

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
    count = len(dataset.pictures)
    asked = val_size is not None or test_size is not None
    if asked or count >= FEW or any(picture.split for picture in dataset.pictures):
        return (
            DEFAULT_SIZE if val_size is None else val_size,
            DEFAULT_SIZE if test_size is None else test_size,
        )
    validating = max(1, min(LEAST_VAL, count // 4))
    console.say(
        f"Few pictures: {validating} of {count} validate, and none is kept for a test (--val-size and "
        "--test-size say otherwise)"
    )
    return validating, 0.0


def check_room(dataset: Dataset, val_size: float, test_size: float) -> None:
    """Refuse sizes of splits that the data brings itself.

    Raises:
        ConfigError: Said in its message.
    """
    brought = {picture.split for picture in dataset.pictures}
    if None in brought:
        return
    asked = {"--test-size": test_size != DEFAULT_SIZE} | {
        "--val-size": val_size != DEFAULT_SIZE and not lacks_val(dataset.pictures)
    }
    useless = sorted(flag for flag, is_asked in asked.items() if is_asked)
    if useless:
        raise ConfigError(
            f"{' and '.join(useless)} cannot be heeded: {dataset.source} brings its own splits "
            f"({', '.join(name for name in SPLITS if name in brought)}).",
            would_do="Leave the flag out, or take the splits out of the data.",
        )


def say_sizes(
    pictures: Sequence[Picture], groups: Groups, dataset: Dataset, test_size: float, console: Console
) -> None:
    """Say how many pictures each split has, of how many groups, and why a split is empty."""
    parts = []
    for name in SPLITS:
        names = [picture.name for picture in pictures if picture.split == name]
        if names:
            count = len({groups.of[name] for name in names})
            grouped = f" in {many(count, 'group', 'groups')}" if count < len(names) else ""
            parts.append(f"{len(names):,} {name}{grouped}")
    console.say("Split: " + ", ".join(parts))
    ours = any(picture.split is None for picture in dataset.pictures)
    untested = 0 < test_size < 1 and not any(picture.split == "test" for picture in pictures)
    if ours and untested and groups.count < len(pictures):
        count = max(1, round(len(pictures) * test_size))
        console.say(
            "  No test images: a group is in test only where each of its images would be. "
            f"--test-size {count} takes groups of about {count:,} images"
        )
