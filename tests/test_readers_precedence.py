"""Which of several forms is meant: tables beside texts and class folders, and tables in other folders."""

from pathlib import Path
from typing import Literal

import pytest

from reading import FILES, WORDS, captions, labels, read, said, splits, touch, write, written
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.readers import read_dataset
from showtell.data.source import DataSource
from showtell.errors import DataError

PETS = [f"{'cat' if number % 2 else 'dog'}/{name}" for number, name in enumerate(FILES)]


def texts(root: Path) -> None:
    touch(root, *FILES)
    for name, words in zip(FILES, WORDS):
        write(root / name.replace(".jpg", ".txt"), words)


# --- a table whose words have no usual name wins over nothing


@pytest.mark.parametrize(
    ("name", "header", "cells"),
    [
        ("download_log.csv", "file,status", ["ok", "retry"] * 6),
        ("metadata.csv", "file_name,license", ["CC0", "CC BY"] * 6),
        ("photo_info.csv", "filename,photographer", ["Ann", "Bob", "Cid"] * 4),
        ("notes.csv", "file,notes", ["blurred at the edge", "", ""] * 4),
    ],
)
def test_a_table_of_other_things_does_not_win_over_texts(
    tmp_path: Path, name: str, header: str, cells: list[str]
) -> None:
    texts(tmp_path)
    write(tmp_path / name, written(header.split(","), zip(FILES, cells)))
    with pytest.raises(DataError, match="several ways"):
        read(tmp_path)
    if name != "notes.csv":
        dataset = read_dataset(DataSource(tmp_path), "captions")
        assert (dataset.format, len(captions(dataset))) == ("sidecar", 12)
        assert said(dataset, "is read for its captions, and not")


@pytest.mark.parametrize("above", ["", "images/"])
@pytest.mark.parametrize("name", ["photo_info.csv", "metadata.csv"])
@pytest.mark.parametrize("wanted", [None, "labels"])
def test_a_table_of_other_things_does_not_win_over_class_folders(
    tmp_path: Path, above: str, name: str, wanted: Literal["labels"] | None
) -> None:
    touch(tmp_path, *(above + pet for pet in PETS))
    rows = [(above + pet, ("Ann", "Bob", "Cid")[place % 3]) for place, pet in enumerate(PETS)]
    write(tmp_path / name, written(["file_name", "photographer"], rows))
    with pytest.raises(DataError, match=r"(?s)several ways.*classes"):
        read_dataset(DataSource(tmp_path), wanted)
    assert read(tmp_path, format="classes").classes == ("cat", "dog")


@pytest.mark.parametrize("above", ["", "images/"])
def test_notes_on_a_few_images_leave_the_classes_to_a_classifier(tmp_path: Path, above: str) -> None:
    touch(tmp_path, *(above + pet for pet in PETS))
    notes = ["blurred at the edge a bit", "", ""] * 4
    write(tmp_path / "photo_info.csv", written(["filename", "notes"], zip((above + p for p in PETS), notes)))
    dataset = read_dataset(DataSource(tmp_path), "labels")
    assert (dataset.format, dataset.classes) == ("classes", ("cat", "dog"))
    assert said(dataset, "photo_info.csv")


@pytest.mark.parametrize("header", ["file,caption", "file,image_caption", "file,text", "file,설명"])
def test_a_table_of_captions_still_wins_over_texts(tmp_path: Path, header: str) -> None:
    texts(tmp_path)
    write(tmp_path / "t.csv", written(header.split(","), zip(FILES, WORDS)))
    assert read(tmp_path).format == "csv"


def test_a_table_called_captions_needs_no_usual_column(tmp_path: Path) -> None:
    texts(tmp_path)
    write(tmp_path / "captions.csv", written(["file", "what is seen"], zip(FILES, WORDS)))
    assert read(tmp_path).format == "csv"
