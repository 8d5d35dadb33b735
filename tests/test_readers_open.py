"""What readers do not do right yet: data lost or mistaken without a word, and messages that mislead."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from conftest import draw, encoded
from reading import captions, labels, problems, read, splits, touch, write, written
from showtell.data.records import Dataset
from showtell.errors import DataError, ShowtellError

FILES = [f"p{number}.jpg" for number in range(12)]
WORDS = [f"a dog near tree {number}" for number in range(12)]
CLASSES = ["cat", "dog", "owl"] * 4


def table(root: Path, header: str, *columns: list[Any]) -> Path:
    touch(root, *(f"images/{name}" for name in FILES))
    return write(root / "t.csv", written(header.split(","), zip(*columns)))


def messages(dataset: Dataset) -> str:
    return "\n".join([*dataset.notes, *(f"{one.kind} {one.where} {one.detail}" for one in dataset.problems)])


# --- pictures that are lost, or swapped


@pytest.mark.parametrize("places", [("train", "val"), ("images", "images2"), ("photos", "more photos")])
def test_pictures_in_several_folders_beside_their_table_are_all_found(
    tmp_path: Path, places: tuple[str, str]
) -> None:
    """The first folder that holds half of the names is taken for all; the whole one holds every name."""
    touch(tmp_path, *(f"{places[number % 2]}/{name}" for number, name in enumerate(FILES)))
    dataset = read(write(tmp_path / "captions.csv", written(("image", "caption"), zip(FILES, WORDS))))
    assert [picture.captions for picture in dataset.pictures] == [(word,) for word in WORDS]


def test_class_folders_beside_the_table_of_another_split_are_not_dropped(tmp_path: Path) -> None:
    """Only the four pictures of test_labels.csv are read, and nothing is said of the twelve in train/."""
    touch(tmp_path, *(f"train/{name}/{number}{name}.jpg" for name in CLASSES[:3] for number in range(4)))
    touch(tmp_path, *(f"test/{name}" for name in FILES[:4]))
    write(tmp_path / "test_labels.csv", written(("image", "label"), zip(FILES[:4], CLASSES)))
    try:
        dataset = read(tmp_path)
    except DataError as error:
        assert "train" in error.what or "classes" in error.what
    else:
        assert len(dataset.pictures) == 16 or "train" in messages(dataset)


def test_on_another_machine_too_a_missing_picture_is_not_swapped_for_its_namesake(tmp_path: Path) -> None:
    """Folders that agree for one name of the table are known; `dogs/2.jpg` is another picture then."""
    touch(tmp_path, "cats/1.jpg", "cats/2.jpg")
    rows = "/home/me/set/cats/1.jpg,A cat\n/home/me/set/dogs/2.jpg,A dog\n"
    dataset = read(write(tmp_path / "t.csv", f"image,caption\n{rows}"))
    assert captions(dataset) == {"cats/1.jpg": ("A cat",)}
    assert ("missing picture", "t.csv:3") in problems(dataset)


def test_masks_beside_numbered_pictures_are_left_out(tmp_path: Path) -> None:
    """Pictures of several classes are called 0.png: that makes no versions of one set of the classes."""
    kinds = ("images", "masks")
    files = [f"{name}/{kind}/{n}.png" for name in ("cat", "dog") for kind in kinds for n in "012"]
    dataset = read(touch(tmp_path, *files))
    assert labels(dataset) == {file: file[:3] for file in files if "masks" not in file}


def test_a_text_without_its_picture_is_named(tmp_path: Path) -> None:
    """A download that failed, or a picture that was renamed: its caption is lost without a word."""
    for number in range(4):
        touch(tmp_path, f"p{number}.jpg")
        write(tmp_path / f"p{number}.txt", f"a dog {number}")
    write(tmp_path / "p99.txt", "a cat")
    dataset = read(tmp_path)
    assert len(dataset.pictures) == 4
    assert "p99.txt" in messages(dataset)


def test_texts_beside_pictures_may_end_in_capitals(tmp_path: Path) -> None:
    for number in range(4):
        touch(tmp_path, f"P{number}.JPG")
        write(tmp_path / f"P{number}.TXT", f"a dog {number}")
    assert captions(read(tmp_path)) == {f"P{number}.JPG": (f"a dog {number}",) for number in range(4)}


# --- columns that are mistaken


def test_fold_minus_one_is_not_trained_on(tmp_path: Path) -> None:
    """-1 (MONAI, Kaggle) stands for what is in no fold, mostly the test set; it is read as fold 1."""
    folds = [-1, 0, 1, 2] * 3
    dataset = read(table(tmp_path, "image,caption,fold", FILES, WORDS, folds))
    without = [split for split, fold in zip(splits(dataset).values(), folds) if fold == -1]
    assert set(without) <= {None, "test"}
    assert list(splits(dataset).values())[1:4] == ["val", "train", "train"]
    assert "-1" in messages(dataset)


@pytest.mark.parametrize("name", ["label", "class", "caption"])
def test_a_column_of_words_is_no_split_whatever_its_cells_are(tmp_path: Path, name: str) -> None:
    """Vehicles and lab samples: classes that are called train and test."""
    dataset = read(table(tmp_path, f"image,{name}", FILES, ["train", "test"] * 6))
    assert set(splits(dataset).values()) == {None}
    found = [picture.label or picture.captions[0] for picture in dataset.pictures]
    assert found == ["train", "test"] * 6


def test_rows_of_no_class_are_not_called_several_labels(tmp_path: Path) -> None:
    """The message says that up to 1 of the columns are 1, and advises one classifier on each."""
    columns = [[int(number % 4 == place) for number in range(12)] for place in range(3)]
    path = table(tmp_path, "image,cat,dog,owl", FILES, *columns)
    try:
        dataset = read(path)
    except DataError as error:
        assert "several labels" not in error.what
    else:
        assert len(dataset.pictures) == 9
        assert [kind for kind, _ in problems(dataset) if "label" in kind]


@pytest.mark.parametrize("cell", ["json", "text"])
def test_a_list_of_one_picture_is_that_picture(tmp_path: Path, cell: str) -> None:
    """ShareGPT's `images`, and NLVR's and R2Gen's paths; the list's text is taken for a name."""
    if cell == "text":
        path = table(tmp_path, "images,caption", [f"['{name}']" for name in FILES], WORDS)
    else:
        touch(tmp_path, *(f"images/{name}" for name in FILES))
        records = [{"images": [name], "caption": word} for name, word in zip(FILES, WORDS)]
        path = write(tmp_path / "t.json", json.dumps(records))
    assert captions(read(path)) == {name: (word,) for name, word in zip(FILES, WORDS)}


def test_a_list_of_two_pictures_is_refused_as_such(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    records = [{"image": FILES[number : number + 2], "caption": WORDS[number]} for number in (0, 2, 4)]
    with pytest.raises(DataError) as error:
        read(write(tmp_path / "t.json", json.dumps(records)))
    assert "None of the 3 pictures" not in error.value.what, "the pictures are there"


def parquet(path: Path, columns: dict[str, list[Any]], features: dict[str, Any] | None = None) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else None
    arrow.parquet.write_table(arrow.table(columns).replace_schema_metadata(about), path)
    return path


PICTURES = [encoded(draw(number, 16), "PNG") for number in range(4)]
CELLS = [{"bytes": picture, "path": None} for picture in PICTURES]


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.usefixtures("own_cache")
def test_two_pictures_in_a_row_of_parquet_are_refused_too(tmp_path: Path) -> None:
    """As in a text table; here the second column is dropped without a word."""
    path = parquet(tmp_path / "t.parquet", {"before": CELLS, "after": CELLS[::-1], "caption": WORDS[:4]})
    with pytest.raises(DataError, match="'before' and 'after'"):
        read(path)


@pytest.mark.usefixtures("own_cache")
def test_class_minus_one_of_parquet_is_no_label(tmp_path: Path) -> None:
    """Hugging Face marks pictures without a label so, as in its test splits."""
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    dataset = read(parquet(tmp_path / "t.parquet", {"image": CELLS, "label": [0, 1, -1, 0]}, features))
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.pictures) == 3


# --- tracebacks, and messages that show what nobody can read


def test_pictures_as_base64_in_cells_end_in_a_message(tmp_path: Path) -> None:
    """A cell beyond the csv module's limit (131,072 signs) raises csv.Error."""
    cell = base64.b64encode(bytes(range(256)) * 800).decode()
    with pytest.raises(ShowtellError) as error:
        read(write(tmp_path / "t.csv", f"image,caption\n{cell},a dog\n{cell},a cat\n"))
    assert len(str(error.value)) < 3000


