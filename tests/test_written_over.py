"""No command writes over what showtell has not written: tables, photos, records of runs."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from conftest import draw
from showtell import cli
from showtell.errors import ConfigError
from showtell.kinds.captioner.coco import check_coco_results, write_coco_results
from showtell.kinds.settings import Evaluate
from showtell.report.figures import save_figure


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(3):
        draw(number).save(folder / f"{number}.png")
    rows = "".join(f"{number}.png,a thing of number {number}\n" for number in range(3))
    (folder / "captions.csv").write_text(f"image,caption\n{rows}")
    return folder


@pytest.mark.parametrize("out", ["captions.csv", "1.png", "notes.txt", ".", ""])
def test_inspect_writes_pages_only(data, out, capsys):
    (data / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in data.iterdir()}
    out = f"{data}/{out}" if out not in (".", "") else out
    assert cli.run(["inspect", str(data), "--out", out]) == 2
    said = capsys.readouterr().err
    assert "is no HTML page" in said or "--out is empty" in said
    assert {path: path.read_bytes() for path in data.iterdir()} == before


@pytest.mark.parametrize("what", [("augment",), ("normalize",), ("tokens",)])
def test_previews_draw_over_no_photo(data, what, capsys):
    before = (data / "2.png").read_bytes()
    options = ["--backbone", "test_resnet"] if what != ("tokens",) else []
    assert cli.run(["preview", *what, str(data), *options, "--out", str(data / "2.png")]) == 2
    assert "was not drawn by showtell: it may be a photo" in capsys.readouterr().err
    assert (data / "2.png").read_bytes() == before


def test_a_drawing_takes_the_place_of_a_drawing_whole_or_not_at_all(tmp_path, monkeypatch):
    out = tmp_path / "drawn.png"
    save_figure(Figure(), out)
    first = out.read_bytes()
    save_figure(Figure((2, 2)), out)
    second = out.read_bytes()
    assert second != first

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        save_figure(Figure(), out)
    assert out.read_bytes() == second
    monkeypatch.undo()
    for number in (1, 2):
        save_figure(Figure((number, number)), tmp_path / "drawn.jpg")
    draw(1).save(tmp_path / "photo.jpg")
    with pytest.raises(ConfigError, match=r"photo.jpg is there already"):
        save_figure(Figure(), tmp_path / "photo.jpg")


@pytest.mark.parametrize("name", ["my.json", "my-annotations.json"])
@pytest.mark.parametrize(
    "content",
    [{"images": [], "annotations": []}, {"info": {"description": "COCO"}}, {"kind": "captioner"}, "x"],
)
def test_results_take_the_place_of_results_alone(tmp_path, name, content):
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=f"would write over .*{name}, which holds something else"):
        Evaluate(tmp_path / "run", export=tmp_path / "my.json")
    assert json.loads((tmp_path / name).read_text()) == content


def test_results_are_written_again(tmp_path):
    line = {"image": "a.jpg", "caption": "a dog", "references": ["a cat"]}
    for lines in ([line], [], [line, line | {"image": "b.jpg"}]):
        check_coco_results(tmp_path / "out.json")
        write_coco_results(lines, tmp_path / "out.json")
    assert len(json.loads((tmp_path / "out.json").read_text())) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("train-captioner", "DATA", "--out", ""),
        ("inspect", ""),
        ("predict", "runs/mine", "DATA", "--save-plot", ""),
        ("extract", "DATA", "--store", ""),
        ("extract", "DATA", "--weights", ""),
    ],
)
def test_nothing_is_not_the_current_folder(data, arguments, tmp_path, monkeypatch, capsys):
    """Most often it is a variable of the shell that was not set."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert cli.run([str(data) if one == "DATA" else one for one in arguments]) == 2
    said = capsys.readouterr().err
    assert "is empty" in said and "variable" in said
    assert not any(here.iterdir())
