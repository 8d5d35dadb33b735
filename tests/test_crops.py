"""Several crops of an image: each cell keeps its place, and whatever encodes sees the same, exports too."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import showtell
from conftest import ENDED, draw, settings_file
from showtell import TrainCaptioner, cli
from showtell.backbones.crops import CROPS, MultiCrop
from showtell.backbones.joint import JointBackbone
from showtell.backbones.weights import load_backbone
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.cropping import crops_to_try
from showtell.kinds.captioner.task import CaptionTask
from showtell.kinds.model_folder import load_model, save_model
from showtell.samples import write_captions_dataset


def means(images: Tensor, rows: int, columns: int) -> Tensor:
    """A network that sees the mean of each cell and nothing else: (B, L, channels)."""
    return F.adaptive_avg_pool2d(images, (rows, columns)).flatten(2).transpose(1, 2)


@pytest.mark.parametrize("count", range(2, len(CROPS) + 1))
@pytest.mark.parametrize(("rows", "columns"), [(7, 7), (5, 8), (14, 14)])
def test_every_cell_keeps_its_place(count, rows, columns):
    """Of a slope, which any cell in a wrong place would show; nothing is mirrored."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 224), torch.linspace(0, 1, 224), indexing="ij")
    slopes = torch.stack([y, x, y + 2 * x])[None].repeat(2, 1, 1, 1)
    crops = MultiCrop(count, (rows, columns))
    seen = means(crops.cut(slopes), rows, columns)
    found, pooled = crops.average(seen, seen.mean(1))
    expected = means(slopes, rows, columns)
    # At the edge of a part the nearest cell is taken for what lies up to half a cell beyond.
    assert (found - expected).abs().max() < 2 / min(rows, columns) / 3
    inner = (found - expected).unflatten(1, (rows, columns))[:, 2:-2, 2:-2]
    assert inner.abs().max() < 0.01
    assert pooled.shape == (2, 3)


def test_an_even_picture_stays_as_it_is():
    crops = MultiCrop(len(CROPS), (7, 7))
    even = torch.full((1, 3, 60, 90), 0.25)
    grid, pooled = crops.average(means(crops.cut(even), 7, 7), torch.full((len(CROPS), 4), 2.0))
    assert torch.allclose(grid, torch.full((1, 49, 3), 0.25), atol=1e-6)
    assert torch.allclose(pooled, torch.full((1, 4), 2.0))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_features_are_the_mean_of_those_of_the_crops(name):
    plain = load_backbone(name, "random", image_size=64)
    several = plain.with_crops(3)
    pixels = torch.stack([plain.pixels(draw(number)) for number in range(3)])
    crops = several.crops
    assert crops is not None
    assert plain.crops is None
    with torch.inference_mode():
        own = [plain.network.forward_features(one) for one in crops.cut(plain.normalise(pixels)).split(3)]
    alone = [plain.pool(one) for one in own]
    grid, pooled = several(pixels)
    assert torch.allclose(pooled.float(), sum(alone) / 3, rtol=2e-3, atol=2e-3)
    assert not torch.allclose(pooled.float(), alone[0], rtol=2e-3, atol=2e-3)
    encoded, _ = several.encode(pixels)
    assert torch.allclose(grid.float(), encoded, rtol=2e-3, atol=2e-3)
    assert several.with_crops(1)(pixels)[0].equal(plain(pixels)[0])


def test_features_of_one_crop_keep_their_key_and_those_of_several_have_their_own(store, images_folder):
    plain = load_backbone("test_resnet", "random", image_size=64)
    several = plain.with_crops(2)
    assert "crops" not in plain.description.for_store()
    assert several.description.for_store() == plain.description.for_store() | {"crops": 2}
    images = [AnnotatedImage(path.name, path) for path in sorted(images_folder.iterdir())]
    found = [extract_features(images, one, store, console=None).grid() for one in (plain, several)]
    assert not np.array_equal(*found)
    pixels = torch.stack([plain.pixels(image.path) for image in images])
    assert np.allclose(found[1], several(pixels)[0].numpy(), rtol=2e-3, atol=2e-3)


