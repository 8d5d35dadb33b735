"""Tables that nobody would write by hand: beyond all limits, nested without end, made to do harm."""

import base64
import json
from pathlib import Path

import pytest

from reading import labels, read, touch, write
from showtell.errors import DataError, ShowtellError


def test_images_as_base64_in_cells_end_in_a_message(tmp_path: Path) -> None:
    """A cell beyond the csv module's limit (131,072 signs) raises csv.Error."""
    cell = base64.b64encode(bytes(range(256)) * 800).decode()
    with pytest.raises(ShowtellError) as error:
        read(write(tmp_path / "t.csv", f"image,caption\n{cell},a dog\n{cell},a cat\n"))
    assert len(str(error.value)) < 3000


@pytest.mark.parametrize(
    "name, text",
    [
        ("t.json", "[" * 100_000),
        ("t.json", json.dumps([{"image": "/a\0.jpg", "caption": "a dog"}])),
        ("t.csv", "image,caption\n" + "".join(f'p0.jpg,"{"[" * 3000}{"]" * 3000}"\n' for _ in "ab")),
        ("t.csv", f"image,caption,fold\np0.jpg,a dog,{'9' * 5000}\np1.jpg,a cat,1\n"),
        ("t.json", '{"images": [{"id": "%s", "file_name": "p0.jpg"}], "annotations": [{"image_id": 1, '
                   '"caption": "a dog"}]}' % ("9" * 5000)),
        ("t.json", f'[{{"image": "p0.jpg", "caption": {"[" * 700}"a dog"{"]" * 700}}}]'),
    ],
    ids=["deep JSON", "NUL in a path", "deep list in a cell", "endless fold", "endless id", "deep caption"],
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
