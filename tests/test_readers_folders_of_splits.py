"""Rows whose split is known, and images of the same names in the folder of each split."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reading import captions, labels, problems, read, said, splits, touch, write, written
from showtell.errors import DataError

NAMES = [f"{number}.jpg" for number in range(6)]
SAYS = ["a dog runs", "two cats sleep", "a red bus stops", "people eat lunch", "a kite flies", "snow lies"]
Rows = list[tuple[str, str, str]]
"""Name, caption and split."""


def rows_of(*of: str, names: list[str] = NAMES) -> Rows:
    return [(name, f"{split} {words}", split) for split in of for name, words in zip(names, SAYS)]


def coco(rows: list[tuple[str, str]]) -> str:
    images = [{"id": number, "file_name": name} for number, (name, _) in enumerate(rows)]
    said = [{"id": number, "image_id": number, "caption": words} for number, (_, words) in enumerate(rows)]
    return json.dumps({"images": images, "annotations": said})


def records(rows: list[tuple[str, str]]) -> str:
    return json.dumps([{"image": name, "caption": words} for name, words in rows])


def comma(rows: list[tuple[str, str]]) -> str:
    return written(["image", "caption"], rows)


def in_files(make: Callable[[Any], str], pattern: str) -> Callable[[Path, Rows], None]:
    """Return what writes the rows of each split to a file of its own."""

    def put(root: Path, rows: Rows) -> None:
        for split in {split for *_, split in rows}:
            own = [(name, words) for name, words, of in rows if of == split]
            write(root / pattern.format(split), make(own))

    return put


def column(root: Path, rows: Rows) -> None:
    write(root / "captions.csv", written(["image", "caption", "split"], rows))


def keys(root: Path, rows: Rows) -> None:
    parts = {split: [{"image": n, "caption": w} for n, w, of in rows if of == split] for *_, split in rows}
    write(root / "captions.json", json.dumps(parts))


def karpathy(root: Path, rows: Rows) -> None:
    images = [{"filename": name, "split": of, "sentences": [{"raw": words}]} for name, words, of in rows]
    write(root / "captions.json", json.dumps({"images": images}))


WAYS = {
    "a column": column,
    "keys": keys,
    "Karpathy": karpathy,
    "COCO": in_files(coco, "{}.json"),
    "COCO in annotations": in_files(coco, "annotations/captions_{}.json"),
    "COCO behind": in_files(coco, "{}_captions.json"),
    "tables": in_files(comma, "{}.csv"),
    "tables in annotations": in_files(comma, "annotations/{}.csv"),
    "records in annotations": in_files(records, "annotations/{}.json"),
}


@pytest.mark.parametrize("pattern", ["{}/", "images/{}/", "{}_images/", "{}/images/"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("of", [("train", "val"), ("train", "val", "test")])
def test_a_row_means_the_image_in_the_folder_of_its_split(
    tmp_path: Path, way: str, pattern: str, of: tuple[str, ...]
) -> None:
    rows = rows_of(*of)
    WAYS[way](tmp_path, rows)
    touch(tmp_path, *(pattern.format(split) + name for name, _, split in rows))
    dataset = read(tmp_path)
    assert len(dataset.images) == len(rows)
    for image in dataset.images:
        assert image.captions == (f"{image.split} {SAYS[int(image.path.stem)]}",)
        assert pattern.format(image.split) in image.path.as_posix()
    assert not dataset.problems


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("there", ["train", "val"])
def test_a_split_that_is_not_unpacked_is_missing(tmp_path: Path, way: str, there: str) -> None:
    rows = rows_of("train", "val")
    WAYS[way](tmp_path, rows)
    touch(tmp_path, *(f"{there}/{name}" for name in NAMES))
    dataset = read(tmp_path)
    assert sorted(image.captions for image in dataset.images) == sorted((f"{there} {w}",) for w in SAYS)
    assert {image.split for image in dataset.images} == {there}
    assert [kind for kind, _ in problems(dataset)] == ["missing image"] * 6


@pytest.mark.parametrize("way", ["a column", "Karpathy", "tables", "COCO"])
def test_an_image_that_its_split_lacks_is_no_image_of_another(tmp_path: Path, way: str) -> None:
    rows = [row for row in rows_of("train", "val") if row[0] != "5.jpg" or row[2] == "val"]
    WAYS[way](tmp_path, rows)
    touch(tmp_path, *(f"train/{name}" for name in NAMES), *(f"val/{name}" for name in NAMES[:5]))
    dataset = read(tmp_path)
    assert len(dataset.images) == 10
    assert all(image.captions[0].startswith(str(image.split)) for image in dataset.images)
    assert "missing image" in [kind for kind, _ in problems(dataset)]


@pytest.mark.parametrize("value", ["val", "validation", "Valid", "dev"])
@pytest.mark.parametrize("folder", ["val", "valid", "validation_set"])
def test_column_and_folder_may_call_a_split_differently(tmp_path: Path, value: str, folder: str) -> None:
    rows = [(name, words, value if of == "val" else of) for name, words, of in rows_of("train", "val")]
    column(tmp_path, rows)
    touch(tmp_path, *(f"images/{top}/{name}" for top in ("train", folder) for name in NAMES))
    dataset = read(tmp_path)
    assert {image.name: image.split for image in dataset.images} == {
        f"{top}/{name}": split for top, split in (("train", "train"), (folder, "val")) for name in NAMES
    }


def test_labels_of_the_same_names_are_not_two_labels_of_one_image(tmp_path: Path) -> None:
    rows = [(name, "cat" if int(name[0]) % 2 else "dog", "train") for name in NAMES]
    rows += [(name, "dog" if label == "cat" else "cat", "val") for name, label, _ in rows]
    write(tmp_path / "labels.csv", written(["image", "label", "split"], rows))
    touch(tmp_path, *(f"{split}/{name}" for name, _, split in rows))
    assert labels(read(tmp_path)) == {f"{split}/{name}": label for name, label, split in rows}


@pytest.mark.parametrize("way", ["a column", "keys", "Karpathy", "tables"])
def test_one_folder_called_train_may_hold_all_splits(tmp_path: Path, way: str) -> None:
    """Somebody parted the table of a training set, whose images stay where they are."""
    rows = [(name, words, "val" if name < "2" else "train") for name, words, _ in rows_of("train")]
    WAYS[way](tmp_path, rows)
    touch(tmp_path, *(f"train/{name}" for name in NAMES))
    dataset = read(tmp_path)
    assert {name.rpartition("/")[2]: split for name, split in splits(dataset).items()} == {
        name: split for name, _, split in rows
    }
    assert not dataset.problems


def test_folds_of_a_training_set_do_not_look_into_the_test_set(tmp_path: Path) -> None:
    rows = [(name, words, str(place % 3)) for place, (name, words) in enumerate(zip(NAMES, SAYS))]
    write(tmp_path / "train.csv", written(["image", "caption", "fold"], rows))
    touch(tmp_path, *(f"{top}/{name}" for top in ("train", "test") for name in NAMES))
    dataset = read(tmp_path)
    assert {image.path.parent.name for image in dataset.images} == {"train"}
    assert len(dataset.images) == 6


def test_names_of_one_kind_may_lie_in_another_splits_folder(tmp_path: Path) -> None:
    """As COCO's images of restval lie in val2014, in a file without their folders."""
    rows = [(f"{number}.jpg", f"a dog {number}", split) for number, split in enumerate(["train", "val"] * 3)]
    karpathy(tmp_path, rows)
    touch(tmp_path, *(f"{'val' if name in ('0.jpg', '1.jpg') else of}/{name}" for name, _, of in rows))
    dataset = read(tmp_path)
    assert len(dataset.images) == 6
    assert splits(dataset)["val/0.jpg"] == "train"


