"""A table beside the folder of its images is read whatever its columns are called; others are not."""

from pathlib import Path

import pytest

from reading import captions, labels, messages, read, splits, touch, write, written
from showtell.errors import DataError

FILES = [f"{number}.jpg" for number in range(12)]
CLASSES = [("good", "bad", "fair")[number % 3] for number in range(12)]
WORDS = [f"a red thing and number {number} of it" for number in range(12)]


@pytest.mark.parametrize("folder", ["leaves", "xrays", "그림", "2024", "scans/p0", "images/all"])
@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ("quality", None), ("diagnosis", "labels"), ("상태", "labels"), ("grade", None), ("title", None),
        ("notes", "captions"), ("내용", "captions"), ("내용", None),
    ],
)  # fmt: skip
def test_the_folder_of_a_tables_images_is_no_class(tmp_path: Path, folder, column, wanted) -> None:
    worded = column in ("title", "notes", "내용")
    touch(tmp_path, *(f"{folder}/{file}" for file in FILES))
    write(tmp_path / "data.csv", written(("image", column), zip(FILES, WORDS if worded else CLASSES)))
    dataset = read(tmp_path, wanted=wanted)
    found = captions(dataset) if worded else labels(dataset)
    assert len(found) == 12
    assert not worded or [*found.values()] == [(words,) for words in WORDS]


def test_numbered_folders_of_a_tables_images_are_no_classes(tmp_path: Path) -> None:
    names = [f"scans/p{number % 4}/{file}" for number, file in enumerate(FILES)]
    touch(tmp_path, *names)
    write(tmp_path / "data.csv", written(("image", "diagnosis"), zip(names, CLASSES)))
    assert {*labels(read(tmp_path, wanted="labels")).values()} == {*CLASSES}


def test_metadata_of_any_column_wins_over_the_folder_of_its_images(tmp_path: Path) -> None:
    names = [f"flowers/{file}" for file in FILES]
    touch(tmp_path, *names)
    write(tmp_path / "metadata.csv", written(("file_name", "additional_feature"), zip(names, WORDS)))
    assert [*captions(read(tmp_path)).values()] == [(words,) for words in WORDS]


def test_what_is_wanted_is_read_though_it_numbers_the_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{file}" for file in FILES))
    write(tmp_path / "captions.csv", written(("id", "caption"), enumerate(WORDS)))
    write(tmp_path / "labels.csv", written(("image", "label"), zip(FILES, CLASSES)))
    assert len(captions(read(tmp_path, wanted="captions"))) == 12
    assert len(labels(read(tmp_path, wanted="labels"))) == 12


def test_a_table_of_a_split_may_number_its_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{file}" for file in FILES))
    write(tmp_path / "train.csv", written(("image", "label"), zip(FILES[:9], CLASSES)))
    write(tmp_path / "test.csv", written(("id", "label"), zip(range(9, 12), CLASSES)))
    assert sorted(splits(read(tmp_path)).values()) == ["test"] * 3 + ["train"] * 9


@pytest.mark.parametrize("count", [3, 6])
def test_a_part_of_the_data_is_no_table_of_its_classes(tmp_path: Path, count) -> None:
    """Its rows are numbered, as pandas writes them, or it holds each class once."""
    touch(tmp_path, *(f"images/{file}" for file in FILES))
    for part, start, end in (("anna", 0, 12 - count), ("ben", 12 - count, 12)):
        rows = [(row, FILES[row], row % 3) for row in range(start, end)]
        write(tmp_path / f"{part}.csv", written(("", "image", "label"), rows))
    with pytest.raises(DataError, match="several ways"):
        read(tmp_path)


@pytest.mark.parametrize("folder", ["photos/", ""])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("logs/train_log.csv", written(("epoch", "status"), ((n, ("ok", "best")[n % 2]) for n in range(12)))),
        ("docs/people.csv", written(("id", "name"), ((n, f"Ann {n}") for n in range(12)))),
        ("docs/config.json", '{"epochs": 10, "batch_size": 8, "seed": 1}'),
    ],
)
def test_a_stray_table_of_numbers_is_not_the_data(tmp_path: Path, folder, name, text) -> None:
    touch(tmp_path, *(folder + file for file in FILES))
    write(tmp_path / name, text)
    try:
        dataset = read(tmp_path)
    except DataError:
        return
    assert not captions(dataset) and {*labels(dataset).values()} <= {"photos"}, messages(dataset)


NUMBERED = ["{}", "grade_{}", "class{}", "Level {}", "2{}19", "n0144{}"]


@pytest.mark.parametrize("name", NUMBERED)
@pytest.mark.parametrize(("column", "cells"), [("gender", "MF"), ("caption", WORDS), ("comment", [""])])
def test_numbered_class_folders_are_not_given_up_for_a_table(tmp_path: Path, name, column, cells) -> None:
    places = [name.format(number % 3) for number in range(12)]
    touch(tmp_path, *(f"{place}/IMG_{number:03}.jpg" for number, place in enumerate(places)))
    rows = ((f"IMG_{number:03}.jpg", cells[number % len(cells)]) for number in range(12))
    write(tmp_path / "meta.csv", written(("image", column), rows))
    if column == "gender":  # which of the labels is meant nobody knows
        with pytest.raises(DataError, match="several ways"):
            read(tmp_path, wanted="labels")
    else:
        assert [*labels(read(tmp_path, wanted="labels")).values()] == sorted(places)
