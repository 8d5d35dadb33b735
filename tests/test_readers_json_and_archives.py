"""Further forms of JSON, texts and labels beside images, images in archives, several images in a cell."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from reading import FILES, WORDS, captions, labels, read, said, splits, tar, touch, write, written
from showtell.errors import DataError

SPLITS = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
THREE = dict(zip(FILES, SPLITS))
NUMBERS = {"train": 0, "val": 1, "test": 2}
LABELS = ["cat", "dog"] * 6


def placed(found: Mapping[str, object]) -> dict[str, object]:
    """Return what is known of images without the folder in their names."""
    return {name.rpartition("/")[2]: value for name, value in found.items()}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpack images into a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


# --- JSON


def both(number: int) -> list[str]:
    return [WORDS[number], f"again {WORDS[number]}"]


NAMES = [{"file_name": name, "id": number} for number, name in enumerate(FILES)]
CAPTIONED: dict[str, tuple[object, bool]] = {  # and whether each image has two captions
    "parts of an object": (
        {
            "version": "1.0",
            "data": {
                split: [
                    {"image": name, "caption": word}
                    for name, word, of in zip(FILES, WORDS, SPLITS)
                    if of == split
                ]
                for split in NUMBERS
            },
        },
        False,
    ),
    "sentences that are texts": (
        {"images": [{"filename": name, "sentences": both(n)} for n, name in enumerate(FILES)]},
        True,
    ),
    "captions of images": (
        {"images": [one | {"caption": word} for one, word in zip(NAMES, WORDS)], "annotations": []},
        False,
    ),
    "captions of images in lists": (
        {"images": [one | {"caption": both(n)} for n, one in enumerate(NAMES)], "annotations": []},
        True,
    ),
    "text": (
        {"images": NAMES, "annotations": [{"image_id": n, "text": word} for n, word in enumerate(WORDS)]},
        False,
    ),
    "captions": (
        {"images": NAMES, "annotations": [{"image_id": n, "captions": both(n)} for n in range(12)]},
        True,
    ),
}


@pytest.mark.parametrize("form", CAPTIONED)
@pytest.mark.parametrize("place", ["t.json", ""])
def test_captions_in_further_forms_of_json(tmp_path: Path, form: str, place: str) -> None:
    content, two = CAPTIONED[form]
    write(touch(tmp_path, *FILES) / "t.json", json.dumps(content))
    dataset = read(tmp_path / place)
    expected = {name: tuple(both(n)[: 1 + two]) for n, name in enumerate(FILES)}
    assert captions(dataset) == expected
    assert set(splits(dataset).values()) == ({*NUMBERS} if form == "parts of an object" else {None})


def of_classes(**more: object) -> dict[str, object]:
    return {
        "info": {"description": "camera traps"},
        "images": [one | {"location": f"site {n % 3}"} for n, one in enumerate(NAMES)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 5, "name": "dog"}],
        "annotations": [{"id": n, "image_id": n, "category_id": 3 + 2 * (n % 2), **more} for n in range(12)],
    }


@pytest.mark.parametrize("place", ["t.json", ""])
def test_cocos_classes_without_boxes_are_labels(tmp_path: Path, place: str) -> None:
    write(touch(tmp_path, *FILES) / "t.json", json.dumps(of_classes()))
    dataset = read(tmp_path / place, group_column="location")
    assert labels(dataset) == dict(zip(FILES, LABELS))
    assert dataset.images[1].group == "site 1"


def test_of_cocos_classes_none_is_guessed(tmp_path: Path) -> None:
    content = of_classes()
    content["annotations"] = [  # 0 has two, 99 is no image
        {"image_id": number, "category_id": category}
        for number, category in ((0, 3), (0, 5), (3, 3), (99, 3))
    ]
    dataset = read(write(touch(tmp_path, *FILES) / "t.json", json.dumps(content)))
    assert labels(dataset) == {FILES[3]: "cat"}
    assert {"two labels", "missing image", "empty label"} <= {one.kind for one in dataset.problems}


@pytest.mark.parametrize("box", [{"bbox": [1, 2, 3, 4]}, {"segmentation": [[1, 2, 3, 4]]}])
def test_cocos_boxes_stay_refused(tmp_path: Path, box: dict[str, object]) -> None:
    write(touch(tmp_path, *FILES) / "t.json", json.dumps(of_classes(**box)))
    with pytest.raises(DataError, match="COCO's boxes"):
        read(tmp_path / "t.json")


def test_a_manifest_is_found_in_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    lines = [json.dumps({"source-ref": f"s3://b/{name}", "label": of}) for name, of in zip(FILES, LABELS)]
    write(tmp_path / "output.manifest", "\n".join(lines))
    assert labels(read(tmp_path)) == dict(zip(FILES, LABELS))


# --- JSON beside images, and texts in folders of splits


BESIDE = {
    "label": lambda label: {"label": label},
    "class in a list": lambda label: [{"class": label, "width": 8}],
    "labels": lambda label: {"labels": [label]},
    "LabelMe": lambda label: {"flags": {"cat": label == "cat", "dog": label == "dog"}, "shapes": []},
}


@pytest.mark.parametrize("form", BESIDE)
def test_json_beside_each_image_may_hold_its_label(tmp_path: Path, form: str) -> None:
    touch(tmp_path, *FILES)
    for name, label in zip(FILES, LABELS):
        write((tmp_path / name).with_suffix(".json"), json.dumps(BESIDE[form](label)))
    dataset = read(tmp_path)
    assert (labels(dataset), dataset.classes) == (dict(zip(FILES, LABELS)), ("cat", "dog"))
    assert said(dataset, "labels are those of the .json file beside each image")


def test_class_folders_are_not_given_up_for_labels_in_json(tmp_path: Path) -> None:
    for name, label in zip(FILES, LABELS):
        touch(tmp_path, f"{label}/{name}")
        write((tmp_path / label / name).with_suffix(".json"), '{"label": "pet"}')
    assert read(tmp_path).classes == ("cat", "dog")


@pytest.mark.parametrize("flags", [{"cat": True, "dog": True}, {"cat": False}, {}])
def test_flags_that_name_no_class_or_two_are_no_label(tmp_path: Path, flags: dict[str, bool]) -> None:
    touch(tmp_path, *FILES)
    for name in FILES:
        write((tmp_path / name).with_suffix(".json"), json.dumps({"flags": flags}))
    with pytest.raises(DataError, match="none of them a 'caption' or a 'label'"):
        read(tmp_path)


@pytest.mark.parametrize("folders", [("원천데이터", "라벨링데이터"), ("images", "annotations")])
def test_captions_may_be_in_an_object_of_the_json_beside_an_image(
    tmp_path: Path, folders: tuple[str, str]
) -> None:
    for name, word in zip(FILES, WORDS):
        touch(tmp_path, f"{folders[0]}/{name}")
        record = {"image": {"file_name": name, "width": 8}, "annotation": {"caption": word}}
        write((tmp_path / folders[1] / name).with_suffix(".json"), json.dumps(record))
    assert placed(captions(read(tmp_path))) == {name: (word,) for name, word in zip(FILES, WORDS)}


@pytest.mark.parametrize(
    "images, texts",
    [("{}_images", "{}_captions"), ("images_{}", "{}_annotations"), ("images/{}", "texts/{}")],
)
def test_texts_may_lie_in_folders_of_the_images_splits(tmp_path: Path, images: str, texts: str) -> None:
    for split in ("train", "val"):
        touch(tmp_path, *(f"{images.format(split)}/{name}" for name in FILES))
        for name, word in zip(FILES, WORDS):
            write((tmp_path / texts.format(split) / name).with_suffix(".txt"), f"{split}: {word}")
    dataset = read(tmp_path)
    assert len(dataset.images) == 24
    assert all(image.captions[0].startswith(f"{image.split}: ") for image in dataset.images)


# --- images in archives, and several in a cell


@pytest.mark.parametrize(
    "name, command",
    [
        ("a.zip", "unzip"),
        ("a b.tgz", "tar -xf"),
        ("a.tar.gz", "tar -xf"),
        ("a.tar.xz", "tar -xf"),
        ("a.7z", "7z x"),
    ],
)
def test_an_archive_beside_a_table_without_its_images_is_pointed_at(
    tmp_path: Path, name: str, command: str
) -> None:
    data = write(tmp_path / "t.csv", written(("image", "caption"), zip(FILES, WORDS)))
    write(tmp_path / name, "of no matter")
    for source in (data, tmp_path):
        with pytest.raises(DataError, match="unpack it first") as error:
            read(source)
        assert f"({command} " in error.value.what and name in error.value.what


def test_a_tar_of_images_beside_their_table_is_to_be_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", written(("image", "caption"), zip(FILES, WORDS)))
    tar(tmp_path / "images.tar", dict.fromkeys(FILES, b"\xff\xd8\xff"))
    with pytest.raises(DataError, match="no words for them") as error:
        read(tmp_path)
    assert "unpacked" in error.value.hint and error.value.run.startswith("tar -xf")
    with pytest.raises(DataError, match="unpack it first"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "cell", ["{0}; {1}", "{0},{1},{0}", "{0} | {1}", "{0}\n{1}", "{0} (https://x/1),{1} (https://x/2)"]
)
@pytest.mark.parametrize("header", [("images", "label"), ("label", "images"), ("Attachments", "caption")])
def test_several_images_in_a_cell_are_named_as_such(
    tmp_path: Path, cell: str, header: tuple[str, str]
) -> None:
    touch(tmp_path, *FILES)
    rows = [(cell.format(a, b), word) for a, b, word in zip(FILES[::2], FILES[1::2], LABELS)]
    rows = [row[::-1] if header[0] == "label" else row for row in rows]
    with pytest.raises(DataError, match=r"several images in a cell of '(images|Attachments)': \['00.jpg', "):
        read(write(tmp_path / "t.csv", written(header, rows)))


@pytest.mark.parametrize("count", [1, 2])
def test_images_in_lists_of_parquet_are_one_a_row(tmp_path: Path, count: int) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [[{"bytes": b"\xff\xd8\xff%d" % number, "path": None}] * count for number in range(12)]
    parquet.write_table(pyarrow.table({"images": images, "caption": WORDS}), tmp_path / "t.parquet")
    if count > 1:
        with pytest.raises(DataError, match="several images in a row"):
            read(tmp_path)
        return
    dataset = read(tmp_path)
    assert [(image.path.read_bytes()[3:], image.captions) for image in dataset.images] == [
        (b"%d" % number, (word,)) for number, word in enumerate(WORDS)
    ]
