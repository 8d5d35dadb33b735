"""Classifiers of bursts, of few groups, of sizes: what is scored, how, and what is not called a score."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import draw, settings_file
from showtell import cli

SETTINGS = "--backbone test_resnet --weights random --head linear"


def burst(folder: Path, scene: int, frames: int = 6) -> None:
    """Draw frames of a scene: shifted by a pixel, lit and grained a little differently."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(scene)
    base = np.asarray(draw(scene, 96), float)
    for frame in range(frames):
        pixels = np.roll(base, random.integers(-1, 2, 2), (0, 1)) * random.uniform(0.95, 1.05)
        image = Image.fromarray((pixels + random.normal(0, 2, base.shape)).clip(0, 255).astype(np.uint8))
        image.save(folder / f"{scene}_{frame}.png")


def train(data: Path, out: Path, *more: str) -> int:
    return cli.run(
        [
            "train-classifier",
            str(data),
            "--out",
            str(out),
            *SETTINGS.split(),
            *settings_file(image_size=64),
            *more,
        ]
    )


def record(run: Path) -> dict:
    return json.loads((run / "evaluation-val.json").read_text("utf-8"))


def splits(run: Path) -> dict[str, str]:
    lines = map(json.loads, (run / "images.jsonl").read_text("utf-8").splitlines())
    return {line["name"]: line["split"] for line in lines}


@pytest.fixture(scope="module")
def coins(tmp_path_factory) -> Path:
    """Ten scenes of six frames; labels by coin."""
    folder = tmp_path_factory.mktemp("coins")
    for scene in range(10):
        burst(folder / ("heads", "tails")[scene % 2], scene)
    return folder


