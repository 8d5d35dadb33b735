"""Flickr8k, COCO, Karpathy, image folders, class folders; and which of them a path is taken for."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from showtell.data.readers import FORMATS, read_dataset
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import DataError


def read(data: Path, **known: Any) -> Dataset:
    return read_dataset(DataSource(data, **known))


SHARED = Path(__file__).parents[2] / "shared" / "data"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def splits(dataset: Dataset) -> dict[str, str | None]:
    return {image.name: image.split for image in dataset.images}


def problems(dataset: Dataset) -> list[tuple[str, str]]:
    return [(problem.kind, Path(problem.where).name) for problem in dataset.problems]


def real(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"the real data {name} is not at hand")
    return path


# --- Flickr8k


def flickr8k(root: Path) -> Path:
    touch(root, *(f"Flicker8k_Dataset/{name}.jpg" for name in "abcde"))
    (root / "Flickr8k.token.txt").write_text(
        "a.jpg#0\tA dog .\na.jpg#1\tA dog .\nb.jpg#0\tB\nc.jpg#0\tC\nd.jpg#0\tD\nd.jpg#1\tDD\nz.jpg.1#0\tZ\n"
        "no tab here\na.jpg#2\t\n"
    )
    (root / "captions.txt").write_text("image,caption\na.jpg,A dog .\nb.jpg,B\n")
    return root


def test_flickr8k_brings_splits_from_its_lists(tmp_path: Path) -> None:
    root = flickr8k(tmp_path)
    (root / "Flickr_8k.trainImages.txt").write_text("a.jpg\nb.jpg\ngone.jpg\n")
    (root / "Flickr_8k.devImages.txt").write_text("c.jpg\nb.jpg\r\ne.jpg")
    (root / "Flickr_8k.testImages.txt").write_text("c.jpg\n")
    dataset = read(root)
    assert dataset.format == "flickr8k"
    assert splits(dataset) == {"a.jpg": "train", "b.jpg": "train", "c.jpg": "val"}
    assert dataset.images[0].captions == ("A dog .", "A dog .")
    assert sorted(problems(dataset)) == [
        ("empty caption", "Flickr8k.token.txt:9"),
        ("image in no list", "Flickr8k.token.txt:5"),
        ("image in no list", "Flickr8k.token.txt:7"),
        ("image without captions", "Flickr_8k.devImages.txt:3"),
        ("missing image", "Flickr_8k.trainImages.txt:3"),
        ("two splits", "Flickr_8k.testImages.txt:1"),
        ("two splits", "Flickr_8k.trainImages.txt:2"),
        ("wrong number of fields", "Flickr8k.token.txt:8"),
    ]


def test_flickr8k_without_lists_brings_no_split(tmp_path: Path) -> None:
    dataset = read(flickr8k(tmp_path) / "Flickr8k.token.txt")
    assert splits(dataset) == dict.fromkeys(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    assert ("missing image", "Flickr8k.token.txt:7") in problems(dataset)
    assert ("image without captions", "e.jpg") in problems(dataset)


def test_flickr8k_can_be_read_by_its_table_instead(tmp_path: Path) -> None:
    root = flickr8k(tmp_path)
    assert read(root).format == "flickr8k"
    forced = read(root, format="csv")
    assert (forced.format, forced.source) == ("csv", root / "captions.txt")


def test_real_flickr8k() -> None:
    dataset = read(real("flickr8k"))
    assert dataset.format == "flickr8k"
    assert Counter(splits(dataset).values()) == {"train": 6000, "val": 1000}
    assert {len(image.captions) for image in dataset.images} == {5}
    assert dataset.problems == ()
    by_table = read(real("flickr8k/captions.txt"))
    assert Counter(problem.kind for problem in by_table.problems) == {"repeated row": 9}
    lists = {image.name: set(image.captions) for image in dataset.images}
    assert {image.name: set(image.captions) for image in by_table.images} == lists


# --- COCO and Karpathy


def coco(path: Path, images: dict[int, str], captions: list[tuple[int, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "info": {"year": 2017},
        "images": [{"id": key, "file_name": name, "height": 4} for key, name in images.items()],
        "annotations": [{"image_id": key, "id": 1, "caption": caption} for key, caption in captions],
    }
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


def test_coco_captions_and_their_faults(tmp_path: Path) -> None:
    touch(tmp_path, "val2017/1.jpg", "val2017/2.jpg", "val2017/other.jpg")
    path = coco(
        tmp_path / "annotations" / "captions_val2017.json",
        {7: "1.jpg", 8: "2.jpg", 9: "3.jpg", 10: "../x.jpg"},
        [(7, 'say "sentences"'), (8, "  "), (9, "C"), (99, "?"), (7, "개\n"), (7, "개"), (10, "out")],
    )
    dataset = read(path)
    assert (dataset.format, splits(dataset)) == ("coco", {"1.jpg": None})
    assert dataset.images[0].captions == ('say "sentences"', "개", "개")
    assert problems(dataset) == [
        ("empty caption", "captions_val2017.json:annotations[1]"),
        ("missing image", "captions_val2017.json:annotations[2]"),
        ("missing image", "captions_val2017.json:annotations[3]"),
        ("outside the image folder", "captions_val2017.json:annotations[6]"),
    ]


def test_captions_that_the_data_marks_as_rejected_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg")
    path = coco(
        tmp_path / "t.json", {7: "1.jpg", 8: "2.jpg"}, [(7, "a dog"), (7, "too dark to see"), (8, "a cat")]
    )
    content = json.loads(path.read_text())
    for annotation, rejected in zip(content["annotations"], (False, True, 0)):
        annotation["is_rejected"] = rejected
    path.write_text(json.dumps(content))
    dataset = read(path)
    assert [image.captions for image in dataset.images] == [("a dog",), ("a cat",)]
    assert problems(dataset) == [("rejected caption", "t.json:annotations[1]")]


@pytest.mark.parametrize("images", ["val2017", ""])
def test_coco_images_in_the_folder_given_or_in_its_subset(tmp_path: Path, images: str) -> None:
    touch(tmp_path, "images_elsewhere/val2017/1.jpg")
    path = coco(tmp_path / "captions_val2017.json", {7: "1.jpg", 8: "2.jpg"}, [(7, "A")])
    dataset = read(path, images=tmp_path / "images_elsewhere" / images)
    assert dataset.images[0].path.is_file()
    assert problems(dataset) == [("image without captions", "captions_val2017.json:images[1]")]


def test_a_coco_folder_brings_splits_and_skips_object_annotations(tmp_path: Path) -> None:
    touch(tmp_path, "train2017/1.jpg", "val2017/1.jpg", "val2017/2.jpg")
    notes = tmp_path / "annotations"
    coco(notes / "captions_train2017.json", {7: "1.jpg"}, [(7, "A")])
    coco(notes / "captions_val2017.json", {8: "1.jpg", 9: "2.jpg"}, [(8, "B"), (9, "C")])
    (notes / "instances_val2017.json").write_text('{"images": [], "annotations": [{"category_id": 1}]}')
    dataset = read(tmp_path)
    assert splits(dataset) == {"train2017/1.jpg": "train", "val2017/1.jpg": "val", "val2017/2.jpg": "val"}
    assert dataset.problems == ()


def test_real_coco_sample(tmp_path: Path) -> None:
    path = real("formats/coco_captions_val2017_30.json")
    touch(tmp_path, *(image["file_name"] for image in json.loads(path.read_text())["images"]))
    dataset = read(path, images=tmp_path)
    assert (dataset.format, len(dataset.images), len(list(dataset.captions()))) == ("coco", 30, 150)
    assert dataset.problems == ()


def karpathy(path: Path) -> Path:
    images = [
        {
            "filepath": "val2014",
            "filename": "1.jpg",
            "split": "restval",
            "sentences": [{"raw": "A"}, {"raw": "A"}],
        },
        {"filepath": "train2014", "filename": "2.jpg", "split": "val", "sentences": [{"tokens": ["b", "c"]}]},
        {"filepath": "val2014", "filename": "3.jpg", "split": "test", "sentences": [{"raw": "C"}]},
        {"filepath": "val2014", "filename": "4.jpg", "split": "train", "sentences": []},
    ]
    path.write_text(json.dumps({"dataset": "coco", "images": images}))
    return path


@pytest.mark.parametrize("flat", [False, True])
def test_karpathy_splits_and_folders(tmp_path: Path, flat: bool) -> None:
    root = tmp_path / "photos"
    touch(
        root,
        *(["1.jpg", "2.jpg", "3.jpg"] if flat else ["val2014/1.jpg", "train2014/2.jpg", "val2014/3.jpg"]),
    )
    dataset = read(karpathy(tmp_path / "dataset_coco.json"))
    assert dataset.format == "karpathy"
    assert list(splits(dataset).values()) == ["train", "val", "test"]
    assert [image.captions for image in dataset.images] == [("A", "A"), ("b c",), ("C",)]
    assert problems(dataset) == [
        ("image without captions", "dataset_coco.json:images[3]"),
    ]


def test_real_karpathy_samples(tmp_path: Path) -> None:
    dataset = read(real("formats/karpathy_flickr8k_60.json"), images=real("flickr8k/Images"))
    assert (dataset.format, len(dataset.images), dataset.problems) == ("karpathy", 60, ())
    assert set(splits(dataset).values()) == {"train"}
    touch(tmp_path, *(f"{number}.tif" for number in range(1, 21)))
    ucm = read(real("formats/ucm_karpathy_20.json"), images=tmp_path)
    assert (len(ucm.images), ucm.problems) == (20, ())


def test_broken_json_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "captions.json"
    path.write_text(
        '{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": 3}]}'
    )
    with pytest.raises(DataError, match=r"\$\.annotations\[0\]\.caption"):
        read(path)
    path.write_text('{"images": [{"id": 1}], "annotations": [{"caption": "cut o')
    with pytest.raises(DataError, match="not a captions JSON"):
        read(path)
    path.write_bytes('{"images": [], "annotations": [{"image_id": 1, "caption": "개"}]}'.encode("cp949"))
    with pytest.raises(DataError, match="cp949"):
        read(path)
    path.write_text("")
    with pytest.raises(DataError, match="not JSON"):
        read(path)


# --- Hugging Face image folder


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_image_folder_with_split_folders(tmp_path: Path, form: str) -> None:
    touch(tmp_path, "train/1.png", "train/2.png", "validation/1.png", "secret.png")
    rows = {"train": [("1.png", "하나"), ("../secret.png", "no")], "validation": [("1.png", "two, or so")]}
    for split, entries in rows.items():
        if form == "csv":
            text = "file_name,text\n" + "".join(f'{name},"{caption}"\n' for name, caption in entries)
        else:
            text = "".join(
                json.dumps({"file_name": name, "text": caption}) + "\n" for name, caption in entries
            )
        (tmp_path / split / f"metadata.{form}").write_text(text, encoding="utf-8")
    dataset = read(tmp_path)
    assert dataset.format == "imagefolder"
    assert splits(dataset) == {"train/1.png": "train", "validation/1.png": "val"}
    assert [image.captions for image in dataset.images] == [("하나",), ("two, or so",)]
    line = 3 if form == "csv" else 2
    assert problems(dataset) == [
        ("outside the image folder", f"metadata.{form}:{line}"),
        ("image without captions", "secret.png"),
        ("image without captions", "2.png"),
    ]


def test_image_folder_in_json_lines_and_its_faults(tmp_path: Path) -> None:
    touch(tmp_path, "test/1.png", "2.png")
    lines = [
        '{"file_name": "test/1.png", "caption": ["A", "B"]}',
        "",
        '{"file_name": "2.png", "caption": "C"',
        '{"file_name": "2.png"}',
        '["2.png"]',
        '{"file_name": "2.png", "caption": ""}',
        '{"file_name": "2.png", "caption": "D"}',
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    dataset = read(tmp_path / "metadata.jsonl")
    assert splits(dataset) == {"test/1.png": "test", "2.png": None}
    assert [image.captions for image in dataset.images] == [("A", "B"), ("D",)]
    assert problems(dataset) == [
        ("broken line", "metadata.jsonl:3"),
        ("broken line", "metadata.jsonl:5"),
        ("empty caption", "metadata.jsonl:4"),
        ("empty caption", "metadata.jsonl:6"),
    ]


def test_image_folder_with_labels_and_with_named_columns(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png")
    path = tmp_path / "metadata.jsonl"
    path.write_text('{"file_name": "1.png", "label": 0}\n{"file_name": "2.png", "label": 1}\n')
    assert read(tmp_path).classes == ("0", "1")
    path.write_text('{"foto": "1.png", "zin": "een"}\n{"foto": "2.png", "zin": "twee"}\n')
    dataset = read(tmp_path, image_column="foto", text_column="zin")
    assert [image.captions for image in dataset.images] == [("een",), ("twee",)]


# --- class folders


def test_class_folders_with_splits_in_any_case_and_strays(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "Train/레오/1.jpg",
        "Train/Eve/deep/2.JPEG",
        "VALID/레오/1.jpg",
        "test/Eve/3.png",
        "Train/.DS_Store",
        "Train/Eve/Thumbs.db",
        "Train/Eve/._2.jpg",
        "Train/loose.jpg",
        "extra/4.jpg",
        "readme.md",
    )
    (tmp_path / "Train" / "Empty").mkdir()
    dataset = read(tmp_path)
    assert (dataset.format, dataset.classes) == ("classes", ("Eve", "레오"))
    assert {image.name: (image.label, image.split) for image in dataset.images} == {
        "Train/Eve/deep/2.JPEG": ("Eve", "train"),
        "Train/레오/1.jpg": ("레오", "train"),
        "VALID/레오/1.jpg": ("레오", "val"),
        "test/Eve/3.png": ("Eve", "test"),
    }
    assert sorted((problem.kind, problem.where) for problem in dataset.problems) == [
        ("empty class folder", "Train/Empty"),
        ("hidden file", "Train/.DS_Store"),
        ("hidden file", "Train/Eve/._2.jpg"),
        ("image outside a class folder", "Train/loose.jpg"),
        ("image outside a split folder", "extra/4.jpg"),
        ("not an image", "Train/Eve/Thumbs.db"),
        ("not an image", "readme.md"),
    ]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "plane/2.jpg", "loose.jpg")
    dataset = read(tmp_path)
    assert splits(dataset) == {"plane/2.jpg": None, "train/1.jpg": None}
    assert dataset.classes == ("plane", "train")
    assert problems(dataset) == [("image outside a class folder", "loose.jpg")]


def test_links_out_of_class_folders_are_reported_not_followed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    touch(data, "a/1.jpg", "b/2.jpg")
    touch(tmp_path, "private/3.jpg")
    (data / "c").symlink_to(tmp_path / "private")
    (data / "a" / "3.jpg").symlink_to(tmp_path / "private" / "3.jpg")
    dataset = read(data)
    assert len(dataset.images) == 2
    assert sorted(problem.where for problem in dataset.problems) == ["a/3.jpg", "c"]


def test_real_cats() -> None:
    dataset = read(real("knyang"))
    assert dataset.classes == ("Chungdam", "Eve", "Hwamok", "Leo", "Ming")
    assert Counter(splits(dataset).values()) == {"train": 368, "val": 50}
    assert dataset.problems == ()


# --- recognition


def test_what_is_not_recognised_says_what_was_found_and_how_to_force(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number:02}.jpg" for number in range(12)))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    message = str(error.value)
    assert "00.jpg" in message
    assert "2 more" in message
    assert all(f"--format {name}" in message for name in FORMATS)
    touch(tmp_path / "halves", "train/1.jpg", "test/2.jpg")
    with pytest.raises(DataError, match="no format that is known"):
        read(tmp_path / "halves")
    with pytest.raises(DataError, match="no file or folder"):
        read(tmp_path / "none")
    with pytest.raises(DataError, match="is an image"):
        read(tmp_path / "00.jpg")
    (tmp_path / "book.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="as CSV"):
        read(tmp_path / "book.xlsx")


def test_two_readings_of_a_folder_need_a_choice(tmp_path: Path) -> None:
    touch(tmp_path, "cats/1.jpg", "dogs/2.jpg")
    (tmp_path / "labels.csv").write_text("file,label\ncats/1.jpg,cat\ndogs/2.jpg,dog\n")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert "labels.csv: labels" in str(error.value)
    assert ": classes" in str(error.value)
    assert read(tmp_path, format="classes").classes == ("cats", "dogs")
    assert read(tmp_path, format="labels").classes == ("cat", "dog")
    with pytest.raises(DataError, match="no karpathy data"):
        read(tmp_path, format="karpathy")
    with pytest.raises(DataError, match=r"no metadata\.csv"):
        read(tmp_path, format="imagefolder")


def test_a_folder_with_a_table_that_lacks_columns_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg")
    (tmp_path / "t.csv").write_text("a,b,c\n1.jpg,x,y\n")
    with pytest.raises(DataError, match="columns are 'a', 'b', 'c'"):
        read(tmp_path)
