"""What holds captions and labels besides one text table: several, sidecars, tars, Parquet, workbooks."""

import builtins
import json
from pathlib import Path
from typing import Any

import pytest

from reading import captions, messages, problems, read, said, splits, touch, write
from showtell.errors import DataError, MissingExtraError

FILES = [f"p{number}.jpg" for number in range(6)]
WORDS = [f"a dog near tree {number}" for number in range(6)]
CLASSES = ["cat", "dog"] * 3
RECORDS = [{"image": file, "caption": word} for file, word in zip(FILES, WORDS)]
CAPTIONED = {file: (word,) for file, word in zip(FILES, WORDS)}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack images into a folder of the test's own."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return cache


# --- several tables together; sidecars


@pytest.mark.parametrize("names", [("train", "valid", "test"), ("captions_train", "dev", "test-set")])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json"])
def test_tables_named_after_splits_are_one_data_set(
    tmp_path: Path, names: tuple[str, ...], suffix: str
) -> None:
    for name, records in zip(names, (RECORDS[:3], RECORDS[3:5], RECORDS[5:])):
        rows = [record.values() for record in records]
        text = "image,caption\n" + "\n".join(map(",".join, rows)) if suffix == "csv" else json.dumps(records)
        write(tmp_path / f"{name}.{suffix}", text)
    touch(tmp_path, *(f"images/{file}" for file in FILES))
    dataset = read(tmp_path)
    paths = [f"images/{file}" for file in FILES]
    assert captions(dataset) == {path: (word,) for path, word in zip(paths, WORDS)}
    assert splits(dataset) == dict(zip(paths, ["train"] * 3 + ["val"] * 2 + ["test"]))
    assert said(dataset, "read together", *(f"{name}.{suffix}" for name in names))


def test_tables_of_splits_with_folders_of_their_own(tmp_path: Path) -> None:
    for split, word in (("train", "a dog"), ("val", "a cat")):
        touch(tmp_path, f"images_{split}/0.jpg", f"images_{split}/1.jpg")
        write(tmp_path / f"{split}_captions.csv", f"image,caption\n0.jpg,{word}\n1.jpg,{word} runs\n")
    dataset = read(tmp_path)
    assert captions(dataset) == {
        "images_train/0.jpg": ("a dog",),
        "images_train/1.jpg": ("a dog runs",),
        "images_val/0.jpg": ("a cat",),
        "images_val/1.jpg": ("a cat runs",),
    }
    assert list(splits(dataset).values()) == ["train"] * 2 + ["val"] * 2


@pytest.mark.parametrize("suffix", ["txt", "caption", "json"])
@pytest.mark.parametrize("place, beside", [("", ""), ("shard", "shard"), ("images", "captions")])
def test_a_text_for_each_picture(tmp_path: Path, suffix: str, place: str, beside: str) -> None:
    texts = WORDS if suffix == "json" else [f"{word}, running" for word in WORDS]
    for file, text in zip(FILES, texts):
        touch(tmp_path / "set" / place, file)
        said = json.dumps({"caption": text, "width": 9}) if suffix == "json" else f"\ufeff{text}\n"
        write(tmp_path / "set" / beside / f"{file[:-4]}.{suffix}", said)
    dataset = read(tmp_path / "set")
    assert dataset.format == "sidecar"
    assert list(captions(dataset).values()) == [(text,) for text in texts]
    assert any(f"the .{suffix} file beside each image" in note for note in dataset.notes)


def test_gaps_among_sidecars_are_named_and_a_line_is_a_caption(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    for file, text in zip(FILES, ("a dog\n\na dog runs\n", "a cat", "an owl", "two dogs", " \n")):
        write(tmp_path / f"{file[:-4]}.txt", text)
    write(tmp_path / "p99.txt", "an orphan")
    write(tmp_path / "README.txt", "Drawn by hand.\nAll of it.")
    dataset = read(tmp_path)
    assert list(captions(dataset).values()) == [
        ("a dog", "a dog runs"),
        ("a cat",),
        ("an owl",),
        ("two dogs",),
    ]
    left_out = [("image without captions", file) for file in FILES[4:]]
    assert problems(dataset) == [("empty caption", "p4.txt"), *left_out]


# --- images inside of a file


def test_a_workbook_is_read_by_its_first_sheet_with_rows(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    touch(tmp_path, *FILES)
    book = openpyxl.Workbook()
    book.active.append(["about"])
    sheet = book.create_sheet("words")
    for row in (["image", "caption", None], *zip(FILES, WORDS, [None] * 6)):
        sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    dataset = read(tmp_path / "t.xlsx")
    assert captions(dataset) == CAPTIONED
    assert said(dataset, "the sheet 'words' is read")
    (tmp_path / "t.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(DataError, match="cannot be read as a workbook"):
        read(tmp_path / "t.xlsx")


@pytest.mark.parametrize("name, extra", [("t.parquet", "parquet"), ("t.xlsx", "excel")])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str, whole: bool
) -> None:
    real = builtins.__import__

    def without(module: str, *rest: Any, **named: Any) -> Any:
        if module.split(".")[0] in ("pyarrow", "openpyxl"):
            raise ImportError(module)
        return real(module, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(Exception) as error:
        read(tmp_path if whole else tmp_path / name)
    assert isinstance(error.value, MissingExtraError)
    assert error.value.run == f"pip install 'showtell[{extra}]'"


@pytest.mark.parametrize(
    "name, word",
    [
        ("t.zip", "unpack"),
        ("t.csv.gz", "unpack"),
        ("t.xls", r"\.xlsx"),
        ("t.mat", "MATLAB"),
        ("t.xml", "XML"),
        ("t.arrow", "to_parquet"),
        ("t.npy", "NumPy"),
        ("t.7z", "unpack"),
    ],
)
def test_what_is_not_read_says_what_would_be(tmp_path: Path, name: str, word: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=word):
        read(tmp_path / name)


def test_an_archive_beside_the_table_is_pointed_at(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK\x03\x04")
    write(tmp_path / "captions.csv", "image,caption\np0.jpg,a dog\n")
    with pytest.raises(DataError, match=r"images\.zip: unpack it first"):
        read(tmp_path)


def test_a_text_without_its_picture_is_named(tmp_path: Path) -> None:
    """A download that failed, or an image that was renamed: its caption is lost without a word."""
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


def test_json_beside_pictures_that_holds_no_captions_is_named_as_such(tmp_path: Path) -> None:
    """Labelme, image generators, Google Takeout: twenty lines of "empty caption" say little."""
    for number in range(4):
        touch(tmp_path, f"p{number}.jpg")
        write(tmp_path / f"p{number}.json", json.dumps({"shapes": [], "flags": {"cat": True}}))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert "shapes" in str(error.value) or "'caption'" in str(error.value)


@pytest.mark.parametrize(
    "name, word",
    [("captions.csv.zip", "unpack"), ("set.tar.gz", "unpack"), ("labels.mat", "CSV"), ("x.npz", "files")],
)
def test_a_folder_says_of_a_file_what_the_file_alone_would(tmp_path: Path, name: str, word: str) -> None:
    """`look t.npz` says that its images are to be saved; `look .` beside it says nothing of it."""
    touch(tmp_path, name, "images/a.jpg", "images/b.jpg")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert name in error.value.what
    assert word in error.value.what
