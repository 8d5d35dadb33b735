"""What cells mean that programs and spreadsheets write: columns without a name, objects, pieces, marks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from reading import FILES, captions, labels, read, said, splits, touch, write, written
from showtell.data.records import Dataset

WORDS = [
    "a dog runs on the grass",
    "two cats asleep on a sofa",
    "a red bus near a bridge",
    "people eat lunch outside",
    "a child holds a kite",
    "an old man reads a paper",
    "birds fly over the sea",
    "a woman rides a horse",
    "three boats in a harbour",
    "snow lies on a roof",
    "a train leaves the station",
    "a boy kicks a ball",
]
PETS = ["dog", "cat"] * 6
EACH = dict(zip(FILES, ((text,) for text in WORDS)))


def read_text(root: Path, text: str, name: str = "t.csv", **known: Any) -> Dataset:
    """Read a table beside the images of `FILES`."""
    touch(root, *(f"images/{file}" for file in FILES))
    return read(write(root / name, text), **known)


def read_columns(root: Path, header: str, *columns: Sequence[object], **known: Any) -> Dataset:
    """Read a table of the images and as many further columns as the header names."""
    names = header.split(",")
    return read_text(root, written(names, zip(FILES, *columns[: len(names) - 1])), **known)


# --- columns without a name


@pytest.mark.parametrize("header", [",label", ",0", ",caption", "image,", ",caption,split"])
def test_a_column_without_a_name_is_read(tmp_path: Path, header: str) -> None:
    words = WORDS if "caption" in header else PETS
    dataset = read_columns(tmp_path, header, words, ["train"] * 12)
    if words is WORDS:
        assert captions(dataset) == EACH
    else:
        assert labels(dataset) == dict(zip(FILES, PETS))
    assert said(dataset, "column 'column ")
    assert set(splits(dataset).values()) == {"train" if "split" in header else None}


@pytest.mark.parametrize(
    "header, count", [("image,captions,,,", 2), ("image,label,", 1), ("image,caption,", 1)]
)
def test_a_column_without_a_name_that_is_not_read_is_named(tmp_path: Path, header: str, count: int) -> None:
    further = [[f"{number} {text}" for text in WORDS] for number in range(count)]
    words = PETS if "label" in header else WORDS
    dataset = read_columns(tmp_path, header, words, *further, [""] * 12)
    assert said(dataset, *(f"column {place}" for place in range(3, 3 + count)))
    assert len(dataset.images) == 12


@pytest.mark.parametrize("numbers", [range(12), range(12, 0, -1), range(700, 712)])
def test_numbers_of_rows_need_no_name_and_no_word(tmp_path: Path, numbers: range) -> None:
    dataset = read_text(tmp_path, written(["", "image", "caption"], zip(numbers, FILES, WORDS)))
    assert captions(dataset) == EACH
    assert dataset.notes == ()
