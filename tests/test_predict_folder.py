"""What `predict` takes of a folder is what training takes, and it says what it leaves out."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from conftest import draw
from serving import make_classifier
from showtell import cli
from showtell.console import Console
from showtell.data.listing import Listing
from showtell.data.pixels.files import images_at
from showtell.errors import DataError
from showtell.kinds.asked import find_images


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("run"))


@pytest.fixture
def photos(tmp_path) -> Path:
    """Three photos among what else lies in folders of photos."""
    folder = tmp_path / "사진"
    for name in ("a.png", "여름/b.jpg", ".trash/gone.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        draw(1).save(folder / name)
    draw(2).save(folder / unicodedata.normalize("NFD", "고양이.png"))
    draw(3).save(folder / "._a.png")
    (folder / "notes.txt").write_text("words", "utf-8")
    (tmp_path / "outside").mkdir()
    draw(4).save(tmp_path / "outside" / "private.png")
    (folder / "link.png").symlink_to(tmp_path / "outside" / "private.png")
    (folder / "linked").symlink_to(tmp_path / "outside")
    return folder


def predicted(capsys, *arguments: object) -> tuple[list[str], str]:
    assert cli.run(["predict", *map(str, arguments), "--json"]) == 0
    printed = capsys.readouterr()
    return [json.loads(line)["image"] for line in printed.out.splitlines()], printed.err


def test_a_folder_is_read_as_training_reads_it_and_the_rest_is_said(run, photos, capsys):
    named, said = predicted(capsys, run, photos)
    names = sorted(unicodedata.normalize("NFC", os.path.relpath(name, photos)) for name in named)
    assert names == ["a.png", "고양이.png", "여름/b.jpg"]
    assert names == sorted(Listing(photos).images)
    assert "3 images" in said
    assert "1 files that are no images (for example notes.txt)" in said
    assert "2 hidden" in said
    assert "2 x outside the" in said  # links that lead out
    assert "private" not in "".join(named)


def test_what_is_named_outright_is_tried(run, photos, capsys):
    for asked in (photos / ".trash" / "gone.png", photos / "._a.png", photos / "link.png"):
        named, _ = predicted(capsys, run, asked)
        assert named == [str(asked)]
    assert cli.run(["predict", str(run), str(photos / "*.*")]) == 2  # the text, too
    printed = capsys.readouterr()
    assert "notes.txt" in printed.err
    assert printed.out.count("\n") == 3


def test_a_folder_without_an_image_is_refused_with_what_is_in_it(photos, capsys):
    for path in list(photos.rglob("*.png")) + list(photos.rglob("*.jpg")):
        path.unlink()
    with pytest.raises(DataError, match="There is no image at"):
        find_images([str(photos)], Console())
    said = capsys.readouterr().err
    assert "0 images; left out: 1 files that are no images" in said


def test_images_are_found_once_and_in_order(photos):
    alone = find_images([str(photos / "a.png")], Console(quiet=True))
    again = find_images([str(photos / "a.png"), str(photos), str(photos / "a.*")], Console(quiet=True))
    assert again[:1] == alone
    assert len(again) == len(set(again)) == 3


@pytest.mark.parametrize(
    "folder", ["@eaDir", "__MACOSX", ".thumbnails", "Thumbs", "System Volume Information"]
)
def test_what_systems_leave_behind_is_no_image(photos, folder):
    (photos / folder).mkdir()
    draw(5).save(photos / folder / "a.png")
    found = find_images([str(photos)], Console(quiet=True))
    assert len(found) == 3
    assert not any(path.parent.name == folder for path in images_at(str(photos)))


def test_what_showtell_made_is_no_image(run, photos, capsys):
    for folder in ("runs/mine", "why"):
        (photos / folder).mkdir(parents=True)
    (photos / "runs" / "mine" / "config.json").write_text("{}", "utf-8")
    (photos / "runs" / "mine" / "images.jsonl").write_text("{}\n", "utf-8")
    (photos / "runs" / "mine" / "figures").mkdir()
    draw(6).save(photos / "runs" / "mine" / "figures" / "curve.png")
    predicted(capsys, run, photos / "a.png", "--save-plot", photos / "why" / "a.png")
    assert (photos / "why" / "a.png").stat().st_size
    assert len(find_images([str(photos)], Console(quiet=True))) == 3
