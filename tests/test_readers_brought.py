"""Splits that the data brings in its own way: none is lost without a word, for what is tested leaks then."""

import json
from pathlib import Path

import pytest

from reading import FILES, WORDS, captions, labels, problems, read, said, splits, table, touch, write, written
from showtell.data.names import split_in_name, splits_in_names

LABELS = ["red", "blue"] * 6
HALVES = dict.fromkeys(FILES[:6], "train") | dict.fromkeys(FILES[6:], "test")


def flags(*ones: range) -> list[list[int]]:
    return [[int(number in one) for number in range(12)] for one in ones]


@pytest.mark.parametrize("last", ["test", "is_test", "holdout"])
def test_columns_of_truth_values_bring_the_splits_together(tmp_path: Path, last: str) -> None:
    columns = flags(range(6), range(6, 8), range(8, 12))
    dataset = read(table(tmp_path, f"image,label,train,val,{last}", FILES, LABELS, *columns))
    assert list(splits(dataset).values()) == ["train"] * 6 + ["val"] * 2 + ["test"] * 4
    assert said(dataset, "truth values bring the splits", f"{last!r} is test")


def test_a_row_that_is_true_in_several_splits_may_not_be_tested_on_and_that_is_said(tmp_path: Path) -> None:
    columns = flags(range(8, 12), range(9))
    dataset = read(table(tmp_path, "image,label,test,train", FILES, LABELS, *columns))
    assert list(splits(dataset).values()) == ["train"] * 9 + ["test"] * 3
    assert said(dataset, "'train' is train, 'test' is test; of several in a row, the first of these")


def test_a_class_of_trains_among_columns_of_classes_is_no_split(tmp_path: Path) -> None:
    columns = flags(range(3), range(3, 6), range(6, 12))
    dataset = read(table(tmp_path, "image,train,car,bus", FILES, *columns))
    assert list(labels(dataset).values()) == ["train"] * 3 + ["car"] * 3 + ["bus"] * 6
    assert set(splits(dataset).values()) == {None}


@pytest.mark.parametrize("name", ["split", "partition", "Subset"])
def test_splits_by_number_are_those_of_celeba(tmp_path: Path, name: str) -> None:
    dataset = read(table(tmp_path, f"image,label,{name}", FILES, LABELS, [0] * 6 + [1] * 3 + [2] * 3))
    assert list(splits(dataset).values()) == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    assert said(dataset, f"{name!r} 0 is train, 1 is val and 2 is test")


@pytest.mark.parametrize(
    "cells", [["train2017", "val2017"], ["Train Set", "test_data"], ["trainval", "test"]]
)
def test_a_column_called_split_may_name_them_as_folders_do(tmp_path: Path, cells: list[str]) -> None:
    dataset = read(table(tmp_path, "image,label,split", FILES, LABELS, cells * 6))
    assert list(splits(dataset).values()) == [split_in_name(cell) for cell in cells] * 6
    assert None not in splits(dataset).values()


@pytest.mark.parametrize("cells", [["0", "1"], ["tr", "te"], ["A", "B"]])
def test_a_column_called_split_that_names_none_is_said(tmp_path: Path, cells: list[str]) -> None:
    dataset = read(table(tmp_path, "image,label,split", FILES, LABELS, cells * 6))
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, "the column 'split' brings no split", "expected train, val and test")


@pytest.mark.parametrize(
    "form", ["{}", "images/{}", "./data/images/{}", "/home/me/set/{}", "{} 0", "C:\\set\\{}"]
)
def test_lists_name_images_as_tables_may(tmp_path: Path, form: str) -> None:
    data = table(tmp_path, "image,caption", FILES, WORDS)
    for split in ("train", "test"):
        lines = [form.format(name) for name, half in HALVES.items() if half == split]
        write(tmp_path / f"{split}.txt", "\n".join(lines))
    dataset = read(data)
    assert splits(dataset) == HALVES
    assert said(dataset, "the splits are those of the lists")


def test_lists_that_name_no_image_are_said(tmp_path: Path) -> None:
    data = table(tmp_path, "image,caption", FILES, WORDS)
    write(tmp_path / "train.txt", "another.jpg\nset.jpg\n")
    assert said(read(data), "2 names in lists of splits are left aside")


CLASSES = ("pie", "cake", "ice")