@pytest.mark.usefixtures("own_cache")
def test_pictures_as_bare_bytes_in_parquet_are_read_or_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", {"image": PICTURES, "caption": WORDS[:4]})
    try:
        assert len(read(path).pictures) == 4
    except DataError as error:
        assert "\\x89PNG" not in str(error)


@pytest.mark.parametrize(
    "name, text",
    [
        ("t.json", "[" * 100_000),
        ("t.json", json.dumps([{"image": "/a\0.jpg", "caption": "a dog"}])),
        ("t.csv", "image,caption\n" + "".join(f'p0.jpg,"{"[" * 3000}{"]" * 3000}"\n' for _ in "ab")),
        ("t.csv", f"image,caption,fold\np0.jpg,a dog,{'9' * 5000}\np1.jpg,a cat,1\n"),
        ("t.json", '{"images": [{"id": "%s", "file_name": "p0.jpg"}], "annotations": [{"image_id": 1, '
                   '"caption": "a dog"}]}' % ("9" * 5000)),
    ],
    ids=["deep JSON", "NUL in a path", "deep list in a cell", "endless fold", "endless COCO id"],
)  # fmt: skip
def test_hostile_tables_end_in_a_message(tmp_path: Path, name: str, text: str) -> None:
    touch(tmp_path, "p0.jpg", "p1.jpg")
    try:
        read(write(tmp_path / name, text))
    except ShowtellError as error:
        assert len(str(error)) < 3000


