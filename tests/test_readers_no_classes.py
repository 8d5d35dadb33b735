"""Folders that are no classes: days and months, the same classes again; and classes with marks of splits."""

from pathlib import Path

import pytest

from reading import labels, messages, read, said, splits, touch
from showtell.errors import DataError

COLLECTIONS = [
    ("202001", "202002", "202003"),
    ("2024_01", "2024_02"),
    ("01-2024", "02-2024"),
    ("240105", "240207"),
    ("05.01.2024", "07.02.2024"),
    ("1-5-2024", "12-31-2024"),
    ("Jan 2024", "Feb 2024"),
    ("January 5, 2024", "7 February 2024"),
    ("2024년 1월", "2024년 2월"),
    ("2024年1月5日", "2024年2月7日"),
    ("1월", "2월"),
    ("2024-01-05 Seoul", "2024-02-07 Busan"),
    ("20240105_seoul", "20240207_busan"),
    ("2023/12", "2024/01", "2024/02"),
    ("2019/2019-01", "2020/Feb 2020"),
    ("2024-01", "2024-02", "misc"),
    ("2024/01", "2024/02"),
    ("2024/01/05", "2024/02/07"),
    ("새 폴더", "새 폴더 (2)"),
    ("New folder", "New folder (2)"),
    ("100APPLE", "101APPLE"),
]
CLASSES = [
    ("1910s", "1920s"),
    ("2019", "2020"),
    ("2019", "2020", "misc"),
    ("240105", "240207", "cat"),
    ("2024-01", "dog"),
    ("139905", "240299"),
    ("May", "April"),
    ("5월", "cat"),
    ("misc", "other"),
    ("101dalmatians", "cat"),
    ("20240105", "99999999"),
    ("New York", "New folder"),
]


def folders(root: Path, *names: str) -> None:
    touch(root, *(f"{name}/IMG_{place}_{n}.jpg" for place, name in enumerate(names) for n in range(3)))


@pytest.mark.parametrize("names", COLLECTIONS)
def test_days_and_months_are_no_classes_unless_the_user_says_so(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    folders(tmp_path, *names)
    with pytest.raises(DataError, match="no format that is known"):
        read(tmp_path)
    assert len(read(tmp_path, format="classes").classes) > 1


@pytest.mark.parametrize("names", CLASSES)
def test_names_like_dates_are_classes_beside_others(tmp_path: Path, names: tuple[str, ...]) -> None:
    folders(tmp_path, *names)
    assert set(read(tmp_path).classes) == set(names)


# --- the same classes below several folders


@pytest.mark.parametrize(
    ("upper", "end"),
    [
        (("Original", "Augmented"), ("", "")),
        (("Original Images/Original Images", "Augmented Images/Augmented Images"), ("", "_augmented")),
        (("clipart", "real", "sketch"), ("", "", "")),
        (("raw", "cropped"), ("", "")),
        (("Left", "Right"), ("", "")),
        (("amazon/images", "dslr/images"), ("", "")),
    ],
)
def test_equal_classes_below_folders_that_are_no_splits_are_refused(
    tmp_path: Path, upper: tuple[str, ...], end: tuple[str, ...]
) -> None:
    for top, suffix in zip(upper, end):
        touch(tmp_path, *(f"{top}/{c}{suffix}/{top[0]}{c}{n}.jpg" for c in ("cat", "dog") for n in range(4)))
    with pytest.raises(DataError, match="classes of their own") as caught:
        read(tmp_path)
    assert "--format classes" in str(caught.value.hint)
    tops = {top.partition("/")[0] for top in upper}
    assert set(read(tmp_path, format="classes").classes) == tops


def test_numbered_parts_of_classes_belong_to_the_class_above(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/session {n}/{c}{n}.jpg" for c in ("cat", "dog") for n in range(3)))
    assert read(tmp_path).classes == ("cat", "dog")


def test_other_folders_in_each_class_belong_to_the_class_above(tmp_path: Path) -> None:
    touch(tmp_path, *(f"cat/{breed}/{n}.jpg" for breed in ("tabby", "siamese") for n in range(3)))
    touch(tmp_path, *(f"dog/{breed}/{n}.jpg" for breed in ("pug", "poodle") for n in range(3)))
    assert read(tmp_path).classes == ("cat", "dog")


# --- classes with the mark of their split


@pytest.mark.parametrize(
    "tops", [("Training", "Validation"), ("train", "val"), ("1.Training", "2.Validation")]
)
@pytest.mark.parametrize(
    "marks", [("TS_", "VS_"), ("TL_", "VL_"), ("train_", "val_"), ("[원천]TS_", "[원천]VS_")]
)
def test_marks_of_splits_are_taken_off_classes(
    tmp_path: Path, tops: tuple[str, str], marks: tuple[str, str]
) -> None:
    made = {
        f"{top}/{mark}{name}/{mark[0]}{n}.jpg": name
        for top, mark in zip(tops, marks)
        for name in ("사과", "배")
        for n in range(3)
    }
    touch(tmp_path, *made)
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert set(splits(dataset).values()) == {"train", "val"}
    assert said(dataset, "without the mark of their split")
    assert "deeper folders" not in messages(dataset)


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (("TS_a", "b"), ("VS_a", "b")),
        (("red_a", "red_b"), ("green_a", "green_b")),
        (("TS_a",), ("TS_a", "TS_b")),
    ],
)
def test_other_beginnings_of_classes_stay(
    tmp_path: Path, train: tuple[str, ...], val: tuple[str, ...]
) -> None:
    touch(tmp_path, *(f"train/{name}/{n}.jpg" for name in train for n in range(2)))
    touch(tmp_path, *(f"val/{name}/v{n}.jpg" for name in val for n in range(2)))
    dataset = read(tmp_path)
    assert set(dataset.classes) == {*train, *val}
    assert said(dataset, "no class is in two splits") == set(train).isdisjoint(val)
