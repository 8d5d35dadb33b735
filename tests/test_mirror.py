"""Mirrored images: the very mirror image, learnt from half of the time, never where words name a side."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import ENDED, draw, settings_file
from showtell import cli
from showtell.backbones.weights import load_backbone
from showtell.data.augment import MIRRORED
from showtell.data.records import AnnotatedImage
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.data import CaptionData, read_grids
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.task import CaptionTask
from showtell.models.captioner import Captioner
from showtell.models.config import DecoderConfig
from showtell.text.tokenizer import CaptionTokenizer
from showtell.text.view_words import forbidden_changes


@pytest.mark.parametrize("shape", [(3, 64, 64), (3, 48, 80), (3, 1, 1)])
def test_the_mirrored_view_is_the_mirror_image(shape):
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    assert torch.equal(MIRRORED.apply(pixels, b"any digest"), pixels.flip(-1))


@pytest.mark.parametrize(
    ("caption", "names"),
    [
        ("A dog to the LEFT of a ball .", True),
        ("a man raises his right-hand glove", True),
        ("leftover bright copyright", False),
        ("빨간 원이 왼쪽에 있다", True),
        ("오른편의 고양이", True),
        ("개가 달린다", False),
        ("左に犬がいる", True),
        ("", False),
    ],
)
def test_words_that_name_a_side(caption, names):
    assert ("flip" in forbidden_changes([caption])) is names


@pytest.fixture
def task(tmp_path, store) -> CaptionTask:
    images = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        draw(number, 64).save(path)
        images.append(AnnotatedImage(path.name, path, ("a thing", "one more thing")))
    backbone = load_backbone("test_resnet", "random", image_size=64)
    plain = extract_features(images, backbone, store)
    mirrored = extract_features(images[:8], backbone, store, view=MIRRORED)
    tokenizer = CaptionTokenizer.train(["a thing", "one more thing"], kind="word", vocab_size=20, min_count=1)
    width = plain.space.description["grid_shape"][1]
    captioner = Captioner(DecoderConfig(tokenizer.vocab_size, width, 8, 8, 8), tokenizer, (2, 2))
    data = CaptionData(plain, images, images[:2], mirrored)
    return CaptionTask(captioner, data, TrainCaptioner(tmp_path, batch_size=4, seed=3, beam_size=1))


def test_half_of_the_time_where_there_is_a_mirror_image(task):
    plain = read_grids(task.captioner, task.data.features, task.data.train)
    turned = read_grids(task.captioner, task.data.mirrored, task.data.train[:8])
    seen = np.zeros((12, 2), int)
    for epoch in range(40):
        for index in range(task.steps_per_epoch):
            chosen = task.order.images(epoch, index)
            grids = task._grids(epoch, index)
            assert torch.equal(grids, task._grids(epoch, index))  # a resume asks again
            for grid, i in zip(grids, chosen):
                is_turned = i < 8 and torch.equal(grid, turned[i])
                assert is_turned or torch.equal(grid, plain[i])
                seen[i, int(is_turned)] += 1
    assert (seen.sum(1) == 40).all()
    assert (seen[8:, 1] == 0).all()
    assert 0.4 < seen[:8, 1].mean() / 40 < 0.6


def test_the_command_mirrors_all_but_those_that_name_a_side(tmp_path, capsys):
    rows = []
    for number in range(20):
        draw(number, 64).save(tmp_path / f"{number}.png")
        rows.append(
            {"file_name": f"{number}.png", "text": "a thing on the left" if number < 10 else "a thing"}
        )
    table = tmp_path / "metadata.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    settings = "--backbone test_resnet --weights random --epochs 1"
    command = [
        "train-captioner",
        str(table),
        *settings.split(),
    ]
    rare = {"image_size": 64, "hidden_dim": 16, "scst_epochs": 0, "augmentations": 0}
    assert cli.run([*command, "--out", str(tmp_path / "run"), *settings_file(**rare)]) in ENDED
    said = capsys.readouterr().err
    records = [json.loads(line) for line in Path(tmp_path / "run" / "images.jsonl").read_text().splitlines()]
    train = {one["name"] for one in records if one["split"] == "train"}
    sided = sum(f"{number}.png" in train for number in range(10))
    assert f"Mirrored: {len(train) - sided} images of train; {sided} more stay as they are" in said
    plain = settings_file(**rare, hflip=False)
    assert cli.run([*command, "--out", str(tmp_path / "other"), *plain]) in ENDED
    assert "Mirrored" not in capsys.readouterr().err
