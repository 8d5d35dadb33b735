"""Lists of splits beside the data, texts beside images, names that programs write, JSON and tars."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from reading import FILES, WORDS, captions, labels, read, said, splits, table, touch, write, written
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


# --- addresses


@pytest.mark.parametrize("address", ["http://x/{}.jpg", "https://y.org/photos/{}.png?w=3", "s3://b/{}.jpg"])
@pytest.mark.parametrize("folder", ["00000", "images"])
def test_the_number_of_an_address_is_no_files(tmp_path: Path, address: str, folder: str) -> None:
    touch(tmp_path, *(f"{folder}/{number:09}.jpg" for number in range(12)))
    for number, word in enumerate(WORDS):
        write(tmp_path / folder / f"{number:09}.txt", word)
    addresses = [address.format((5 * number + 3) % 12) for number in range(12)]
    keys = [f"{number:09}" for number in range(12)]
    write(tmp_path / "00000.csv", written(("url", "caption", "key"), zip(addresses, WORDS, keys)))
    for source in (tmp_path, tmp_path / "00000.csv"):
        expected = {f"{number:09}.jpg": (word,) for number, word in enumerate(WORDS)}
        assert placed(captions(read(source, images=None if source == tmp_path else tmp_path))) == expected


# --- splits that the data brings


TABLES = {
    "list_eval_partition.txt": "".join(f"{name} {NUMBERS[split]}\n" for name, split in THREE.items()),
    "list_eval_partition.csv": written(
        ("image_id", "partition"), ((name, NUMBERS[split]) for name, split in THREE.items())
    ),
    "eval_partition.txt": "12\nimage_name evaluation_status\n"
    + "".join(f"{name}   {split}\n" for name, split in THREE.items()),
    "split.csv": written(("", "image", "split"), ((place, *row) for place, row in enumerate(THREE.items()))),
    "splits.csv": written(
        ("image", "split", "fold"), ((*row, place % 5) for place, row in enumerate(THREE.items()))
    ),
    "images.csv": written(("image", "split"), THREE.items()),
    "meta.tsv": written(
        ("image_id", "file_name", "subset"), ((place, *row) for place, row in enumerate(THREE.items())), "\t"
    ),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("words", ["caption", "label", "classes", "coco"])
def test_tables_of_nothing_but_splits_are_read(tmp_path: Path, name: str, words: str) -> None:
    if words == "classes":
        touch(tmp_path, *(f"{label}/{file}" for label, file in zip(LABELS, FILES)))
    elif words == "coco":
        touch(tmp_path, *FILES)
        write(tmp_path / "c.json", json.dumps(coco()))
    else:
        table(tmp_path, f"image,{words}", FILES, WORDS if words == "caption" else LABELS)
    write(tmp_path / name, TABLES[name])
    dataset = read(tmp_path)
    assert placed(splits(dataset)) == THREE
    assert said(dataset, f"of {name}, ")


def test_a_table_of_folds_makes_the_first_val(tmp_path: Path) -> None:
    table(tmp_path, "image,caption", FILES, WORDS)
    write(tmp_path / "folds.csv", written(("image", "fold"), ((name, n % 4) for n, name in enumerate(FILES))))
    dataset = read(tmp_path)
    assert list(splits(dataset).values()) == ["val", "train", "train", "train"] * 3
    assert said(dataset, "of folds.csv, the column 'fold' holds 4 folds: fold 0 is val")


def test_numbers_behind_names_are_classes_where_nothing_speaks_of_a_partition(tmp_path: Path) -> None:
    table(tmp_path, "image,caption", FILES, WORDS)
    write(tmp_path / "split_one.txt", "".join(f"{name} {n % 3}\n" for n, name in enumerate(FILES)))
    dataset = read(tmp_path / "t.csv")
    assert set(splits(dataset).values()) == {None}
    assert said(dataset, "not read, though it may say the splits: split_one.txt")


@pytest.mark.parametrize("column", ["label", "breed", "name", "caption"])
def test_a_table_that_says_more_than_splits_is_no_list_of_them(tmp_path: Path, column: str) -> None:
    data = table(tmp_path, f"image,{column},split", FILES, LABELS, SPLITS)
    dataset = read(tmp_path)
    assert splits(dataset) == splits(read(data)) and labels(dataset) == labels(read(data))
    assert placed(splits(dataset)) == THREE


@pytest.mark.parametrize(
    "name", ["splits.yaml", "train_ids.npy", "split.pkl", "my_folds.toml", "splits.xlsx"]
)
@pytest.mark.parametrize("words", ["caption", "classes"])
def test_what_may_say_the_splits_and_is_not_read_is_named(tmp_path: Path, name: str, words: str) -> None:
    if words == "classes":
        touch(tmp_path, *(f"{label}/{file}" for label, file in zip(LABELS, FILES)))
    else:
        table(tmp_path, "image,caption", FILES, WORDS)
    write(tmp_path / name, "train: [0, 1]\n")
    data = tmp_path if words == "classes" else tmp_path / "t.csv"
    assert said(read(data), f"not read, though it may say the splits: {name}")


@pytest.mark.parametrize("name", ["train.py", "test.csv", "train.yaml", "folder.txt", "test_notes.txt"])
def test_other_files_beside_a_table_are_not_taken_for_splits(tmp_path: Path, name: str) -> None:
    data = table(tmp_path, "image,caption", FILES, WORDS)
    write(tmp_path / name, "lr: 0.1, a: 2\nb: 3, c: 4\n")
    assert not said(read(data), "may say the splits")


def coco(**of_images: object) -> dict[str, object]:
    images = [{"id": n, "file_name": name, **of_images} for n, name in enumerate(FILES)]
    return {
        "images": images,
        "annotations": [{"id": n, "image_id": n, "caption": word} for n, word in enumerate(WORDS)],
    }


def test_cocos_records_of_images_may_say_the_split(tmp_path: Path) -> None:
    content = coco()
    for image, split in zip(content["images"], SPLITS):  # type: ignore[call-overload]
        image["split"] = split
    dataset = read(write(touch(tmp_path, *FILES) / "c.json", json.dumps(content)))
    assert (splits(dataset), said(dataset, "'split' in the images' records")) == (THREE, True)
    dataset = read(write(tmp_path / "c.json", json.dumps(coco(split=None))))
    assert set(splits(dataset).values()) == {None}


# --- tables beside those of the data


NUMBERED = [f"{number}.jpg" for number in range(12)]
CODES = [number % 2 for number in range(12)]
NAMING = {
    "classes.csv": "id,name\n0,cat\n1,dog\n",
    "label_names.csv": "label,name\n0,cat\n1,dog\n",
    "id2label.json": '{"0": "cat", "1": "dog"}',
    "label2id.json": '{"cat": 0, "dog": 1}',
}
OTHERS = {
    "config.json": '{"epochs": 10, "batch_size": 8, "seed": 1}',
    "people.csv": written(("id", "name", "group"), ((n, f"Ann{n}", "ab"[n % 2]) for n in range(12))),
    "stats.csv": written(("n", "mean", "label"), ((n, 0.5, ("ok", "bad")[n % 2]) for n in range(12))),
}


@pytest.mark.parametrize("name", [*NAMING, *OTHERS])
@pytest.mark.parametrize("words", ["caption", "label"])
@pytest.mark.parametrize("folder", ["", "images/"])
def test_beside_names_of_files_numbers_may_be_anything(
    tmp_path: Path, name: str, words: str, folder: str
) -> None:
    touch(tmp_path, *(folder + file for file in NUMBERED))
    cells = WORDS if words == "caption" else CODES
    write(tmp_path / "t.csv", written(("filename", words), zip(NUMBERED, cells)))
    write(tmp_path / name, (NAMING | OTHERS)[name])
    dataset = read(tmp_path)
    assert said(dataset, "left out", name)
    if words == "caption":
        assert placed(captions(dataset)) == {file: (word,) for file, word in zip(NUMBERED, WORDS)}
    else:
        assert placed(labels(dataset)) == {file: str(code) for file, code in zip(NUMBERED, CODES)}
        assert said(dataset, "though it may name them", name) == (name in NAMING)


@pytest.mark.parametrize("name", NAMING)
@pytest.mark.parametrize("numbers", [False, True])
def test_a_table_of_classes_beside_those_of_splits_is_none_of_the_data(
    tmp_path: Path, name: str, numbers: bool
) -> None:
    touch(tmp_path, *(f"images/{file}" for file in NUMBERED))
    rows = list(zip(range(12) if numbers else NUMBERED, CODES))
    for split, part in (("train", rows[:8]), ("test", rows[8:])):
        write(tmp_path / f"{split}.csv", written(("id" if numbers else "image", "label"), part))
    write(tmp_path / name, NAMING[name])
    dataset = read(tmp_path)
    assert placed(splits(dataset)) == dict(zip(NUMBERED, ["train"] * 8 + ["test"] * 4))
    assert said(dataset, "left out", name)


def test_a_table_with_an_image_of_each_class_is_that_of_the_classes(tmp_path: Path) -> None:
    for split in ("Train", "Test", "Meta"):
        count = 2 if split == "Meta" else 12
        touch(tmp_path, *(f"{split}/{number:05}.png" for number in range(count)))
        rows = ((27, number % 2, f"{split}/{number:05}.png") for number in range(count))
        write(tmp_path / f"{split}.csv", written(("Width", "ClassId", "Path"), rows))
    dataset = read(tmp_path)
    assert {name: f"{split}".title() for name, split in splits(dataset).items()} == {
        f"{split}/{number:05}.png": split for split in ("Train", "Test") for number in range(12)
    }
    assert said(dataset, "left out, as tables of the classes: Meta.csv")


def test_numbers_that_name_more_images_than_names_do_are_not_left_aside(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{file}" for file in NUMBERED))
    write(tmp_path / "labels.csv", written(("id", "label"), zip(range(12), LABELS)))
    write(tmp_path / "notes.csv", written(("image", "caption"), zip(NUMBERED[:3], WORDS)))
    with pytest.raises(DataError, match="several ways"):
        read(tmp_path)


# --- tars


KOREAN = ["개가 잔디 위를 달린다", "고양이 두 마리가 소파에서 잔다", "빨간 버스가 다리 옆에 있다"] * 4


def tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
@pytest.mark.parametrize("suffix", ["txt", "caption", "json"])
@pytest.mark.parametrize("given", [False, True])
def test_texts_in_a_tar_are_decoded_as_those_beside_images(
    tmp_path: Path, encoding: str, suffix: str, given: bool
) -> None:
    members = {}
    for number, word in enumerate(KOREAN):
        text = json.dumps({"caption": word}, ensure_ascii=False) if suffix == "json" else word
        members[f"{number:02}.png"] = b"\x89PNG\r\n\x1a\n%d" % number
        members[f"{number:02}.{suffix}"] = text.encode(encoding)
    dataset = read(tar(tmp_path / "0.tar", members), encoding=encoding if given else None)
    assert [image.captions for image in dataset.images] == [(word,) for word in KOREAN]
    assert said(dataset, "0.tar is Korean (CP949)") == (encoding == "cp949" and not given)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_each_line_of_a_text_in_a_tar_is_a_caption(tmp_path: Path, end: str) -> None:
    members = {}
    for number, word in enumerate(WORDS):
        lines = [word, f"again {word}"] if number % 2 else [word]
        members[f"{number:02}.png"] = b"\x89PNG\r\n\x1a\n"
        members[f"{number:02}.txt"] = (end.join(lines) + end).encode()
    dataset = read(tar(tmp_path / "0.tar", members))
    expected = [(word, f"again {word}") if number % 2 else (word,) for number, word in enumerate(WORDS)]
    assert [image.captions for image in dataset.images] == expected


def test_a_damaged_text_in_a_hundred_is_damaged_alone(tmp_path: Path) -> None:
    members = {}
    for number in range(100):
        members[f"{number:02}.png"] = b"\x89PNG\r\n\x1a\n"
        members[f"{number:02}.txt"] = b"a caf\xe9" if number == 7 else "a café".encode()
    dataset = read(tar(tmp_path / "0.tar", members))
    assert [image.captions for image in dataset.images][6:8] == [("a café",), ("a caf\ufffd",)]
    assert said(dataset, "1 captions hold \ufffd")


# --- what Google Takeout writes beside images


LONG = "a_very_long_file_name_of_a_picture_number_{:02}.jpg"
TAKEN = {
    "numbered": ("IMG_1({}).jpg", "IMG_1.jpg({}).json"),
    "supplemental": ("IMG_1({}).jpg", "IMG_1.jpg.supplemental-metadata({}).json"),
    "supplemental, cut": ("IMG_1({}).jpg", "IMG_1.jpg.supplemental-m({}).json"),
    "by itself": ("IMG_1({}).jpg", "IMG_1({}).json"),
    "cut": (LONG, "a_very_long_file_name_of_a_picture_number_{:02}.j.json"),
}


@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("folder", ["", "Album/"])
@pytest.mark.parametrize("first", [False, True])
def test_texts_of_google_have_the_images_numbers_and_their_beginnings(
    tmp_path: Path, form: str, folder: str, first: bool
) -> None:
    image, text = TAKEN[form]
    expected = {image.format(number): (word,) for number, word in enumerate(WORDS)}
    touch(tmp_path, *(folder + name for name in expected))
    for number, word in enumerate(WORDS):
        write(
            tmp_path / folder / text.format(number), json.dumps({"title": "IMG_1.jpg", "description": word})
        )
    if first:
        touch(tmp_path, f"{folder}IMG_1.jpg")
        write(tmp_path / folder / "IMG_1.jpg.json", json.dumps({"description": "the first one"}))
        expected["IMG_1.jpg"] = ("the first one",)
    assert placed(captions(read(tmp_path))) == expected


@pytest.mark.parametrize("other", ["{}b.jpg", "{}.jpg"])
def test_a_text_that_is_cut_is_none_of_two_images_that_begin_alike(tmp_path: Path, other: str) -> None:
    begun = "a" * 46
    touch(tmp_path, f"{begun}a.jpg", other.format(begun), "c.jpg", "d.jpg")
    write(tmp_path / f"{begun}.json", '{"description": "a dog"}')
    for name in "cd":
        write(tmp_path / f"{name}.json", '{"description": "a cat"}')
    expected = {"c.jpg": ("a cat",), "d.jpg": ("a cat",)}
    expected |= {f"{begun}.jpg": ("a dog",)} if other == "{}.jpg" else {}
    assert captions(read(tmp_path)) == expected


# --- names beside addresses


CELLS = {
    "Airtable": "{0}.jpg (https://v5.airtableusercontent.com/v3/u/1/abc{0}/xyz)",
    "brackets in the name": "{0}.jpg (https://x/7.jpg)",
    "Notion": "[{0}.jpg](https://x/y/0.jpg)",
    "Markdown": "![a dog](images/{0}.jpg)",
    "Markdown, bare": "![]({0}.jpg)",
    "Excel": '="{0}"',
    "a query": "https://x/img?file={0}.jpg&w=3",
}


@pytest.mark.parametrize("form", CELLS)
@pytest.mark.parametrize("words", ["caption", "label"])
@pytest.mark.parametrize("called", ["Attachments", "image"])
def test_a_name_beside_an_address_is_that_of_the_image(
    tmp_path: Path, form: str, words: str, called: str
) -> None:
    cells = [CELLS[form].format(name.removesuffix(".jpg")) for name in FILES]
    dataset = read(table(tmp_path, f"{called},{words}", cells, WORDS if words == "caption" else LABELS))
    if words == "caption":
        assert placed(captions(dataset)) == {name: (word,) for name, word in zip(FILES, WORDS)}
    else:
        assert placed(labels(dataset)) == dict(zip(FILES, LABELS))


@pytest.mark.parametrize(
    "cell",
    ["http://[7.jpg?file=gone.jpg", "[gone.jpg](https://x/00.jpg)", "gone.jpg (https://x/00.jpg)", '="gone"'],
)
def test_a_name_beside_an_address_that_no_file_has_is_missing(tmp_path: Path, cell: str) -> None:
    cells = [cell, *(f"{name} (https://x/1)" for name in FILES[1:])]
    dataset = read(table(tmp_path, "image,caption", cells, WORDS))
    assert placed(captions(dataset)) == {name: (word,) for name, word in zip(FILES[1:], WORDS[1:])}
    assert [p.detail.partition(" ")[0][:5] for p in dataset.problems if p.kind != "image without captions"]


@pytest.mark.parametrize("both", [False, True])
def test_blanks_before_a_name_may_be_the_files(tmp_path: Path, both: bool) -> None:
    touch(tmp_path, *(f"images/ {name}" for name in FILES), *(f"images/{name}" for name in FILES if both))
    rows = [(f" {name}", f"in front {word}") for name, word in zip(FILES, WORDS)]
    data = write(tmp_path / "t.csv", written(("image", "caption"), rows))
    assert captions(read(data)) == {name: (word,) for name, word in rows}


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
