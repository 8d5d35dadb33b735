"""What holds captions and labels besides one text table: several, sidecars, tars, Parquet, workbooks."""

import builtins
import json
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL.PngImagePlugin import PngInfo

from conftest import draw, encoded
from reading import captions, labels, messages, problems, read, said, splits, tar, touch, write
from showtell.errors import DataError, MissingExtraError
from showtell.files import cache_root
from showtell.store.store import default_root

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
def test_a_text_for_each_image(tmp_path: Path, suffix: str, place: str, beside: str) -> None:
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


def workbook(path: Path, **sheets: Sequence[Sequence[object]]) -> Any:
    """Return a workbook of these sheets, for more to be done to it before it is saved at the path."""
    openpyxl = pytest.importorskip("openpyxl")
    touch(path.parent, *FILES)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    return book


HEADED = [("image", "caption"), *zip(FILES, WORDS)]


def test_hidden_sheets_are_left_out_and_hidden_rows_are_said(tmp_path: Path) -> None:
    book = workbook(tmp_path / "t.xlsx", old=[HEADED[0], *((name, "old") for name in FILES)], new=HEADED)
    book["old"].sheet_state = "hidden"
    book["new"].row_dimensions[3].hidden = book["new"].row_dimensions[4].hidden = True
    book.active = 1
    book.save(tmp_path / "t.xlsx")
    dataset = read(tmp_path / "t.xlsx")
    assert captions(dataset) == CAPTIONED
    assert said(dataset, "the sheet 'new' is read, and not old")
    assert said(dataset, "2 rows of t.xlsx that are hidden")


def test_the_sheet_with_a_header_goes_before_one_of_remarks(tmp_path: Path) -> None:
    remarks = [("How to use", "this file"), ("write a caption", "of each")]
    workbook(tmp_path / "t.xlsx", Info=remarks, data=HEADED).save(tmp_path / "t.xlsx")
    assert captions(read(tmp_path / "t.xlsx")) == CAPTIONED


def test_sheets_of_the_same_columns_are_read_together(tmp_path: Path) -> None:
    book = workbook(
        tmp_path / "t.xlsx", Ann=HEADED[:4], Bob=[HEADED[0], *HEADED[4:]], sums=[("a", "b"), (1, 2)]
    )
    book.save(tmp_path / "t.xlsx")
    dataset = read(tmp_path / "t.xlsx")
    assert captions(dataset) == CAPTIONED
    assert said(dataset, "the sheets Ann, Bob are read, and not sums")