def test_folders_that_the_row_names_are_followed(tmp_path: Path) -> None:
    rows = [
        (f"{'val' if number < 2 else 'train'}/{number}.jpg", f"dog {number}", "train") for number in range(6)
    ]
    write(tmp_path / "c.csv", written(["image", "caption", "split"], [*rows, ("val/9.jpg", "a cat", "val")]))
    touch(tmp_path, *(name for name, *_ in rows), "val/9.jpg", "train/0.jpg")
    dataset = read(tmp_path)
    assert captions(dataset)["val/0.jpg"] == ("dog 0",)
    assert splits(dataset)["val/0.jpg"] == "train"


def test_folders_named_by_the_user_are_the_only_ones(tmp_path: Path) -> None:
    column(tmp_path, rows_of("train"))
    touch(tmp_path, *(f"{top}/{name}" for top in ("train", "val") for name in NAMES))
    assert read(tmp_path, images=tmp_path / "val").images[0].path == tmp_path / "val/0.jpg"


def test_nothing_beside_the_folder_that_holds_table_and_images_is_read(tmp_path: Path) -> None:
    column(tmp_path / "train", [*rows_of("train", names=NAMES[:3]), ("4.jpg", "a cat", "val")])
    touch(tmp_path, *(f"{top}/{name}" for top in ("train", "val") for name in NAMES))
    dataset = read(tmp_path / "train")
    assert {image.path.parent.name for image in dataset.images} == {"train"}
    assert len(dataset.images) == 4