@pytest.mark.parametrize(
    "place, names", [("", "train test"), ("meta", "train test"), ("", "TrainImages TestImages")]
)
@pytest.mark.parametrize("above", ["", "images/"])
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_lists_beside_class_folders_bring_splits(
    tmp_path: Path, place: str, names: str, above: str, extension: str
) -> None:
    touch(tmp_path, *(f"{above}{one}/{number}.jpg" for one in CLASSES for number in range(4)))
    for name, numbers in zip(names.split(), (range(3), range(3, 4))):
        lines = [f"{one}/{number}{extension}" for one in CLASSES for number in numbers]
        write(tmp_path / place / f"{name}.txt", "\n".join(lines))
    dataset = read(tmp_path)
    assert dataset.classes == ("cake", "ice", "pie")
    assert {image.name[-5]: image.split for image in dataset.images} == {
        "0": "train", "1": "train", "2": "train", "3": "test",
    }  # fmt: skip


def test_lists_of_many_partitions_are_left_aside(tmp_path: Path) -> None:
    names = [f"{one}/{number}.jpg" for one in CLASSES for number in range(4)]
    touch(tmp_path, *names)
    for number in range(4):
        held = [name for name in names if name.endswith(f"{number}.jpg")]
        write(tmp_path / f"labels/test{number}.txt", "\n".join(held))
        write(tmp_path / f"labels/train{number}.txt", "\n".join(name for name in names if name not in held))
    dataset = read(tmp_path)
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, "are left aside", "in several of them")