def test_a_merged_sheet_takes_no_more_than_its_rows(tmp_path: Path) -> None:
    plain, merged = tmp_path / "plain.xlsx", tmp_path / "t.xlsx"
    workbook(plain, words=HEADED).save(plain)
    with zipfile.ZipFile(plain) as given, zipfile.ZipFile(merged, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(
                    b"</sheetData>", b'</sheetData><mergeCells><mergeCell ref="D2:XFD1048576"/></mergeCells>'
                )
            made.writestr(name, content)
    plain.unlink()
    began = time.process_time()
    assert captions(read(merged)) == CAPTIONED
    assert time.process_time() - began < 5


def test_merged_cells_hold_the_same_in_each_of_their_rows(tmp_path: Path) -> None:
    rows = [("label", "image"), *zip(["cat", None, None, "dog", None, None], FILES)]
    book = workbook(tmp_path / "t.xlsx", words=rows)
    for area in ("A2:A4", "A5:A7"):
        book["words"].merge_cells(area)
    book.save(tmp_path / "t.xlsx")
    dataset = read(tmp_path / "t.xlsx")
    assert labels(dataset) == dict(zip(FILES, ["cat"] * 3 + ["dog"] * 3))
    assert said(dataset, "merged cells of t.xlsx")


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


def test_a_text_without_its_image_is_named(tmp_path: Path) -> None:
    """A download that failed, or an image that was renamed: its caption is lost without a word."""
    for number in range(4):
        touch(tmp_path, f"p{number}.jpg")
        write(tmp_path / f"p{number}.txt", f"a dog {number}")
    write(tmp_path / "p99.txt", "a cat")
    dataset = read(tmp_path)
    assert len(dataset.images) == 4
    assert "p99.txt" in messages(dataset)


def test_texts_beside_images_may_end_in_capitals(tmp_path: Path) -> None:
    for number in range(4):
        touch(tmp_path, f"P{number}.JPG")
        write(tmp_path / f"P{number}.TXT", f"a dog {number}")
    assert captions(read(tmp_path)) == {f"P{number}.JPG": (f"a dog {number}",) for number in range(4)}


def test_json_beside_images_that_holds_no_captions_is_named_as_such(tmp_path: Path) -> None:
    """Labelme, image generators, Google Takeout: twenty lines of "empty caption" say little."""
    for number in range(4):
        touch(tmp_path, f"p{number}.jpg")
        write(tmp_path / f"p{number}.json", json.dumps({"shapes": [], "flags": {}}))
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert "shapes" in str(error.value) or "'caption'" in str(error.value)


@pytest.mark.parametrize(
    "name, word",
    [
        ("captions.csv.zip", "unpack"),
        ("set.tar.gz", "unpack"),
        ("labels.mat", "CSV"),
        ("x.npz", "files"),
        ("captions.ods", "CSV"),
        ("Photos.numbers", "CSV"),
        ("captions.docx", "CSV"),
        ("train.tfrec", "files"),
    ],
)
def test_a_folder_says_of_a_file_what_the_file_alone_would(tmp_path: Path, name: str, word: str) -> None:
    """`look t.npz` says that its images are to be saved; `look .` beside it says nothing of it."""
    touch(tmp_path, name, "images/a.jpg", "images/b.jpg")
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert name in error.value.what
    assert word in error.value.what


# --- tars and Parquet files, which hold their images themselves


PICTURES = [encoded(draw(number, 32), "PNG") for number in range(4)]


@pytest.mark.parametrize("suffix, content", [("txt", "{}"), ("json", '{{"caption": "{}", "width": 9}}')])
def test_a_tar_of_samples(tmp_path: Path, own_cache: Path, suffix: str, content: str) -> None:
    members: dict[str, bytes] = {}
    for number, image in enumerate(PICTURES):
        members[f"../v1.0/s{number}.png"] = image
        members[f"../v1.0/s{number}.{suffix}"] = content.format(WORDS[number]).encode()
    dataset = read(tar(tmp_path / "00000.tar", members))
    assert dataset.format == "webdataset"
    assert [image.captions for image in dataset.images] == [(word,) for word in WORDS[:4]]
    assert [image.path.read_bytes() for image in dataset.images] == PICTURES
    assert all(image.path.is_relative_to(own_cache) for image in dataset.images)
    assert said(dataset, "inside of 00000.tar are unpacked in", str(own_cache))
    again = read(tmp_path)
    assert captions(again) == captions(dataset)


def test_a_tar_of_classes_and_one_that_is_none(tmp_path: Path) -> None:
    members = {f"s{i}.png": image for i, image in enumerate(PICTURES)}
    with pytest.raises(DataError, match="4 images and no words"):
        read(tar(tmp_path / "bare.tar", members))
    members |= {f"s{number}.cls": CLASSES[number].encode() for number in range(4)}
    assert list(labels(read(tar(tmp_path / "cls.tar", members))).values()) == CLASSES[:4]
    (tmp_path / "broken.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DataError, match="cannot be read as a tar"):
        read(tmp_path / "broken.tar")


def parquet(path: Path, columns: dict[str, list[Any]], features: dict[str, Any] | None = None) -> Path:
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    holds = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    made = {
        name: arrow.array(cells, holds if isinstance(cells[0], dict) else None)
        for name, cells in columns.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else None
    arrow.parquet.write_table(arrow.table(made).replace_schema_metadata(about), path)
    return path


def cells(order: range) -> list[dict[str, Any]]:
    return [{"bytes": PICTURES[number], "path": None} for number in order]


def test_parquet_that_names_files(tmp_path: Path) -> None:
    touch(tmp_path, *FILES)
    dataset = read(parquet(tmp_path / "t.parquet", {"image": FILES, "caption": WORDS}))
    assert captions(dataset) == CAPTIONED


def test_parquet_that_holds_images_and_names_classes(tmp_path: Path) -> None:
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    for split, order in (("train", range(3)), ("test", range(3, 4))):
        columns = {"image": cells(order), "label": [number % 2 for number in order]}
        parquet(tmp_path / "data" / f"{split}-00000-of-00001.parquet", columns, features)
    dataset = read(tmp_path)
    assert sorted(p.path.read_bytes() for p in dataset.images) == sorted(PICTURES)
    known = {image.path.read_bytes(): (image.label, image.split) for image in dataset.images}
    expected = [("cat", "train"), ("dog", "train"), ("cat", "train"), ("dog", "test")]
    assert known == dict(zip(PICTURES, expected))
    one = read(parquet(tmp_path / "one.parquet", {"image": cells(range(4)), "text": WORDS[:4]}))
    assert [image.captions for image in one.images] == [(word,) for word in WORDS[:4]]


def test_two_images_in_a_row_of_parquet_are_refused_too(tmp_path: Path) -> None:
    """As in a text table; here the second column is dropped without a word."""
    path = parquet(
        tmp_path / "t.parquet",
        {"before": cells(range(4)), "after": cells(range(3, -1, -1)), "caption": WORDS[:4]},
    )
    with pytest.raises(DataError, match="'before' and 'after'"):
        read(path)


def test_class_minus_one_of_parquet_is_no_label(tmp_path: Path) -> None:
    """Hugging Face marks images without a label so, as in its test splits."""
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    dataset = read(
        parquet(tmp_path / "t.parquet", {"image": cells(range(4)), "label": [0, 1, -1, 0]}, features)
    )
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.images) == 3


def test_images_as_bare_bytes_in_parquet_are_read_or_named(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", {"image": PICTURES, "caption": WORDS[:4]})
    try:
        assert len(read(path).images) == 4
    except DataError as error:
        assert "\\x89PNG" not in str(error)


def test_the_column_of_images_may_be_named(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "t.parquet",
        {"before": cells(range(4)), "after": cells(range(3, -1, -1)), "caption": WORDS[:4]},
    )
    for column, expected in (("before", PICTURES), ("after", PICTURES[::-1])):
        dataset = read(path, image_column=column)
        assert [image.path.read_bytes() for image in dataset.images] == expected


def test_members_of_a_tar_whose_folders_make_like_names_stay_apart(tmp_path: Path) -> None:
    stems = ("a/b", "a_b", "a%2Fb", "a/c_b")
    members = {f"{stem}.png": image for stem, image in zip(stems, PICTURES)}
    members |= {f"{stem}.txt": word.encode() for stem, word in zip(stems, WORDS)}
    dataset = read(tar(tmp_path / "0.tar", members))
    assert [image.path.read_bytes() for image in dataset.images] == PICTURES
    assert [image.captions for image in dataset.images] == [(word,) for word in WORDS[:4]]


def test_two_images_of_one_sample_are_said(tmp_path: Path) -> None:
    members = {"s.jpg": PICTURES[0], "s.png": PICTURES[1], "s.txt": b"a dog", "t.png": PICTURES[2]}
    dataset = read(tar(tmp_path / "0.tar", members | {"t.txt": b"a cat"}))
    assert len(dataset.images) == 2
    assert said(dataset, "1 images of 0.tar are left out")


def test_what_is_left_out_is_named_once_however_many_shards_there_are(tmp_path: Path) -> None:
    for place in range(3):
        drawn = encoded(draw(9, 16), "PNG", pnginfo=showtell_mark())
        members = {"s.png": PICTURES[place], "s.txt": b"a dog", "d.png": drawn}
        tar(tmp_path / f"{place}.tar", members)
    dataset = read(tmp_path)
    assert len(dataset.images) == 3
    made = [problem.where for problem in dataset.problems if problem.kind == "made by showtell"]
    assert made == ["d.png", "1/d.png", "2/d.png"]


def showtell_mark() -> PngInfo:
    info = PngInfo()
    info.add_text("Software", "showtell")
    return info


def test_what_a_tar_holds_beside_images_may_be_of_any_bytes(tmp_path: Path) -> None:
    members = {"s.png": PICTURES[0], "s.txt": b"a dog", "s.json": b'["\xff"]', "t.png": PICTURES[1]}
    members |= {"t.txt": b"a cat", "t.json": b"[" * 100_000}
    dataset = read(tar(tmp_path / "0.tar", members))
    assert [image.captions for image in dataset.images] == [("a dog",), ("a cat",)]


@pytest.mark.parametrize("named", [True, False])
def test_unpacked_images_and_features_lie_in_one_cache(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    """SHOWTELL_STORE means the features alone."""
    if named:
        monkeypatch.setenv("SHOWTELL_STORE", "/elsewhere")
    else:
        monkeypatch.delenv("SHOWTELL_STORE")
    assert cache_root() == own_cache / "showtell"
    assert default_root() == (Path("/elsewhere") if named else own_cache / "showtell" / "features")


@pytest.mark.parametrize("form", ["{}-000.tar", "sea-{}-000000.tar", "{}/000.tar"])
def test_tars_bring_the_splits_of_their_names(tmp_path: Path, own_cache: Path, form: str) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        members = {f"{number}.png": PICTURES[0] for number in numbers}
        # A class may be called as an image of another shard is.
        members |= {f"{number}.cls": str(number % 2).encode() for number in numbers}
        path = tmp_path / form.format(split)
        path.parent.mkdir(exist_ok=True)
        tar(path, members)
    dataset = read(tmp_path)
    assert list(splits(dataset).values()) == ["train"] * 4 + ["val"] * 2
    assert list(labels(dataset).values()) == ["0", "1"] * 3
    assert problems(dataset) == []


def test_dots_in_the_names_of_a_tar(tmp_path: Path, own_cache: Path) -> None:
    members = {"a.v2.png": PICTURES[0], "a.v2.txt": b"a dog", "b.png": PICTURES[0], "b.txt": b"a cat"}
    assert captions(read(tar(tmp_path / "t.tar", members))) == {"a.v2.png": ("a dog",), "b.png": ("a cat",)}


def test_parquet_in_folders_of_splits(tmp_path: Path, own_cache: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for split, images in (("train", PICTURES[:3]), ("test", PICTURES[3:])):
        (tmp_path / "default" / split).mkdir(parents=True)
        cells = {
            "image": [{"bytes": image, "path": "a.png"} for image in images],
            "label": ["red"] * len(images),
        }
        parquet.write_table(pyarrow.table(cells), tmp_path / "default" / split / "0000.parquet")
    dataset = read(tmp_path)
    assert sorted(map(str, splits(dataset).values())) == ["test", "train", "train", "train"]
    assert {image.path.read_bytes() for image in dataset.images} == set(PICTURES)
