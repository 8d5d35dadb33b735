"""Data that was moved or renamed after the training is found again, or said to be gone with what to run."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import ImageDraw

from conftest import ENDED, draw, settings_file
from showtell import cli
from showtell.data.records import AnnotatedImage
from showtell.runs.trained_data import digests_of
from showtell.samples import write_captions_dataset
from showtell.store.store import FeatureStore

SETTINGS = "--backbone test_resnet --weights random"
COLOURS = ("red", "파랑", "gray")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a classifier, a captioner, and what they were trained on."""
    home = tmp_path_factory.mktemp("home")
    for i, name in enumerate(COLOURS):
        (home / "classes" / name).mkdir(parents=True)
        for number in range(12):
            image = draw(100 * i + number, 64)
            ImageDraw.Draw(image).ellipse((8, 8, 56, 56), fill=("red", "blue", "gray")[i])
            image.save(home / "classes" / name / f"{number}.png")
    write_captions_dataset(home / "captions", language="en", count=40, seed=0)
    commands = (
        f"train-classifier classes --out classifier --store store {SETTINGS} --head linear "
        + " ".join(settings_file(image_size=64)),
        f"train-captioner captions --out captioner --store store {SETTINGS} --epochs 2 "
        + " ".join(settings_file(image_size=64, hidden_dim=16, scst_epochs=0)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for command in commands:
            assert cli.run(command.split()) in ENDED
    return home


@pytest.fixture
def home(trained, tmp_path, monkeypatch) -> Path:
    """A copy of its own, in which nothing leads back to where the training was."""
    shutil.copytree(trained, tmp_path / "home")
    for run in ("classifier", "captioner"):
        record = tmp_path / "home" / run / "config.json"
        text = record.read_text("utf-8")
        assert json.dumps(str(trained)) in text
        record.write_text(text.replace(json.dumps(str(trained)), json.dumps(str(tmp_path / "home"))), "utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def recorded(run: Path) -> dict[str, dict[str, str]]:
    lines = (run / "images.jsonl").read_text("utf-8").splitlines()
    return {record["name"]: record for record in map(json.loads, lines)}


def scored(out: Path, split: str = "test") -> list[str]:
    lines = (out / f"predictions-{split}.jsonl").read_text("utf-8").splitlines()
    return sorted(json.loads(line)["image"] for line in lines)


@pytest.mark.parametrize("rename", ["nothing", "files", "classes"])
def test_moved_class_folders_are_known_by_their_content(home, tmp_path, capsys, rename):
    run = home / "classifier"
    assert cli.run(["evaluate", str(run), "--out", str(tmp_path / "before"), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    moved = tmp_path / "이사"
    (home / "classes").rename(moved)
    if rename == "files":
        for number, path in enumerate(sorted(moved.rglob("*.png"), reverse=True)):
            path.rename(path.with_name(f"IMG_{number:04d}.png"))
    if rename == "classes":
        for folder in list(moved.iterdir()):
            folder.rename(folder.with_name(f"the {folder.name} ones"))
    assert cli.run(["evaluate", str(run), str(moved), "--out", str(tmp_path / "after"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == before
    assert "36 of 36 images are those of the training by content" in printed.err
    split = before["split"]
    assert scored(tmp_path / "after", split) == scored(tmp_path / "before", split)
    assert cli.run(["report", str(run), str(moved)]) == 0


def test_moved_captions_are_known_by_their_content(home, tmp_path, capsys):
    run = home / "captioner"
    assert cli.run(["evaluate", str(run), "--out", str(tmp_path / "before"), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    moved = tmp_path / "이사"
    (home / "captions").rename(moved)
    (table,) = moved.glob("captions.*")
    text = table.read_text("utf-8")
    for number, path in enumerate(sorted(moved.rglob("*.png"))):
        assert path.name in text
        text = text.replace(path.name, f"photo-{number}.png")
        path.rename(path.with_name(f"photo-{number}.png"))
    table.write_text(text, "utf-8")
    assert cli.run(["evaluate", str(run), str(moved), "--out", str(tmp_path / "after"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["scores"] == before["scores"]
    assert "40 of 40 images are those of the training by content" in printed.err
    assert cli.run(["report", str(run), str(moved)]) == 0


def test_files_renamed_in_place_are_found_and_what_is_gone_is_counted(home, tmp_path, capsys):
    run, records = home / "classifier", recorded(home / "classifier")
    learnt = [name for name, record in records.items() if record["split"] == "train"]
    (home / "classes" / learnt[0]).unlink()
    for path in list((home / "classes").rglob("*.png")):
        path.rename(path.with_name(f"x{path.name}"))
    draw(999, 64).save(home / "classes" / "red" / "new.png")
    assert cli.run(["evaluate", str(run), "--split", "train", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err
    assert "35 of 36 images are those of the training by content; 1 other images are left out" in said
    assert "Scoring the train split, which was trained on" in said
    assert scored(tmp_path, "train") == sorted(learnt[1:])


def test_names_that_were_given_anew_in_place_score_no_image_that_was_trained_on(home, tmp_path, capsys):
    run, records = home / "classifier", recorded(home / "classifier")
    split = "test" if "test" in {record["split"] for record in records.values()} else "val"
    asked = ["predict", str(run), "--split", split, "--json"]
    assert cli.run(asked) == 0
    before = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    one, other = (next(n for n, r in records.items() if r["split"] == s) for s in (split, "train"))
    (home / "classes" / one).rename(tmp_path / "kept")
    (home / "classes" / other).rename(home / "classes" / one)
    (tmp_path / "kept").rename(home / "classes" / other)
    assert cli.run(asked) == 0
    printed = capsys.readouterr()
    after = [json.loads(line) for line in printed.out.splitlines()]
    assert "36 of 36 images are those of the training by content" in printed.err
    assert sorted(line["image"] for line in after) == sorted(
        str(
            home
            / "classes"
            / (other if line["image"].endswith(one) else Path(line["image"]).relative_to(home / "classes"))
        )
        for line in before
    )


def test_without_a_store_images_are_known_all_the_same(tmp_path):
    draw(1).save(tmp_path / "a.png")
    (tmp_path / "store").write_text("no folder, and nobody can make one here")
    image = AnnotatedImage("a.png", tmp_path / "a.png")
    found = digests_of([image], FeatureStore(tmp_path / "store"))
    assert found == [(image, hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest())]


def test_other_data_under_the_same_names_is_other_data(home, tmp_path, capsys):
    """Names prove nothing: none of these images was in the training."""
    for number, name in enumerate(recorded(home / "classifier")):
        path = tmp_path / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(5000 + number, 64).save(path)
    command = ["evaluate", str(home / "classifier"), str(tmp_path / "new"), "--out", str(tmp_path), "--json"]
    assert cli.run(command) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["split"] == "all"
    assert json.loads(printed.out)["images"] == 36
    assert "by content" not in printed.err
    assert cli.run(["report", str(home / "classifier"), str(tmp_path / "new")]) == 2
    assert "hardly any of the images" in capsys.readouterr().err
    before = (home / "classifier" / "evaluation-val.json").read_bytes()
    assert cli.run([*command[:3], "--split", "val"]) == 2
    assert "would take the place of those of the training's own val split" in capsys.readouterr().err
    assert (home / "classifier" / "evaluation-val.json").read_bytes() == before


def test_scores_of_other_data_are_not_replaced_without_a_word(home, tmp_path, capsys):
    for folder, seed in (("autumn", 6000), ("winter", 7000)):
        for number, colour in enumerate(("red", "red", "gray")):
            path = tmp_path / folder / colour / f"{folder}-{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(seed + number, 64).save(path)
    notice = f"take the place of those of 3 other images in {home / 'classifier'}; --out FOLDER keeps both"
    for folder, said in (("autumn", False), ("autumn", False), ("winter", True)):
        assert cli.run(["evaluate", str(home / "classifier"), str(tmp_path / folder)]) == 0
        assert (notice in capsys.readouterr().err) == said
    (home / "classifier" / "predictions-all.jsonl").write_text("[", "utf-8")
    assert cli.run(["evaluate", str(home / "classifier"), str(tmp_path / "autumn")]) == 0


@pytest.mark.parametrize(("run", "data"), [("classifier", "classes"), ("captioner", "captions")])
@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_data_that_is_gone_is_named_with_what_to_run(home, tmp_path, capsys, run, data, command):
    (home / data).rename(tmp_path / "moved")
    assert cli.run([command, str(home / run)]) == 2
    said = capsys.readouterr().err
    assert f"was at {home / data}, and is not there any more" in said
    assert f"Run: showtell {command} {home / run} DATA" in said
    (tmp_path / "moved").rename(home / data)
    for path in list((home / data).rglob("*.png")):  # all else is there
        path.unlink()
    assert cli.run([command, str(home / run)]) == 2
    assert f"Run: showtell {command} {home / run} DATA" in capsys.readouterr().err


def test_images_that_lie_elsewhere_are_asked_about_by_a_command_that_takes_them(home, capsys):
    record = json.loads((home / "captioner" / "config.json").read_text("utf-8"))
    record["config"]["images"] = str(home / "moved")
    (home / "captioner" / "config.json").write_text(json.dumps(record), "utf-8")
    assert cli.run(["predict", str(home / "captioner"), "--split", "test"]) == 2
    said = capsys.readouterr().err
    assert f"were in {home / 'moved'}, and are not there any more" in said
    asked = f"{home / 'captioner'} {home / 'captions'} --split test --images {home / 'captions'}"
    assert f"Run: showtell evaluate {asked.rpartition(' ')[0]} DIR" in said
    assert cli.run(["evaluate", *asked.split()]) == 0


def test_an_export_says_where_the_data_was_and_checks_with_drawings(home, tmp_path, capsys):
    pytest.importorskip("onnx")
    (home / "classes").rename(tmp_path / "moved")
    assert cli.run(["export", str(home / "classifier"), "--num-images", "2"]) == 0
    said = capsys.readouterr().err
    assert f"was at {home / 'classes'}" in said
    assert f"showtell export {home / 'classifier'} --check FOLDER" in said


def test_what_was_moved_together_is_found_from_anywhere(home, tmp_path, capsys):
    home.rename(tmp_path / "project")
    assert cli.run(["evaluate", os.path.relpath(tmp_path / "project" / "classifier")]) == 0
    assert str(tmp_path / "project" / "classes") in capsys.readouterr().err
