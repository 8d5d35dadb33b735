"""Comparing backbones: a row each, measured, drawn; one that cannot be had does not stop the others."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from conftest import draw
from showtell import cli
from showtell.comparison import backbone_scores
from showtell.comparison import backbones as task
from showtell.comparison.settings import CompareBackbones
from showtell.data import groups as data_groups
from showtell.errors import ConfigError
from showtell.samples import write_captions_dataset
from showtell.training.loop import Loop

STEPS = 40
"""Of a captioner: enough that its captions share some words with the right ones."""


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
    return ["compare-backbones", str(data), *out, *more]


def test_a_row_a_backbone(data, capsys):
    assert cli.run(arguments(data, "--backbones", "test_resnet, test_efficientnet", "--json")) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert {row["backbone"] for row in rows} == {"test_resnet", "test_efficientnet"}
    assert rows == json.loads((data.parent / "out" / "comparison.json").read_text("utf-8"))
    for row in rows:
        assert 0 <= row["interval_95"][0] <= row["accuracy"] <= row["interval_95"][1] <= 1
        assert row["images_per_second"] > 1
        assert 0.1 < row["milliseconds"] < 2000
        assert row["images"] > 0
        assert row["input_size"] == 64
        assert row["backbone"] in err
    assert rows[0]["accuracy"] >= rows[1]["accuracy"]
    # 2 bytes a number, pooled and a grid of 2x2 cells; thousand records, in millions of bytes.
    sizes = {row["backbone"]: row["megabytes_per_thousand"] for row in rows}
    assert sizes == pytest.approx({"test_resnet": 5 * 96 * 2 / 1000, "test_efficientnet": 5 * 256 * 2 / 1000})
    assert Image.open(data.parent / "out" / "comparison.png").width > 500


def test_features_are_looked_at_once(data, capsys):
    assert cli.run(arguments(data, "--backbones", "test_resnet")) == 0
    assert "Encoding 24 images" in capsys.readouterr().err
    assert cli.run(arguments(data, "--backbones", "test_resnet")) == 0
    assert "Encoding" not in capsys.readouterr().err


def test_one_that_cannot_be_had_is_told_and_left_out(data, capsys):
    assert cli.run(arguments(data, "--backbones", "nosuchnet,test_resnet", "--json")) == 0
    out, err = capsys.readouterr()
    assert [row["backbone"] for row in json.loads(out)] == ["test_resnet"]
    assert "nosuchnet is left out" in err
    assert cli.run(arguments(data, "--backbones", "nosuchnet")) == 2
    assert "knows no network 'nosuchnet'" in capsys.readouterr().err


def test_settings_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot fit several networks"):
        CompareBackbones(Path("x"), backbones="a,b", weights="file.pth")
    with pytest.raises(ConfigError, match="--steps 0 is out of range"):
        CompareBackbones(Path("x"), backbones="a", steps=0)
    for names in ("a,,b", "a,b,a", " , "):
        with pytest.raises(ConfigError, match="names nothing, or a network twice"):
            CompareBackbones(Path("x"), backbones=names)
    (tmp_path / "images.jsonl").touch()
    with pytest.raises(ConfigError, match="is a run"):
        CompareBackbones(Path("x"), backbones="a", out=tmp_path)


def test_all_are_scored_on_the_same_split(data, monkeypatch, capsys):
    """Each network finds near-duplicates of its own; here the second one finds all images alike."""
    groups = iter([[], [[f"{colour}/{n}.png" for n in range(24) for colour in ("red", "blue")]]])
    monkeypatch.setattr(data_groups, "near_duplicate_groups", lambda *_, **__: next(groups))
    splits = []

    def score(name, contender):
        splits.append({image.name: image.split for image in contender.prepared.images})
        return own(name, contender)

    own = task.score_head
    monkeypatch.setattr(task, "score_head", score)
    assert cli.run(arguments(data, "--backbones", "test_resnet,test_efficientnet")) == 0
    assert set(splits[0].values()) == {"train", "val", "test"}
    assert splits[0] == splits[1]
    assert "Extracting features takes at most " in capsys.readouterr().err


@pytest.fixture
def captions(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(backbone_scores, "HIDDEN_DIM", 192)
    write_captions_dataset(tmp_path / "자료", language="ko", count=120, seed=0)
    return tmp_path / "자료" / "captions.json"


def compared(captions: Path, out: str, capsys, *more: str) -> tuple[dict[str, dict], str]:
    """Return the rows of a comparison on captions by backbone, and what was said."""
    settings = ["--weights", "random", "--image-size", "64", "--steps", str(STEPS), "--json"]
    places = [str(captions), "--out", str(captions.parents[1] / out)]
    assert cli.run(["compare-backbones", *places, *settings, *more]) == 0
    said, told = capsys.readouterr()
    rows = json.loads(said)
    scores = [row["cider_d"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    return {row["backbone"]: row for row in rows}, told


def test_captions_are_scored_by_a_short_training(captions, capsys):
    rows, said = compared(captions, "out", capsys, "--backbones", "test_resnet,test_efficientnet")
    out = captions.parents[1] / "out"
    assert rows.keys() == {"test_resnet", "test_efficientnet"}
    for row in rows.values():
        low, high = row["interval_95"]
        assert 0 <= low <= row["cider_d"] <= high
        assert low < high
        assert row["images"] == 10
        assert row["milliseconds"] > 0
    assert "CIDEr-D   95% interval" in said
    assert f"in all, {STEPS} steps on" in said
    assert said.index("Training a captioner on each takes about") < said.index("A captioner on test_resnet")
    assert said.count("Vocabulary:") == 1
    assert Image.open(out / "comparison.png").width > 500
    assert sorted(path.name for path in out.iterdir()) == ["comparison.json", "comparison.png"]


def test_neither_company_nor_an_interruption_changes_a_score(captions, capsys, monkeypatch):
    whole, _ = compared(captions, "whole", capsys, "--backbones", "test_resnet,test_efficientnet")
    turned, _ = compared(captions, "turned", capsys, "--backbones", "test_efficientnet,test_resnet")
    step, steps = Loop._step, []

    def stopping(self, bar):
        steps.append(self)
        if len(steps) == STEPS + 4:  # in the middle of the second captioner
            raise KeyboardInterrupt
        step(self, bar)
        self._checkpoint()

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", stopping)
        command = [
            "compare-backbones",
            str(captions),
            "--out",
            str(captions.parents[1] / "cut"),
            "--steps",
            str(STEPS),
        ]
        more = ["--weights", "random", "--image-size", "64", "--backbones", "test_resnet,test_efficientnet"]
        assert cli.run([*command, *more]) == 130
    capsys.readouterr()
    cut, said = compared(captions, "cut", capsys, "--backbones", "test_resnet,test_efficientnet")
    assert f"Resuming after step {STEPS} of {STEPS}" in said
    assert f"Resuming after step 3 of {STEPS}" in said
    for name in whole:
        for other in (turned, cut):
            assert other[name]["cider_d"] == whole[name]["cider_d"]
            assert other[name]["interval_95"] == whole[name]["interval_95"]
    assert whole["test_resnet"]["cider_d"] != whole["test_efficientnet"]["cider_d"]


def test_of_many_captioned_images_a_sample_is_looked_at(captions, capsys):
    rows, said = compared(captions, "out", capsys, "--backbones", "test_resnet", "--sample", "10")
    assert rows["test_resnet"]["images"] == 5
    assert "15 of them are compared on, none of a test split" in said
    assert "Encoding 15 images with test_resnet" in said
    assert "steps on 10 images;" in said