def test_labels_by_coin_on_bursts_are_scored_by_cross_validation(coins, tmp_path, capsys):
    assert train(coins, tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert "60 images are 10 groups of what belongs together" in said
    assert "cross-validation in" in said
    found = record(tmp_path / "run")
    assert (found["groups"], found["doubt"]) == (10, "")
    assert found["folds"] >= 3
    low, high = found["intervals_95"]["accuracy"]
    assert low <= 0.5 <= high
    assert high - low > 0.3
    assert "not shown to be better than the most frequent class" in said
    assert set(found["against"]) == {"the most frequent class", "the nearest neighbour's class"}
    by_scene: dict[str, set[str]] = {}
    for name, split in splits(tmp_path / "run").items():
        by_scene.setdefault(name.split("_")[0], set()).add(split)
    assert all(len(found) == 1 for found in by_scene.values())
    # What is scored later on counts groups, too: those that training found.
    assert cli.run(["evaluate", str(tmp_path / "run"), "--out", str(tmp_path), "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert alone["groups"] <= 2
    assert np.diff(alone["intervals_95"]["accuracy"]) > 0.6
    assert cli.run(["evaluate", str(tmp_path / "run"), "--split", "val", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["folds"] == 0
    assert f"cross-validation in {found['folds']} folds; --out FOLDER writes these scores" in printed.err
    assert record(tmp_path / "run") == found


def test_one_scene_a_class_is_trained_and_not_scored(tmp_path, capsys):
    burst(tmp_path / "data" / "cup", 1, 12)
    burst(tmp_path / "data" / "vase", 2, 12)
    assert train(tmp_path / "data", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert "24 images are 2 groups" in said
    assert "how good the model is cannot be said" in said
    assert "95% interval" not in said
    assert "Accuracy" not in said
    assert not (tmp_path / "run" / "evaluation-val.json").exists()
    card = (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    assert "Validation cannot say how good it is: 24 images are 2 groups" in card
    assert "accuracy" not in card
    image = str(tmp_path / "data" / "cup" / "1_0.png")
    assert cli.run(["predict", str(tmp_path / "run"), image]) == 0
    assert train(tmp_path / "data", tmp_path / "tuned", "--fine-tune", "0.3", "--head", "linear") == 2
    assert "no validation image to fine-tune by" in capsys.readouterr().err


def test_one_class_with_one_scene_is_said_not_to_be_a_score(tmp_path, capsys):
    burst(tmp_path / "data" / "cup", 1, 8)
    for scene in range(2, 6):
        burst(tmp_path / "data" / "vase", scene, 8)
    assert train(tmp_path / "data", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert "'cup' has only one" in said
    assert "No score to go by" in said
    found = record(tmp_path / "run")
    assert "'cup' has only one" in found["doubt"]
    assert "'cup' has only one" in (tmp_path / "run" / "model" / "README.md").read_text("utf-8")
    assert cli.run(["evaluate", str(tmp_path / "run"), "--split", "val"]) == 0
    assert "that it is no score" in capsys.readouterr().err
    assert record(tmp_path / "run") == found
    for _ in range(2):
        page = (tmp_path / "run" / "report.html").read_text("utf-8")
        assert "How good the model is cannot be said" in page
        assert cli.run(["report", str(tmp_path / "run"), "--split", "val"]) == 0


def test_a_brought_validation_of_strange_classes_alone_is_no_score(tmp_path, capsys):
    for scene in range(20):
        split, label = ("train", "ab"[scene % 2]) if scene < 16 else ("val", "strange")
        folder = tmp_path / "photos" / split / label
        folder.mkdir(parents=True, exist_ok=True)
        draw(scene, 64).save(folder / f"{scene}.png")
    assert train(tmp_path / "photos", tmp_path / "run") == 0
    said = capsys.readouterr().err
    assert (
        "cannot be said: none of its validation images can be read and is of a class that is learnt" in said
    )
    assert "Validation:" not in said
    assert not (tmp_path / "run" / "evaluation-val.json").exists()
    assert train(tmp_path / "photos", tmp_path / "tuned", "--fine-tune", "0.3") == 2
    assert "no validation image to fine-tune by: none of its" in capsys.readouterr().err


def test_sizes_are_heeded_and_kept(coins, tmp_path, capsys):
    assert train(coins, tmp_path / "run", "--val-size", "12", "--test-size", "6") == 0
    assert "Split: 42 train in 7 groups, 12 val in 2 groups, 6 test in 1 group" in capsys.readouterr().err
    config = json.loads((tmp_path / "run" / "config.json").read_text("utf-8"))["config"]
    assert (config["val_size"], config["test_size"]) == (12, 6)
    for wrong, message in [
        (("--val-size", "60"), "leave none of 60 images to train on"),
        (("--val-size", "0"), "leaves nothing to choose the model by"),
        (("--val-size", "1.5"), "neither a share nor a count"),
        (("--test-size", "-1"), "neither a share nor a count"),
    ]:
        assert train(coins, tmp_path / "wrong", *wrong) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("parts", [("train", "val"), ("train", "test"), ("train", "val", "test")])
def test_sizes_that_the_data_leaves_no_room_for_are_refused(tmp_path, capsys, parts):
    for number, part in enumerate(parts):
        for label in ("a", "b"):
            for scene in range(6):
                burst(tmp_path / "data" / part / label, 100 * number + 10 * scene + (label == "b"), 1)
    assert train(tmp_path / "data", tmp_path / "run", "--test-size", "5") == 2
    assert "--test-size cannot be used" in capsys.readouterr().err
    code = train(tmp_path / "data", tmp_path / "run", "--val-size", "4")
    said = capsys.readouterr().err
    if "val" in parts:
        assert code == 2
        assert "--val-size cannot be used" in said
    else:
        assert code == 0
        assert "Split: 8 train, 4 val, 12 test" in said


def test_inspect_says_where_images_are_few_scenes(coins, tmp_path, capsys):
    assert cli.run(["inspect", str(coins), "--out", str(tmp_path / "inspect.html"), "--json"]) == 0
    findings = {one["kind"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["few scenes"]["count"] == 10
    assert "60 images are 10 scenes" in findings["few scenes"]["what"]
    assert findings["near-duplicates"]["count"] == 10
    different = tmp_path / "different"
    for scene in range(20):
        burst(different / ("a", "b")[scene % 2], scene, 1)
    assert cli.run(["inspect", str(different), "--out", str(tmp_path / "inspect2.html"), "--json"]) == 0
    kinds = {one["kind"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert not kinds & {"few scenes", "near-duplicates"}
