"""What lies in a folder beside the images: of systems, of showtell itself, with names of any bytes."""

import os
from pathlib import Path

import pytest
from PIL import ImageDraw
from PIL.PngImagePlugin import PngInfo

from conftest import draw, settings_file
from reading import labels, problems, read, touch
from showtell.cli import run

CLASSES = ("blue", "green", "red")
NETWORK = "--backbone test_resnet --weights random --head linear"
SMALL = settings_file(image_size=32)


def classes(root: Path) -> dict[str, str]:
    made = {f"{name}/{name}{number}.jpg": name for name in CLASSES for number in range(2)}
    touch(root, *made)
    return made


SYSTEM = ["@eaDir", "__MACOSX", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found", "Thumbnails",
          "System Volume Information", "node_modules", "_vti_cnf", "My Catalog Previews.lrdata"]  # fmt: skip


@pytest.mark.parametrize("name", [*SYSTEM, ".thumbnails", ".git", ".ipynb_checkpoints", ".Trash-1000"])
def test_folders_of_systems_are_no_class_and_no_images(tmp_path: Path, name: str) -> None:
    made = classes(tmp_path)
    touch(tmp_path, f"{name}/old.jpg", f"red/{name}/0red0.jpg", f"{name}/deep/x.jpg")
    dataset = read(tmp_path)
    assert (dataset.classes, labels(dataset)) == (CLASSES, made)
    if name in SYSTEM:
        assert [kind for kind, _ in problems(dataset)].count("system folder") == 2


def test_files_that_are_none_of_images_are_named(tmp_path: Path) -> None:
    made = classes(tmp_path)
    touch(tmp_path, "red/notes.pdf", "red/Thumbs.db", "red/._0red0.jpg", "blue/film.mp4", "blue/model.psd")
    os.mkfifo(tmp_path / "red" / "x.jpg")
    dataset = read(tmp_path)
    assert labels(dataset) == made
    assert sorted(problems(dataset)) == [
        ("hidden file", "._0red0.jpg"), ("not a file", "x.jpg"), ("not an image", "Thumbs.db"),
        ("not an image", "film.mp4"), ("not an image", "model.psd"), ("not an image", "notes.pdf"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a", "a.jpg_large", "a.jpg.1", "a.JPG~", "take 2.05"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_images_without_their_extension_are_known_by_content(tmp_path: Path, name: str, form: str) -> None:
    made = classes(tmp_path)
    draw(1, 32).save(tmp_path / "red" / name, form)
    assert labels(read(tmp_path)) == made | {f"red/{name}": "red"}


OWN = {
    "run": ("config.json", "images.jsonl"),
    "model": ("config.json", "model.safetensors"),
    "export": ("model.json", "run.py"),
    "store": ("data.mdb", "space.json"),
    "quickstart": ("quickstart.json",),
    "comparison": ("comparison.json",),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("place", ["runs/a", "results of may", "red/run"])
def test_what_showtell_made_is_no_class(tmp_path: Path, kind: str, place: str) -> None:
    made = classes(tmp_path)
    touch(tmp_path, *(f"{place}/{name}" for name in OWN[kind]), f"{place}/report/p.jpg", f"{place}/x.png")
    dataset = read(tmp_path)
    assert (dataset.classes, labels(dataset)) == (CLASSES, made)
    assert ("made by showtell", place.rpartition("/")[2]) in problems(dataset)


def test_showtells_drawings_are_no_images_of_the_data(tmp_path: Path) -> None:
    made = classes(tmp_path)
    about = PngInfo()
    about.add_text("Software", "showtell 1.0")
    draw(1, 32).save(tmp_path / "red" / "curves.png", pnginfo=about)
    draw(2, 32).save(tmp_path / "red" / "photo.png")
    assert labels(read(tmp_path)) == made | {"red/photo.png": "red"}


# --- names of bytes that are not UTF-8


def drawn_classes(root: Path, each: int = 8) -> None:
    """Draw discs in two class folders, one of which has a name in a Korean code page, as some files do."""
    for folder, colour in ((os.fsdecode(b"\xb0\xed\xbe\xe7"), "red"), ("개", "blue")):
        (root / folder).mkdir()
        for number in range(each):
            image = draw(number, 48)
            ImageDraw.Draw(image).ellipse((4, 4, 44, 44), fill=colour)
            image.save(root / folder / os.fsdecode(b"\xb0\xed%d.png" % number))


def test_names_that_are_not_utf8_are_shown_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn_classes(tmp_path, each=2)
    touch(tmp_path, "notes.pdf")
    (tmp_path / os.fsdecode(b"\xed.gone")).symlink_to("/nowhere")
    assert run(["inspect", str(tmp_path)]) == 0
    printed = "".join(capsys.readouterr())
    assert "\\xb0\\xed\\xbe\\xe7" in printed
    assert printed.encode("utf-8"), "all of it can be written down"
    dataset = read(tmp_path)
    assert dataset.classes == ("\\xb0\\xed\\xbe\\xe7", "개")
    assert all(image.path.is_file() for image in dataset.images)
    assert "\\xb0\\xed0.png" in dataset.images[0].name
    assert ("dangling link", "\\xed.gone") in problems(dataset)


def test_two_trainings_into_the_data_itself_with_names_that_are_not_utf8(tmp_path: Path) -> None:
    drawn_classes(tmp_path)
    before = labels(read(tmp_path))
    for name in ("runs/a", "runs/b"):
        command = ["train-classifier", str(tmp_path), "--out", str(tmp_path / name)]
        assert run([*command, *NETWORK.split(), *SMALL, "--store", str(tmp_path / "store")]) == 0
    dataset = read(tmp_path)
    assert labels(dataset) == before
    assert dataset.classes == ("\\xb0\\xed\\xbe\\xe7", "개")
    recorded = (tmp_path / "runs" / "b" / "images.jsonl").read_text("utf-8")
    assert "\\\\xb0\\\\xed0.png" in recorded
