"""Event files: every step and epoch once, whatever was stopped in between, and images one can look at."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ENDED, draw, settings_file
from showtell import cli
from showtell.data.records import AnnotatedImage
from showtell.errors import MissingExtraError
from showtell.samples import write_captions_dataset
from showtell.training.callbacks import TensorBoardLog

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def image(folder: Path, number: int, size: tuple[int, int], **words) -> AnnotatedImage:
    path = folder / f"{number}.png"
    draw(number, 120).resize(size).save(path)
    return AnnotatedImage(path.name, path, **words)


def test_a_training_leaves_its_curves_and_its_images(tmp_path):
    write_captions_dataset(tmp_path / "data", language="en", count=24, seed=0)
    data, out = tmp_path / "data" / "captions.json", tmp_path / "run"
    arguments = [
        "train-captioner",
        str(data),
        "--out",
        str(out),
        "--backbone",
        "test_resnet",
    ]
    small = "--weights random --epochs 3"
    settings = settings_file(image_size=64, hidden_dim=16, scst_epochs=0, tensorboard=True)
    assert cli.run([*arguments, *small.split(), *settings]) in ENDED
    events = read(out / "tensorboard")
    tags = events.Tags()
    assert set(tags["scalars"]) == {
        "train/loss", "train/learning_rate", "validation/train_loss", "validation/cider_d",
        "validation/loss",
    }  # fmt: skip
    losses = events.Scalars("train/loss")
    assert [one.step for one in losses] == list(range(1, len(losses) + 1))
    ends = [one.step for one in events.Scalars("validation/cider_d")]
    assert len(ends) == 3
    assert ends[-1] == len(losses)
    shown = events.Images("validation/images")
    assert [one.step for one in shown] == ends
    image = np.asarray(Image.open(io.BytesIO(shown[-1].encoded_image_string)))
    assert image.shape[1] > 800
    assert image.std() > 20


def test_what_is_made_again_after_a_stop_is_told_once(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.begin(0, 0)
    for step in range(1, 6):
        log.step(step, 1, 10.0, 0.1)
        if step == 3:
            log.checkpoint()
    log = TensorBoardLog(tmp_path)  # killed at step 5, the last checkpoint was at 3
    log.begin(3, 0)
    for step in range(4, 7):
        log.step(step, 1, 20.0, 0.1)
    log.validation(6, {"epoch": 1, "train_loss": 1.5, "score": 0.3, "accuracy": 0.25})
    log.checkpoint()
    events = read(tmp_path)
    assert [(one.step, one.value) for one in events.Scalars("train/loss")] == [
        (1, 10.0), (2, 10.0), (3, 10.0), (4, 20.0), (5, 20.0), (6, 20.0),
    ]  # fmt: skip
    assert [one.value for one in events.Scalars("validation/accuracy")] == [0.25]
    assert "validation/score" not in events.Tags()["scalars"]


def test_images_of_any_shape_and_words_of_any_script(tmp_path):
    images = [
        image(tmp_path, number, size, label=label)
        for number, (size, label) in enumerate(
            [((300, 40), "고양이"), ((40, 300), "$cat_{x}$"), ((1, 1), "a" * 300)]
        )
    ]
    log = TensorBoardLog(tmp_path / "events")
    log.show(images, lambda: {one.name: "한국어 문장 " * 30 for one in images})
    log.begin(0, 0)
    log.validation(1, {"epoch": 1, "train_loss": 1.0, "score": 0.5})
    log.checkpoint()
    assert len(read(tmp_path / "events").Images("validation/images")) == 1


def test_a_missing_package_is_told_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match="tensorboard"):
        TensorBoardLog(tmp_path)
    (tmp_path / "data" / "a").mkdir(parents=True)
    places = [str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert cli.run(["train-classifier", *places, *settings_file(tensorboard=True)]) == 2
    assert (
        "tensorboard is about fine-tuning, and there is none without --fine-tune" in capsys.readouterr().err
    )
    settings = settings_file(tensorboard=True, fine_tune="0.3")
    assert cli.run(["train-classifier", *places, *settings]) == 2
    assert "pip install 'showtell[tensorboard]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