def test_lists_with_a_number_behind_each_name_are_tables_where_there_is_no_other(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    for split in ("train", "test"):
        names = [name for name, half in HALVES.items() if half == split]
        write(tmp_path / f"{split}.txt", "".join(f"{name} {int(name[:2]) % 3}\n" for name in names))
    dataset = read(tmp_path)
    assert labels(dataset) == {f"images/{name}": str(int(name[:2]) % 3) for name in FILES}
    assert splits(dataset) == {f"images/{name}": split for name, split in HALVES.items()}


def test_folders_of_splits_below_one_that_all_images_share(tmp_path: Path) -> None:
    names = [f"images/{split}/{name}" for name, split in HALVES.items()]
    touch(tmp_path, *names)
    by_table = read(write(tmp_path / "t.csv", written(("image", "caption"), zip(names, WORDS))))
    (tmp_path / "t.csv").unlink()
    for name, caption in zip(names, WORDS):
        write(tmp_path / name.replace("images", "labels").replace(".jpg", ".txt"), caption)
    for dataset in (by_table, read(tmp_path)):
        assert splits(dataset) == dict(zip(names, HALVES.values()))
        assert said(dataset, "folders in the images' names")


def test_images_of_a_further_folder_have_no_split_and_are_counted(tmp_path: Path) -> None:
    names = [f"{('train', 'test', 'extra')[number % 3]}/{name}" for number, name in enumerate(FILES)]
    touch(tmp_path, *names)
    dataset = read(write(tmp_path / "t.csv", written(("image", "caption"), zip(names, WORDS))))
    assert list(splits(dataset).values()) == ["train", "test", None] * 4
    assert said(dataset, "4 images have no split in the data")


ALIKE = [("asl_alphabet_train", "asl_alphabet_test"), ("train_resized", "test_resized"),
         ("trainval", "test"), ("training", "evaluation")]  # fmt: skip


@pytest.mark.parametrize("train, test", ALIKE)
@pytest.mark.parametrize("doubled", [False, True])
def test_folders_alike_but_for_the_split_are_splits(
    tmp_path: Path, train: str, test: str, doubled: bool
) -> None:
    above = {
        split: f"{name}/{name}" if doubled else name for split, name in (("train", train), ("test", test))
    }
    made = {f"{above[split]}/{one}/{split}{one}.jpg": split for split in above for one in "ABC"}
    touch(tmp_path, *made)
    dataset = read(tmp_path)
    assert (dataset.classes, splits(dataset)) == (("A", "B", "C"), made)


def test_names_alike_but_for_the_split() -> None:
    assert splits_in_names(["cats_train", "cats_val", "dogs_test"]) == {
        "cats_train": "train",
        "cats_val": "val",
    }
    assert splits_in_names(["train station", "test_tubes", "cat"]) == {}
    assert splits_in_names(["x_train_1", "x_train_2"]) == {}


@pytest.mark.parametrize("loose", ["images", "test", "cats_test"])
def test_the_one_folder_of_a_split_without_classes_is_none(tmp_path: Path, loose: str) -> None:
    top = "cats_test" if loose == "cats_test" else "test"
    train = top.replace("test", "train")
    made = {f"{train}/{one}/images/{number}.jpg": one for one in CLASSES for number in range(3)}
    touch(tmp_path, *made, *(f"{top}/{loose}/t{number}.jpg" for number in range(3)))
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert [kind for kind, _ in problems(dataset)] == ["unlabelled image"] * 3


def test_a_class_of_images_in_every_split_stays_one(tmp_path: Path) -> None:
    touch(
        tmp_path, *(f"{split}/{one}/{split}.jpg" for split in ("train", "test") for one in ("images", "art"))
    )
    assert read(tmp_path).classes == ("art", "images")


def test_coco_files_alike_but_for_the_split(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    for split in ("train", "test"):
        names = [name for name, half in HALVES.items() if half == split]
        content = {
            "images": [{"id": int(name[:2]), "file_name": name} for name in names],
            "annotations": [{"image_id": int(name[:2]), "caption": f"a dog {name}"} for name in names],
        }
        write(tmp_path / f"flickr30k_{split}.json", json.dumps(content))
    assert splits(read(tmp_path)) == HALVES


def test_tables_alike_but_for_the_split(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    for split in ("train", "test"):
        rows = [(name, "red") for name, half in HALVES.items() if half == split]
        write(tmp_path / f"flowers_{split}.csv", written(("image", "label"), rows))
    assert splits(read(tmp_path)) == {f"images/{name}": split for name, split in HALVES.items()}


def test_json_of_mappings_by_split(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    words = dict(zip(FILES, WORDS))
    content = {
        half: {name: words[name] for name in FILES if HALVES[name] == half} for half in ("train", "test")
    }
    dataset = read(write(tmp_path / "t.json", json.dumps(content)))
    assert (splits(dataset), captions(dataset)) == (HALVES, {name: (words[name],) for name in FILES})


@pytest.mark.parametrize("cells", [["p1", "", "p2", ""], ["1.0", "nan", "2.0", "NULL"]])
def test_images_of_no_group_stand_alone(tmp_path: Path, cells: list[str]) -> None:
    dataset = read(table(tmp_path, "image,label,patient", FILES, LABELS, cells * 3), group_column="patient")
    assert [image.group for image in dataset.images] == [cells[0], None, cells[2], None] * 3
    assert said(dataset, "6 images name no group in 'patient', and stand alone")


def test_groups_in_json_may_be_numbers_or_nothing(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    groups = [None, "가", 3, float("nan")] * 3
    records = [{"image": name, "label": "red", "site": group} for name, group in zip(FILES, groups)]
    dataset = read(write(tmp_path / "t.json", json.dumps(records)), group_column="site")
    assert [image.group for image in dataset.images] == [None, "가", "3", None] * 3


LANGUAGES = [("훈련데이터", "시험데이터"), ("학습용", "평가용"), ("训练集", "测试集"), ("学習", "テスト"),
             ("entrenamiento", "prueba"), ("treino", "teste")]  # fmt: skip


@pytest.mark.parametrize("train, test", LANGUAGES)
def test_splits_may_have_names_of_other_languages(tmp_path: Path, train: str, test: str) -> None:
    made = {
        f"{name}/{one}/1.jpg": split for name, split in ((train, "train"), (test, "test")) for one in "AB"
    }
    touch(tmp_path, *made)
    dataset = read(tmp_path)
    assert (dataset.classes, splits(dataset)) == (("A", "B"), made)


def test_sheets_named_after_splits_are_read_together(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    touch(tmp_path, *FILES)
    book = openpyxl.Workbook()
    for split in ("train", "test"):
        sheet = book.create_sheet(split)
        for row in [("image", "label"), *((name, "red") for name in FILES if HALVES[name] == split)]:
            sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    dataset = read(tmp_path / "t.xlsx")
    assert splits(dataset) == HALVES
    assert said(dataset, "these sheets are read, each a split: train, test")


def test_files_that_may_say_the_splits_are_named_where_they_are_not_read(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{one}/{number}.jpg" for one in CLASSES for number in range(4)))
    write(tmp_path / "train_test_split.txt", "1 1\n2 0\n")
    assert said(read(tmp_path), "not read, though it may say the splits: train_test_split.txt")


def test_groups_that_the_data_itself_parts_are_named(tmp_path: Path) -> None:
    halves = [HALVES[name] for name in FILES]
    patients = ["p1", "p2", "p3"] * 4
    data = table(tmp_path, "image,label,split,patient", FILES, LABELS, halves, patients)
    assert said(read(data, group_column="patient"), "part groups", "p1, p2, p3 of 'patient'")
    data = table(tmp_path, "image,label,split,patient", FILES, LABELS, halves, halves)
    assert not said(read(data, group_column="patient"), "part groups")


@pytest.mark.parametrize("names", ["{}", "flowers_{}", "{}_flowers"])
def test_each_table_of_a_split_has_the_folder_of_its_split(tmp_path: Path, names: str) -> None:
    for split in ("train", "test"):
        touch(tmp_path, *(f"{split}/{name}" for name in FILES))
        rows = [(name, f"{split} {number % 2}") for number, name in enumerate(FILES)]
        write(tmp_path / f"{names.format(split)}.csv", written(("image", "label"), rows))
    dataset = read(tmp_path)
    assert len(dataset.images) == 24
    assert all(image.name.startswith(f"{image.split}/") for image in dataset.images)
    assert all(str(image.label).startswith(str(image.split)) for image in dataset.images)


@pytest.mark.parametrize("form", ["one", "several"])
@pytest.mark.parametrize("stems", [False, True])
def test_lists_may_be_json(tmp_path: Path, form: str, stems: bool) -> None:
    data = table(tmp_path, "image,caption", FILES, WORDS)
    names = {
        half: [name[:2] if stems else name for name in FILES if HALVES[name] == half]
        for half in ("train", "test")
    }
    if form == "one":
        write(tmp_path / "splits.json", json.dumps(names))
    else:
        for half in names:
            write(tmp_path / f"{half}.json", json.dumps(names[half]))
    for source in (data, tmp_path):
        assert splits(read(source)) == HALVES


def test_a_table_beside_another_that_holds_no_words_is_said(tmp_path: Path) -> None:
    table(tmp_path, "image,caption", FILES, WORDS)
    write(tmp_path / "parts.csv", written(("image", "width"), ((name, 640) for name in FILES)))
    assert said(read(tmp_path), "left out:", "parts.csv has no column that holds a caption or a label")


def test_a_table_beside_another_whose_images_are_not_there_is_said(tmp_path: Path) -> None:
    table(tmp_path, "uid,filename,projection", range(12), FILES, ["Frontal", "Lateral"] * 6)
    write(tmp_path / "reports.csv", "image,caption\nXray Chest PA,the heart is normal\nXray,a clear lung\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("Frontal", "Lateral")
    assert said(dataset, "left out", "reports.csv")


@pytest.mark.parametrize("other", ["extra", "ground_truth"])
def test_splits_inside_of_classes_beside_something_else(tmp_path: Path, other: str) -> None:
    made = {f"{one}/{split}/{split}{one}.jpg": split for one in CLASSES for split in ("train", "test")}
    touch(tmp_path, *made, f"pie/{other}/1.jpg")
    dataset = read(tmp_path)
    assert {name: split for name, split in splits(dataset).items() if "/1.jpg" not in name} == made
    assert dataset.classes == ("cake", "ice", "pie")
    assert said(dataset, "1 images have no split") == (other == "extra")
    assert (problems(dataset) == [("mask", "1.jpg")]) == (other == "ground_truth")


def test_what_lists_of_val_and_test_do_not_name_is_train(tmp_path: Path) -> None:
    names = [f"{one}/my {one} {number}.jpg" for one in CLASSES for number in range(4)]
    touch(tmp_path, *names)
    write(tmp_path / "validation_list.txt", "\n".join(names[::4]))
    write(tmp_path / "testing_list.txt", "\n".join(names[1::4]))
    dataset = read(tmp_path)
    assert splits(dataset) == dict(zip(sorted(names), ["val", "test", "train", "train"] * 3))
    assert said(dataset, "the other 6 images are train")


def test_beside_val_trainval_is_both_once_more(tmp_path: Path) -> None:
    data = table(tmp_path, "image,caption", FILES, WORDS)
    lists = {"train": FILES[:4], "val": FILES[4:8], "trainval": FILES[:8], "test": FILES[8:]}
    for name, names in lists.items():
        write(tmp_path / f"{name}.txt", "\n".join(names))
    dataset = read(data)
    assert list(splits(dataset).values()) == ["train"] * 4 + ["val"] * 4 + ["test"] * 4
    assert problems(dataset) == []


def test_lists_of_paths_with_their_labels(tmp_path: Path) -> None:
    made = {f"{one}/{number}.jpg": "test" if number else "train" for one in CLASSES for number in range(2)}
    touch(tmp_path, *made)
    content = {half: [[name, 0, "a"] for name in made if made[name] == half] for half in ("train", "test")}
    write(tmp_path / "split_someone.json", json.dumps(content))
    assert splits(read(tmp_path)) == made


@pytest.mark.parametrize("name", ["is_training_image", "train_flag", "isTrain", "in_train"])
def test_columns_of_truth_values_in_any_spelling(tmp_path: Path, name: str) -> None:
    dataset = read(table(tmp_path, f"image,label,{name}", FILES, LABELS, [1, 0] * 6))
    assert list(splits(dataset).values()) == ["train", "val"] * 6


def test_a_column_that_speaks_of_splits_and_names_none_is_said(tmp_path: Path) -> None:
    dataset = read(table(tmp_path, "image,label,train_test_split", FILES, LABELS, [3, 4] * 6))
    assert said(dataset, "'train_test_split' brings no split")


def listed(root: Path, form: str) -> None:
    """Write lists of the splits of `HALVES` in one of the forms that people use."""
    train, test = FILES[:6], FILES[6:]
    if form in ("csv", "lst", "list"):
        head = "image\n" if form == "csv" else ""
        write(root / f"train.{form}", head + "\n".join(train))
        write(root / f"test.{form}", head + "\n".join(test))
    elif form == "folder":
        write(root / "splits/train.txt", "\n".join(train))
        write(root / "splits/test.txt", "\n".join(test))
    elif form == "mapping":
        write(root / "split.json", json.dumps(HALVES))
    else:
        mark = {"pairs": ",", "blanks": " "}[form]
        suffix = {"pairs": "csv", "blanks": "txt"}[form]
        lines = [f"{name}{mark}{split}" for name, split in HALVES.items()]
        write(root / f"train_test_split.{suffix}", "\n".join(["image,split"] * (mark == ",") + lines))


@pytest.mark.parametrize("form", ["csv", "lst", "list", "folder", "mapping", "pairs", "blanks"])
@pytest.mark.parametrize("data", ["table", "classes"])
def test_lists_of_splits_in_any_file(tmp_path: Path, form: str, data: str) -> None:
    listed(tmp_path, form)
    if data == "table":
        touch(tmp_path, *(f"images/{name}" for name in FILES))
        write(tmp_path / "captions.csv", written(("image", "caption"), zip(FILES, WORDS)))
    else:
        touch(tmp_path, *(f"{label}/{name}" for name, label in zip(FILES, LABELS)))
    dataset = read(tmp_path)
    assert {name.rpartition("/")[2]: split for name, split in splits(dataset).items()} == HALVES
    assert said(dataset, "the splits are those of the lists")
    assert "two splits" not in [kind for kind, _ in problems(dataset)]


FLAT = ["{split}_{label}", "{label}-{split}", "{split}{Label}", "{label} {split}"]


@pytest.mark.parametrize("form", FLAT)
def test_folders_named_after_class_and_split_are_both(tmp_path: Path, form: str) -> None:
    made = {
        f"{form.format(split=split, label=label, Label=label.capitalize())}/{split}{label}{number}.jpg": split
        for split in ("train", "test")
        for label in ("cat_1", "cat_2", "dog")
        for number in range(2)
    }
    touch(tmp_path, *made)
    dataset = read(tmp_path)
    assert splits(dataset) == made
    assert [name.lower() for name in dataset.classes] == ["cat_1", "cat_2", "dog"]
    assert said(dataset, "named after class and split")


def test_folders_of_images_and_masks_in_splits_are_no_classes(tmp_path: Path) -> None:
    touch(
        tmp_path,
        *(f"{s}_{of}/{n}.png" for s in ("train", "test") for of in ("images", "masks") for n in "ab"),
    )
    assert {"images", "masks"}.isdisjoint(read(tmp_path, format="classes").classes)
