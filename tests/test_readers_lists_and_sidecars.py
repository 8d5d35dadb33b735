"""Lists of splits beside the data, tables beside it, tars, and names that programs write."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from reading import FILES, WORDS, captions, labels, read, said, splits, table, tar, touch, write, written
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
