"""Captions and labels tables: what is read, what is refused, and that every fault has its place."""

import csv
import io
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.readers import read_dataset
from showtell.data.readers.cells import cleaned, is_missing
from showtell.data.records import Dataset
from showtell.data.source import DataSource
from showtell.errors import ConfigError, DataError


def read(data: Path, **known: Any) -> Dataset:
    return read_dataset(DataSource(data, **known))


def make(folder: Path, table: str, images: list[str], name: str = "captions.csv") -> Path:
    for image in images:
        path = folder / "images" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    path = folder / name
    path.write_bytes(table.encode())
    return path


def captions(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {image.name: image.captions for image in dataset.images}


def problems(dataset: Dataset) -> list[tuple[str, str]]:
    return [(problem.kind, problem.where.rpartition("/")[2]) for problem in dataset.problems]


@pytest.mark.parametrize(
    "table",
    [
        'image,caption\nb.jpg,"A dog, running"\na.jpg,A cat\nb.jpg,Two\n',
        'file_name,text\r\nb.jpg,"A dog, running"\r\na.jpg,A cat\r\nb.jpg,Two\r\n',
        "image_name|comment_number|comment\nb.jpg|0|A dog, running\na.jpg|0|A cat\nb.jpg|1|Two\n",
        "image_name| comment_number| comment\nb.jpg| 0| A dog, running\na.jpg| 0| A cat\nb.jpg| 1| Two\n",
        "image\tcaption\nb.jpg\tA dog, running\na.jpg\tA cat\nb.jpg\tTwo\n",
        "image;caption\nb.jpg;A dog, running\na.jpg;A cat\nb.jpg;Two\n",
        '﻿사진,설명\nb.jpg,"A dog, running"\na.jpg,A cat\nb.jpg,Two',
        ',image,caption\n0,b.jpg,"A dog, running"\n1,a.jpg,A cat\n2,b.jpg,Two\n',
        'Image Name,Caption\n\nb.jpg,"A dog, running"\na.jpg,A cat\n,\nb.jpg,Two,\n',
    ],
    ids=["csv", "crlf", "pipe", "pipe-blank", "tab", "semicolon", "bom-korean", "pandas-index", "blank-rows"],
)
def test_common_forms_of_a_captions_table_read_alike(tmp_path: Path, table: str) -> None:
    dataset = read(make(tmp_path, table, ["a.jpg", "b.jpg"]))
    assert dataset.format == "csv"
    assert list(captions(dataset).items()) == [("b.jpg", ("A dog, running", "Two")), ("a.jpg", ("A cat",))]
    assert dataset.problems == ()
    assert all(image.split is None for image in dataset.images)


def test_any_columns_through_the_two_flags(tmp_path: Path) -> None:
    table = make(tmp_path, "n,beeld,zin,bron\n1,a.jpg,een hond,x\n2,b.jpg,een kat,y\n", ["a.jpg", "b.jpg"])
    with pytest.raises(DataError) as error:
        read(table)
    assert "'n', 'beeld', 'zin', 'bron'" in str(error.value)
    assert "--image-column" in str(error.value)
    assert "--text-column" in str(error.value)
    dataset = read(table, image_column="beeld", text_column="zin")
    assert captions(dataset) == {"a.jpg": ("een hond",), "b.jpg": ("een kat",)}
    with pytest.raises(DataError, match="no column 'foto'"):
        read(table, image_column="foto", text_column="zin")


@pytest.mark.parametrize("mark", [",", "\t", ";", " "])
@pytest.mark.parametrize("extension", [".jpg", ""])
def test_a_table_without_header_is_read_from_its_first_line(
    tmp_path: Path, mark: str, extension: str
) -> None:
    if mark == " " and not extension:
        pytest.skip("words with blanks between them are no table")
    rows = f"a{extension}{mark}A dog runs\nb{extension}{mark}A cat\n"
    dataset = read(make(tmp_path, rows, ["a.jpg", "b.jpg"], "words.txt"))
    assert captions(dataset) == {"a.jpg": ("A dog runs",), "b.jpg": ("A cat",)}
    assert any("no header" in note for note in dataset.notes)


def test_every_fault_is_reported_at_its_line(tmp_path: Path) -> None:
    table = (
        "image,caption\n"
        "a.jpg,A dog\n"
        "gone.jpg,A cat\n"
        "a.jpg,  \n"
        "a.jpg,A dog\n"
        "../secret.jpg,A letter\n"
        "/etc/passwd.jpg,Users\n"
        "C:\\secret.jpg,A letter\n"
        ",Nothing\n"
        "a.jpg\n"
        "a.jpg,A dog, a cat, and a bird\n"
    )
    (tmp_path / "secret.jpg").write_bytes(b"")
    dataset = read(make(tmp_path, table, ["a.jpg", "unused.jpg"]))
    assert captions(dataset) == {"a.jpg": ("A dog", "A dog, a cat, and a bird")}
    assert problems(dataset) == [
        ("missing image", "captions.csv:3"),
        ("empty caption", "captions.csv:4"),
        ("repeated row", "captions.csv:5"),
        ("outside the image folder", "captions.csv:6"),
        ("outside the image folder", "captions.csv:7"),
        ("outside the image folder", "captions.csv:8"),
        ("empty image name", "captions.csv:9"),
        ("wrong number of fields", "captions.csv:10"),
        ("wrong number of fields", "captions.csv:11"),
        ("image without captions", "unused.jpg"),
    ]


def test_an_image_is_missing_once_however_many_captions_it_has(tmp_path):
    rows = "".join(f"gone.jpg,A cat {number}\n" for number in range(5))
    dataset = read(make(tmp_path, f"image,caption\na.jpg,A dog\n{rows}lost.jpg,A bird\n", ["a.jpg"]))
    assert problems(dataset) == [("missing image", "captions.csv:3"), ("missing image", "captions.csv:8")]


def test_the_broken_row_of_flickr30k_is_left_out_alone(tmp_path: Path) -> None:
    table = (
        "image_name| comment_number| comment\n"
        "1.jpg| 3| A dog .\n"
        "1.jpg| 4   A dog runs across the grass .\n"
        "2.jpg| 0| Two | three .\n"
    )
    dataset = read(make(tmp_path, table, ["1.jpg", "2.jpg"], "results.csv"))
    assert captions(dataset) == {"1.jpg": ("A dog .",), "2.jpg": ("Two | three .",)}
    assert problems(dataset) == [
        ("wrong number of fields", "results.csv:3"),
        ("wrong number of fields", "results.csv:4"),
    ]


def test_equal_captions_of_two_people_are_no_repeat(tmp_path: Path) -> None:
    table = "image_name|comment_number|comment\na.jpg|0|A dog .\na.jpg|1|A dog .\na.jpg|1|A dog .\n"
    dataset = read(make(tmp_path, table, ["a.jpg"]))
    assert captions(dataset) == {"a.jpg": ("A dog .", "A dog .")}
    assert problems(dataset) == [("repeated row", "captions.csv:4")]


@pytest.mark.parametrize("filler", [0, 20_000], ids=["closed below", "never closed"])
def test_an_open_quote_swallows_no_rows(tmp_path: Path, filler: int) -> None:
    closing = 'c.jpg,"Three"\n' if not filler else ""
    more = "".join(f"a.jpg,Caption {number}\n" for number in range(filler))
    table = f'image,caption\na.jpg,"A dog\nb.jpg,Two\n{closing}{more}'
    dataset = read(make(tmp_path, table, ["a.jpg", "b.jpg", "c.jpg"]))
    found = captions(dataset)
    assert found["b.jpg"] == ("Two",)
    assert len(found["a.jpg"]) == 1 + filler
    assert problems(dataset)[0] == ("unclosed quote", "captions.csv:2")


def test_a_caption_of_two_lines_in_quotes_stays_whole(tmp_path: Path) -> None:
    dataset = read(make(tmp_path, 'image,caption\na.jpg,"A dog\nruns"\nb.jpg,\n', ["a.jpg", "b.jpg"]))
    assert captions(dataset) == {"a.jpg": ("A dog\nruns",)}
    assert problems(dataset)[0] == ("empty caption", "captions.csv:4")


def test_a_split_column_brings_splits(tmp_path: Path) -> None:
    rows = [
        "a.jpg,A,train",
        "b.jpg,B,Validation",
        "c.jpg,C,odd",
        "b.jpg,BB,train",
        "d.jpg,D,",
        "a.jpg,AA,test",
    ]
    table = "\n".join(["image,caption,split", *rows])
    dataset = read(make(tmp_path, table, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]))
    assert [image.split for image in dataset.images] == ["train", "train", None, None]
    assert problems(dataset) == [
        ("unknown split", "captions.csv:4"),
        ("two splits", "captions.csv:5"),
        ("two splits", "captions.csv:7"),
    ]


