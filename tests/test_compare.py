"""Comparing backbones: a row each, measured, drawn; one that cannot be had does not stop the others."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from conftest import draw
from showtell import cli
from showtell.config import Compare
from showtell.errors import ConfigError


@pytest.fixture
def data(tmp_path) -> Path:
    for number in range(24):
        colour = ("red", "blue")[number % 2]
        path = tmp_path / "data" / colour / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = draw(number, 64)
        image.paste(colour, (0, 0, 40, 40))
        image.save(path)
        os.utime(path, (1e9, 1e9))  # a file written just now is read again, to be sure
    return tmp_path / "data"


def arguments(data: Path, *more: str) -> list[str]:
    out = ["--out", str(data.parent / "out"), "--weights", "random", "--image-size", "64"]
    return ["compare", str(data), *out, *more]


def test_a_row_a_backbone(data, capsys):
    assert cli.run(arguments(data, "--backbones", "test_resnet, test_efficientnet", "--json")) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert {row["backbone"] for row in rows} == {"test_resnet", "test_efficientnet"}
    assert rows == json.loads((data.parent / "out" / "comparison.json").read_text("utf-8"))
    for row in rows:
        assert 0 <= row["interval_95"][0] <= row["accuracy"] <= row["interval_95"][1] <= 1
        assert row["pictures_per_second"] > 1
        assert 0.1 < row["milliseconds"] < 2000
        assert row["pictures"] > 0
        assert row["input_size"] == 64
        assert row["backbone"] in err
    assert rows[0]["accuracy"] >= rows[1]["accuracy"]
    # 2 bytes a number, pooled and a grid of 2x2 cells; thousand records, in millions of bytes.
    sizes = {row["backbone"]: row["megabytes_per_thousand"] for row in rows}
    assert sizes == pytest.approx({"test_resnet": 5 * 96 * 2 / 1000, "test_efficientnet": 5 * 256 * 2 / 1000})
    assert Image.open(data.parent / "out" / "comparison.png").width > 500


def test_features_are_looked_at_once(data, capsys):
    assert cli.run(arguments(data, "--backbones", "test_resnet")) == 0
    assert "Looking at 24 pictures" in capsys.readouterr().err
    assert cli.run(arguments(data, "--backbones", "test_resnet")) == 0
    assert "Looking at" not in capsys.readouterr().err


def test_one_that_cannot_be_had_is_told_and_left_out(data, capsys):
    assert cli.run(arguments(data, "--backbones", "nosuchnet,test_resnet", "--json")) == 0
    out, err = capsys.readouterr()
    assert [row["backbone"] for row in json.loads(out)] == ["test_resnet"]
    assert "nosuchnet is left out" in err
    assert cli.run(arguments(data, "--backbones", "nosuchnet")) == 2
    assert "knows no network 'nosuchnet'" in capsys.readouterr().err


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="--backbones names none"):
        Compare(Path("x"), " , ")
    with pytest.raises(ConfigError, match="cannot fit several networks"):
        Compare(Path("x"), "a,b", weights="file.pth")
