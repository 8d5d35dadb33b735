"""Which of several forms is meant: tables beside texts and class folders, and tables in other folders."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from reading import FILES, WORDS, captions, read, said, touch, write, written
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


# --- tables in folders without images


def flickr(root: Path, folder: str, images: str) -> None:
    for name, start in (("Flickr8k.token.txt", "a"), ("Flickr8k.lemma.token.txt", "lemma")):
        write(root / folder / name, "".join(f"{file}#0\t{start} dog runs by\n" for file in FILES))
    for name, part in (("train", FILES[:8]), ("dev", FILES[8:10]), ("test", FILES[10:])):
        write(root / folder / f"Flickr_8k.{name}Images.txt", "".join(f"{file}\n" for file in part))
    experts = (f"{one}\t{other}#2\t1\t1\t1\n" for one, other in pairwise(FILES))
    write(root / folder / "ExpertAnnotations.txt", "".join(experts))
    crowd = (f"{one}\t{other}#2\t1\t3\t0\n" for one, other in pairwise(FILES))
    write(root / folder / "CrowdFlowerAnnotations.txt", "".join(crowd))
    write(root / folder / "readme.txt", "If you use this, data\n")
    touch(root, *(images + name for name in FILES))


@pytest.mark.parametrize("folder", ["Flickr8k_text/", "Flickr8k_text/Flickr8k_text/", "words/", ""])
@pytest.mark.parametrize("images", ["Flickr8k_Dataset/", "Flickr8k_Dataset/Flicker8k_Dataset/", "photos/"])
@pytest.mark.parametrize("above", ["", "Flickr_Data/"])
@pytest.mark.parametrize("wanted", [None, "captions"])
def test_flickr8k_as_it_is_unpacked(
    tmp_path: Path, folder: str, images: str, above: str, wanted: Literal["captions"] | None
) -> None:
    flickr(tmp_path, above + folder, above + images)
    dataset = read_dataset(DataSource(tmp_path), wanted)
    assert dataset.format == "flickr8k"
    assert [len(dataset.split(split)) for split in ("train", "val", "test")] == [8, 2, 2]
    assert set(captions(dataset).values()) == {("a dog runs by",)}
    assert said(dataset, "left out", "Flickr8k.lemma.token.txt")


@pytest.mark.parametrize("folder", ["words/", "csv/", "설명/", "doc/"])
@pytest.mark.parametrize("images", ["photos_2024/", "사진/", "train/", "a/b/", ""])
@pytest.mark.parametrize("column", ["caption", "label"])
def test_a_table_in_a_folder_of_any_name_beside_the_images(
    tmp_path: Path, folder: str, images: str, column: str
) -> None:
    cells = WORDS if column == "caption" else ["cat", "dog"] * 6
    write(tmp_path / folder / "t.csv", written(["image", column], zip(FILES, cells)))
    write(tmp_path / "code" / "sizes.csv", "model,size\na b c,3\n")
    touch(tmp_path, *(images + name for name in FILES))
    dataset = read(tmp_path)
    assert dataset.format == ("csv" if column == "caption" else "labels")
    assert {one.path for one in dataset.images} == {tmp_path / images / name for name in FILES}
    assert said(dataset, f"what is known lies in {tmp_path / folder}")
    assert not dataset.problems


def test_class_folders_are_not_looked_past(tmp_path: Path) -> None:
    touch(tmp_path, *PETS)
    write(tmp_path / "doc" / "t.csv", written(["image", "caption"], zip(PETS, WORDS)))
    assert read(tmp_path).format == "classes"


def test_images_in_a_folder_of_each_split_are_no_class_images(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{split}/images/{name}" for split in ("train", "val") for name in FILES))
    with pytest.raises(DataError, match="no format that is known"):
        read(tmp_path)


# --- what is said of what cannot be read


@pytest.mark.parametrize("tops", [("hires", "lowres"), ("a/b", "c/d")])
def test_why_a_table_was_left_out_is_said_where_its_captions_are_missed(
    tmp_path: Path, tops: tuple[str, ...]
) -> None:
    touch(tmp_path, *(f"{top}/{name}" for top in tops for name in FILES))
    write(tmp_path / "captions.csv", written(["image", "caption"], zip(FILES, WORDS)))
    with pytest.raises(DataError, match=r"(?s)holds no captions.*of several: captions.csv"):
        read_annotated(DataSource(tmp_path), "captions", Console(quiet=True))


@pytest.mark.parametrize(
    ("ending", "says"),
    [
        (".dcm", "medical"),
        (".npy", "arrays"),
        (".svg", "drawings"),
        (".pdf", "documents"),
        (".mp4", "videos"),
    ],
)
@pytest.mark.parametrize("above", ["", "train/"])
def test_class_folders_of_other_files_say_what_these_are(
    tmp_path: Path, ending: str, says: str, above: str
) -> None:
    for pet in PETS:
        write(tmp_path / (above + pet.replace(".jpg", ending)), "what it is")
    with pytest.raises(DataError, match=rf"(?s)none of its files is an image: 12 {ending}.*{says}"):
        read(tmp_path)


def test_nothing_is_said_of_files_beside_images(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "c.pdf")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert "none of its files" not in caught.value.what