def test_the_format_webdataset_of_a_folder_without_tars_is_refused(tmp_path: Path) -> None:
    """It raises IsADirectoryError, for the folder itself is opened as a table."""
    touch(tmp_path, "images/a.jpg")
    with pytest.raises(DataError, match=r"\.tar"):
        read(tmp_path, format="webdataset")


def test_notes_name_few_of_many_classes(tmp_path: Path) -> None:
    """Five thousand one-hot columns are listed in a single note."""
    touch(tmp_path, "p0.jpg", "p1.jpg")
    header = ",".join(["image", *(f"class {number}" for number in range(500))])
    rows = [",".join([f"p{row}.jpg", *(str(int(place == row)) for place in range(500))]) for row in (0, 1)]
    dataset = read(write(tmp_path / "t.csv", "\n".join([header, *rows])))
    assert labels(dataset) == {"p0.jpg": "class 0", "p1.jpg": "class 1"}
    assert max(map(len, dataset.notes)) < 400


# --- messages that do not help


@pytest.mark.parametrize(
    "name, word",
    [("captions.csv.zip", "unpack"), ("set.tar.gz", "unpack"), ("labels.mat", "CSV"), ("x.npz", "files")],
)
def test_a_folder_says_of_a_file_what_the_file_alone_would(tmp_path: Path, name: str, word: str) -> None:
    """`look t.npz` says that its pictures are to be saved; `look .` beside it says nothing of it."""
    touch(tmp_path, name, "images/a.jpg", "images/b.jpg")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert name in error.value.what
    assert word in error.value.what


def test_json_beside_pictures_that_holds_no_captions_is_named_as_such(tmp_path: Path) -> None:
    """Labelme, image generators, Google Takeout: twenty lines of "empty caption" say little."""
    for number in range(4):
        touch(tmp_path, f"p{number}.jpg")
        write(tmp_path / f"p{number}.json", json.dumps({"shapes": [], "flags": {"cat": True}}))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert "shapes" in str(error.value) or "'caption'" in str(error.value)


def test_coco_categories_without_boxes_are_said_to_be_that(tmp_path: Path) -> None:
    """ "no column whose cells are pictures; its fields are 'id', 'caption'" is of another file."""
    touch(tmp_path, *(f"images/{name}" for name in FILES))
    value = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(FILES)],
        "annotations": [{"image_id": number, "category_id": number % 3} for number in range(12)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES[:3])],
    }
    try:
        dataset = read(write(tmp_path / "t.json", json.dumps(value)))
    except DataError as error:
        said = error.what.replace(str(tmp_path), "")
        assert "COCO" in said or "categor" in said
    else:
        assert labels(dataset) == dict(zip(FILES, CLASSES))


def test_mixed_encodings_are_said_to_be_mixed_whatever_the_other_one_is(tmp_path: Path) -> None:
    """UTF-8 and Latin-1 lines: advice to read all as GB18030 makes garbage of most lines."""
    touch(tmp_path, "p0.jpg")
    lines = [f"p0.jpg,ein grüner Kreis über weißem Grund {number}\n" for number in range(12)]
    text = b"".join(
        line.encode("cp1252" if number % 3 == 2 else "utf-8") for number, line in enumerate(lines)
    )
    (tmp_path / "t.csv").write_bytes(b"image,caption\n" + text)
    with pytest.raises(DataError, match="mixes encodings"):
        read(tmp_path / "t.csv")