def test_a_table_of_val_that_finds_its_names_in_train_says_so(tmp_path: Path) -> None:
    write(tmp_path / "val.csv", comma([(name, words) for name, words in zip(NAMES, SAYS)]))
    touch(tmp_path, *(f"train/{name}" for name in NAMES))
    assert said(read(tmp_path), "the images of val.csv are those in train", "--images")


def test_the_folders_of_splits_are_said(tmp_path: Path) -> None:
    column(tmp_path, rows_of("train", "val"))
    touch(tmp_path, *(f"{top}/{name}" for top in ("train", "val") for name in NAMES))
    assert said(read(tmp_path), "folder of each image's split", "train, val")


def test_without_splits_the_same_names_in_two_folders_stay_ambiguous(tmp_path: Path) -> None:
    write(tmp_path / "c.csv", comma([(name, words) for name, words in zip(NAMES, SAYS)]))
    touch(tmp_path, *(f"images/{top}/{name}" for top in ("train", "val") for name in NAMES))
    with pytest.raises(DataError, match="ambiguous name"):
        read(tmp_path)


def test_what_is_read_is_not_said_to_be_left_out(tmp_path: Path) -> None:
    column(tmp_path, rows_of("train", "val"))
    touch(tmp_path, *(f"{top}/{name}" for top in ("train", "val", "more") for name in NAMES))
    (left,) = [note for note in read(tmp_path).notes if "left out" in note]
    assert "more" in left
    assert "val" not in left


def test_the_only_other_images_of_a_val_row_are_not_taken_where_many_names_are_shared(tmp_path: Path) -> None:
    """Four of five names of test are those of train as well, so the fifth is another image, too."""
    write(tmp_path / "train.csv", comma([(f"{number}.jpg", f"dog {number}") for number in range(4)]))
    write(tmp_path / "test.csv", comma([(f"{number}.jpg", f"test {number}") for number in range(5)]))
    touch(tmp_path, *(f"train/{number}.jpg" for number in range(6)))
    assert set(splits(read(tmp_path)).values()) == {"train"}


def test_one_name_in_two_splits_is_no_reason_to_leave_out_all_others(tmp_path: Path) -> None:
    rows = [(f"{number}.jpg", f"dog {number}", "val" if number < 20 else "train") for number in range(40)]
    column(tmp_path, [*rows, ("30.jpg", "another", "val")])
    touch(tmp_path, *(f"train/{name}" for name, *_ in rows))
    dataset = read(tmp_path)
    assert [len(dataset.split(split)) for split in ("train", "val")] == [20, 20]
    assert captions(dataset)["30.jpg"] == ("dog 30",)
    assert "missing image" in [kind for kind, _ in problems(dataset)]