def test_all_images_missing_says_where_it_looked_and_where_they_are(tmp_path: Path) -> None:
    rows = "".join(f"{number}.jpg,A dog\n" for number in range(12))
    table = make(tmp_path, "image,caption\n" + rows, ["deep/a.jpg", "deep/b.jpg"])
    with pytest.raises(DataError) as error:
        read(table)
    message = str(error.value)
    assert str(tmp_path / "images") in message
    assert "  9.jpg" in message
    assert "  10.jpg" not in message
    assert "--images DIR" in message


def test_tables_with_nothing_in_them_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows below its header"):
        read(make(tmp_path, "image,caption\n", ["a.jpg"]))
    with pytest.raises(DataError, match="is empty"):
        read(make(tmp_path, "\n\n", ["a.jpg"]))
    with pytest.raises(DataError, match=r"captions.csv:2: empty caption"):
        read(make(tmp_path, "image,caption\na.jpg,\n", ["a.jpg"]))
    with pytest.raises(DataError, match="not a folder"):
        read(make(tmp_path, "image,caption\na.jpg,A\n", ["a.jpg"]), images=tmp_path / "none")


def test_labels_by_id_without_extension(tmp_path: Path) -> None:
    table = "id,breed\nx1,beagle\nx2,푸들\nx3,beagle\nx4,beagle\nx3,푸들\nx1,beagle\nx9,pug\n"
    images = ["x1.jpg", "x2.JPG", "x3.jpg", "x4.jpg", "x4.png", "x5.jpg"]
    dataset = read(make(tmp_path, table, images, "labels.csv"))
    assert dataset.format == "labels"
    assert [(image.name, image.label) for image in dataset.images] == [
        ("x1.jpg", "beagle"),
        ("x2.JPG", "푸들"),
    ]
    assert dataset.classes == ("beagle", "푸들")
    assert problems(dataset) == [
        ("ambiguous name", "labels.csv:5"),
        ("two labels", "labels.csv:6"),
        ("repeated row", "labels.csv:7"),
        ("missing image", "labels.csv:8"),
        ("image without label", "x4.jpg"),
        ("image without label", "x4.png"),
        ("image without label", "x5.jpg"),
    ]
    contradiction = next(problem for problem in dataset.problems if problem.kind == "two labels")
    assert "labels.csv:4" in contradiction.detail