def test_several_networks_crop_alike():
    names = ("test_efficientnet", "test_convnext")
    joint = JointBackbone([load_backbone(name, "random", image_size=64) for name in names])
    seen = joint.with_crops(3)
    assert [part.description.crops for part in seen.parts] == [3, 3]
    assert joint.with_crops(1) is joint
    assert seen(torch.zeros(2, 3, 64, 64, dtype=torch.uint8))[0].shape == (2, *joint.description.grid_shape)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A captioner trained on drawn scenes, whose model takes two crops."""
    folder = tmp_path_factory.mktemp("scenes")
    write_captions_dataset(folder, language="en", count=60, seed=0)
    out = folder / "run"
    rare = {"image_size": 64, "hidden_dim": 32, "augmentations": 0, "scst_epochs": 0, "test_crops": 2}
    asked = ["--out", str(out), "--store", str(folder / "store"), "--backbone", "test_resnet"]
    more = ["--weights", "random", "--epochs", "2", *settings_file(**rare)]
    assert cli.run(["train-captioner", str(folder / "captions.json"), *asked, *more]) in ENDED
    return out


def predictions(run):
    lines = (run / "predictions-val.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["image"]: line["caption"] for line in map(json.loads, lines)}


def test_a_model_crops_wherever_it_is_used(run, tmp_path):
    model = load_model(run / "model")
    assert model.config.backbone.crops == 2
    assert model.backbone.crops is not None
    trained = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert trained["backbone"].get("crops", 1) == 1  # what it learnt from
    said = predictions(run)
    assert cli.run(["evaluate", str(run), "--split", "val", "--store", str(tmp_path / "store")]) == 0
    assert predictions(run) == said
    name, caption = next(iter(said.items()))
    assert showtell.load(run)(run.parent / name).text == caption
    save_model(tmp_path / "copy", model)
    assert load_model(tmp_path / "copy").config == model.config


def test_an_export_crops(run, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    record = showtell.export(showtell.Export(run, out=tmp_path / "out", num_images=4))
    assert record["graphs"]["same"] == 4


def test_a_training_that_goes_on_learns_from_the_plain_image(run, tmp_path):
    out, rare = tmp_path / "on", {"augmentations": 0, "scst_epochs": 0, "test_crops": 1}
    asked = ["--from", str(run), "--epochs", "1", "--out", str(out), "--store", str(tmp_path / "store")]
    data = str(run.parent / "captions.json")
    assert cli.run(["train-captioner", data, *asked, *settings_file(**rare)]) in ENDED
    assert load_model(out / "model").config.backbone.crops == 1


def test_one_little_network_may_crop():
    """Where crops may pay, as measured: neither with several networks, nor a large one, nor a few photos."""
    little = load_backbone("test_resnet", "random", image_size=64)
    names = ("test_efficientnet", "test_convnext")
    two = JointBackbone([load_backbone(name, "random", image_size=64) for name in names])
    large = load_backbone("resnet50", "random", image_size=64)
    asked = TrainCaptioner("photos")
    assert [crops_to_try(asked, one, 30) for one in (little, two, large)] == [len(CROPS), 1, 1]
    assert crops_to_try(asked, little, 29) == 1
    asked = TrainCaptioner("photos", test_crops=2)
    assert [crops_to_try(asked, one, 5) for one in (little, two, large)] == [2, 2, 2]


@pytest.mark.parametrize(("score", "kept"), [(9.0, len(CROPS)), (0.0, 1)])
def test_crops_are_kept_where_validation_is_better_with_them(tmp_path, monkeypatch, capsys, score, kept):
    """Drawn scenes tell where things are and how many, which crops blur: a model lost by them, unseen."""
    monkeypatch.setattr(CaptionTask, "score", lambda task, features: score)
    monkeypatch.setattr(CaptionTask, "validate", lambda task: {"score": 0.5, "cider_d": 0.5})
    write_captions_dataset(tmp_path, language="en", count=400, seed=0)
    rare = {"image_size": 64, "hidden_dim": 32, "augmentations": 0, "scst_epochs": 0, "hflip": False}
    asked = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store"), "--backbone", "test_resnet"]
    more = ["--weights", "random", "--epochs", "1", *settings_file(**rare)]
    assert cli.run(["train-captioner", str(tmp_path / "captions.json"), *asked, *more]) in ENDED
    assert f"{'crops' if kept > 1 else 'whole images'} are kept" in capsys.readouterr().err
    assert load_model(tmp_path / "run").config.backbone.crops == kept


@pytest.mark.parametrize("crops", [0, len(CROPS) + 1])
def test_other_numbers_of_crops_are_refused(crops):
    with pytest.raises(ConfigError, match="test_crops"):
        TrainCaptioner("photos", test_crops=crops)
    assert dataclasses.replace(TrainCaptioner("photos"), test_crops=len(CROPS)).test_crops == len(CROPS)
