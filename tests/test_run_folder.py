"""A run's folder: its data is found again from anywhere, and it holds one training only."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import ENDED, settings_file
from showtell import cli
from showtell.console import Console
from showtell.errors import ConfigError, ModelError
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.training import Session
from showtell.runs.records import ImageRecord, save_lines
from showtell.runs.run import Run
from showtell.samples import write_captions_dataset
from showtell.training.processes import ALONE

SMALL = "--backbone test_resnet --weights random --epochs 1"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder in which somebody trained, with all paths relative to it."""
    folder = tmp_path_factory.mktemp("home")
    write_captions_dataset(folder / "photos", language="ko", count=40, seed=0)
    (folder / "elsewhere").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table, images = "photos/captions.json", "photos/images"
        command = ["train-captioner", table, "--images", images, "--store", "store", "--out", "run"]
        assert (
            cli.run([*command, *SMALL.split(), *settings_file(image_size=64, hidden_dim=16, scst_epochs=0)])
            in ENDED
        )
    return folder


@pytest.mark.parametrize("command", ["evaluate {}", "report {}", "export {} --out model"])
def test_a_run_finds_its_data_from_another_folder(home, monkeypatch, command):
    monkeypatch.chdir(home / "elsewhere")
    assert cli.run(command.format("../run").split()) == 0
    assert not (home / "elsewhere" / "store").exists()


def test_a_run_that_was_moved_with_its_data_is_read_from_where_one_stands(
    home, tmp_path, monkeypatch, capsys
):
    for name in ("photos", "run"):
        shutil.copytree(home / name, tmp_path / name)
    record = tmp_path / "run" / "config.json"
    record.write_text(record.read_text("utf-8").replace(json.dumps(str(home)), '"/no/such/folder"'), "utf-8")
    monkeypatch.chdir(tmp_path)
    trained = Run(Path("run")).settings(TrainCaptioner)
    assert trained.data == Path("photos/captions.json")
    assert cli.run(["evaluate", "run"]) == 0
    monkeypatch.chdir(tmp_path / "run")
    assert cli.run(["evaluate", "."]) == 0  # seen from the run, the data lies where it did
    assert str(tmp_path / "photos") in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model", "figures", "report.html"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, name, resume):
    """As `--out .` in a project that has a model of its own."""
    (tmp_path / name).write_text("mine", "utf-8")
    settings = TrainCaptioner(tmp_path / "photos", out=tmp_path, resume=resume)
    with pytest.raises(ConfigError, match=f"holds {name} of something else"), Run(tmp_path).claim(settings):
        pass
    (tmp_path / name).rename(tmp_path / "diary.txt")
    with Run(tmp_path).claim(settings):
        pass


def test_what_to_type_after_a_training_can_be_pasted(capsys):
    run = Run(Path("runs/my photos"))
    Session(None, run, None, Console(), (), 0.0, ALONE, run).say_how_to_use()
    assert "Try it: showtell predict 'runs/my photos' PICTURE" in capsys.readouterr().err


def test_an_image_whose_name_holds_an_end_of_a_line_is_one_line(tmp_path):
    images = [ImageRecord("one\N{LINE SEPARATOR}two\x85three.png", "train"), ImageRecord("b.png", "val")]
    save_lines(tmp_path / "images.jsonl", images)
    assert Run(tmp_path).images == images


def test_settings_are_recorded_as_they_were_typed(home):
    settings = json.loads((home / "run" / "config.json").read_text("utf-8"))
    assert settings["config"]["data"] == "photos/captions.json"
    assert settings["folder"] == str(home)
    trained = Run(home / "run").settings(TrainCaptioner)
    assert trained.data == home / "photos" / "captions.json"


def test_every_number_that_shaped_the_model_is_recorded(home):
    record = Run(home / "run").record
    assert record.config["epochs"] == 1 and record.config["label_smoothing"] == TrainCaptioner.label_smoothing
    assert record.resolved["recipe.epochs"] == 1 and record.resolved["recipe.batch_size"] == 8
    assert record.resolved["decoder.hidden_dim"] == 16 and record.resolved["decoder.vocab_size"] > 4
    assert record.resolved["loop.weight_decay"] == TrainCaptioner.weight_decay
    assert record.resolved["search.length_penalty"] == 0.7
    assert record.environment["code"] and record.kind == "captioner"


def test_a_damaged_record_is_named(home, tmp_path):
    record = json.loads((home / "run" / "config.json").read_text("utf-8"))
    shutil.copy(home / "run" / "images.jsonl", tmp_path)
    for broken in ("{}", json.dumps(record | {"resolved": 3})):
        (tmp_path / "config.json").write_text(broken, "utf-8")
        with pytest.raises(ModelError, match=r"cannot be read as a run's record"):
            Run(tmp_path).settings(TrainCaptioner)
    (tmp_path / "config.json").write_text(json.dumps(record | {"format": 99}), "utf-8")
    with pytest.raises(ModelError, match=r"has format 99; this showtell reads up to 1"):
        Run(tmp_path).settings(TrainCaptioner)