def test_one_class_is_read_and_refused_by_training(tmp_path: Path) -> None:
    table = make(tmp_path, "id,breed\na,pug\nb,pug\n", ["a.jpg", "b.jpg"])
    assert read(table).classes == ("pug",)
    with pytest.raises(DataError, match="nothing to tell apart"):
        read_annotated(DataSource(table), "labels", Console(quiet=True), to_learn=True)


def test_captions_and_labels_are_told_apart_by_name_then_by_values(tmp_path: Path) -> None:
    images = [f"{number}.jpg" for number in range(8)]

    def recognised(header: str, words: list[str]) -> str:
        rows = "".join(f"{name},{word}\n" for name, word in zip(images, words))
        return read(make(tmp_path, header + "\n" + rows, images)).format

    distinct = [f"dog number {number}" for number in range(8)]
    repeated = ["dog", "cat"] * 4
    assert recognised("image,category", distinct) == "labels"
    assert recognised("image,caption", repeated) == "csv"
    assert recognised("image,wat", distinct) == "csv"
    assert recognised("image,wat", repeated) == "labels"
    assert recognised("wat,caption", distinct) == "csv"


def test_captions_beside_labels_are_both_read(tmp_path: Path) -> None:
    table = make(tmp_path, "image,caption,label\na.jpg,A dog,dog\nb.jpg,A cat,cat\n", ["a.jpg", "b.jpg"])
    both = read(table)
    assert (both.images[0].captions, both.images[0].label) == (("A dog",), "dog")
    assert read(table, format="csv").images[0].label is None
    assert read(table, format="labels").images[0].captions == ()
    assert read(table, format="labels").classes == ("cat", "dog")
    assert read(table, text_column="label").format == "labels"


def test_flags_that_have_no_meaning_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="csv, labels, classes"):
        read(tmp_path, format="excel")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match="no columns"):
        read(tmp_path, text_column="label")
    with pytest.raises(ConfigError, match="--images"):
        read(tmp_path, images=tmp_path)


texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="﻿"), min_size=1, max_size=30)
    .map(str.strip)
    .filter(lambda text: text and cleaned(text) == (text, "") and not is_missing(text, caption=True))
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["a.jpg", "b.jpg", "강아지.jpg"]), texts), min_size=1, max_size=20
    ),
    delimiter=st.sampled_from([",", "\t", "|", ";"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, line_end: str
) -> None:
    from unicodedata import normalize

    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([("image", "caption"), *rows])
    dataset = read(make(tmp_path, buffer.getvalue(), ["a.jpg", "b.jpg", "강아지.jpg"]))
    expected: dict[str, list[str]] = {}
    for name, text in rows:
        known = expected.setdefault(name, [])
        if normalize("NFC", text) not in known:
            known.append(normalize("NFC", text))
    assert captions(dataset) == {name: tuple(known) for name, known in expected.items()}
    repeated = Counter(problem.kind for problem in dataset.problems)["repeated row"]
    assert sum(map(len, expected.values())) + repeated == len(rows)


def test_two_hundred_thousand_rows_take_seconds(tmp_path: Path) -> None:
    images = [f"{number:06}.jpg" for number in range(2000)]
    rows = "".join(f'{images[row % 2000]},"A dog, number {row}"\n' for row in range(200_000))
    table = make(tmp_path, "image,caption\n" + rows, images)
    start = time.process_time()
    dataset = read(table)
    seconds = time.process_time() - start
    assert sum(len(image.captions) for image in dataset.images) == 200_000
    assert seconds < 6, "about 1 s on an idle core; the bound leaves room for a busy machine"
