"""Fine-tuning: which layers learn and how fast, frozen statistics, exact resume, honest weights."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from conftest import ENDED, draw, settings_file, shared
from showtell import cli
from showtell.backbones.backbone import Backbone
from showtell.backbones.layers import layers_from, layers_of
from showtell.backbones.weights import load_backbone
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, ModelError
from showtell.kinds.classifier.fine_tune import (
    FineTuneTask,
    LabelledImages,
    TunedClassifier,
)
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.fine_tune import lr_scales
from showtell.kinds.model_folder import load_model
from showtell.models.heads import HeadConfig, build_head
from showtell.training.checkpoint import load_tensors
from showtell.training.loop import Loop
from showtell.training.schedule import LoopConfig


@pytest.fixture(scope="module")
def mobilenet() -> Backbone:
    """As in the notes: padded as in TensorFlow, which Keras's numbers count."""
    weights = shared("weights", "mobilenetv2_100_tf")
    return load_backbone(weights=str(weights), image_size=64)


def test_numbers_are_those_of_keras(mobilenet):
    """Its summary of MobileNetV2 has 155 layers; block_11 expands at 99, and Conv_1 is the 152nd."""
    numbers = {layer.name: layer.number for layer in layers_of(mobilenet)}
    assert numbers["blocks.4.1.conv_pw"] == 99
    assert layers_from(mobilenet, "100")[0].name == "blocks.4.1.bn1"
    assert numbers["conv_head"] == 152
    assert numbers["bn2"] == 153  # and the activation behind it is 154, the last


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("0", "conv_stem"),
        ("1.0", "conv_stem"),
        ("blocks.5", "blocks.5.0.conv_pw"),
        ("blocks.5.1.conv_dw", "blocks.5.1.conv_dw"),
        ("stage1", "conv_stem"),
        ("stage5", "blocks.5.0.conv_pw"),
        ("conv_head", "conv_head"),
    ],
)
def test_layers_are_named_by_number_share_stage_and_name(mobilenet, start, first):
    chosen = layers_from(mobilenet, start)
    assert chosen[0].name == first
    assert chosen[-1].name == "bn2"
    assert [layer.number for layer in chosen] == sorted(layer.number for layer in chosen)


def test_a_share_is_of_the_layers(mobilenet):
    assert len(layers_from(mobilenet, "0.25")) == len(layers_of(mobilenet)) / 4
    assert len(layers_from(mobilenet, ".5")) == len(layers_of(mobilenet)) / 2


@pytest.mark.parametrize("start", ["999", "stage9", "blocks.77", "0.0", "", "-3"])
def test_a_place_that_is_not_there_is_explained(mobilenet, start):
    with pytest.raises(ConfigError, match=f"--fine-tune {start} names no layer of mobilenetv2_100") as caught:
        layers_from(mobilenet, start)
    assert "a stage or a name." in caught.value.hint


def test_other_families_have_layers_in_order_too():
    names = [layer.name for layer in layers_of(load_backbone("test_vit", "random"))]
    assert names[0] == "patch_embed.proj"
    assert names.index("blocks.0.attn.qkv") < names.index("blocks.1.attn.qkv")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[AnnotatedImage]:
    folder = tmp_path_factory.mktemp("tune")
    for number in range(12):
        draw(number, 64).save(folder / f"{number}.png")
    return [
        AnnotatedImage(path.name, path, label=str(i % 2)) for i, path in enumerate(sorted(folder.iterdir()))
    ]


def tuned(images: list[AnnotatedImage], start: str) -> tuple[TunedClassifier, FineTuneTask, LoopConfig]:
    torch.manual_seed(0)
    backbone = load_backbone("test_efficientnet", "random", image_size=64)
    head = build_head(HeadConfig("mlp", backbone.description.pooled_dim, 2))
    layers = layers_from(backbone, start)
    network = TunedClassifier(backbone, head, [layers])
    labels = torch.tensor([int(image.label) for image in images])
    task = FineTuneTask(
        network,
        LabelledImages(images[:8], labels[:8]),
        LabelledImages(images[8:], labels[8:]),
        TrainClassifier(Path("x"), fine_tune=start, batch_size=3, seed=4),
    )
    config = LoopConfig(3, learning_rate=0.01, ema=0.9, checkpoint_seconds=0, lr_scale=lr_scales(network))
    return network, task, config


def train(images: list[AnnotatedImage], folder: Path, console, *, resume: bool = False) -> TunedClassifier:
    network, task, config = tuned(images, "0.4")
    Loop(task, config, folder, fingerprint="f", console=console).run(resume=resume)
    return network


@pytest.fixture
def console():
    from showtell.console import Console

    return Console(quiet=True)


def test_only_the_top_changes_and_statistics_stay(images, tmp_path, console):
    before = tuned(images, "0.4")[0]
    after = train(images, tmp_path, console)
    layers = {
        layer.name
        for layer in layers_from(load_backbone("test_efficientnet", "random", image_size=64), "0.4")
    }
    changed = set()
    for (name, old), new in zip(
        before.backbone.network.state_dict().items(), after.backbone.network.state_dict().values()
    ):
        if not torch.equal(old, new):
            changed.add(name)
            assert name.rpartition(".")[0] in layers, name
            assert "running" not in name
    assert changed
    assert not torch.equal(before.head.layers[0].weight, after.head.layers[0].weight)
    assert not any(module.training for module in after.train().backbone.modules())


def test_the_rate_falls_from_the_head_down(images):
    network, _, config = tuned(images, "0.4")
    shares = [
        config.lr_scale[name]
        for name, p in network.named_parameters()
        if p.requires_grad and "backbone" in name
    ]
    assert max(shares) == TrainClassifier.top_share < 1
    assert min(shares) == pytest.approx(TrainClassifier.bottom_share)
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    assert not frozen & config.lr_scale.keys()


def test_a_training_that_stops_anywhere_goes_on_exactly(images, tmp_path, console):
    whole = train(images, tmp_path / "whole", console)
    _, task, config = tuned(images, "0.4")
    steps = 0
    loss = task.loss

    def stopping(epoch: int, index: int):
        nonlocal steps
        steps += 1
        if steps == 5:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return loss(epoch, index)

    task.loss = stopping  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Loop(task, config, tmp_path / "cut", fingerprint="f", console=console).run(resume=False)
    resumed = train(images, tmp_path / "cut", console, resume=True)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values()):
        assert torch.equal(one, other), name
    curves = [
        [json.loads(line) for line in (tmp_path / part / "metrics.jsonl").read_text().splitlines()]
        for part in ("whole", "cut")
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 9 + 3


def test_batches_are_a_function_of_seed_epoch_and_index(images):
    network, first, _ = tuned(images, "0.4")
    _, second, _ = tuned(images, "0.4")
    network.eval()
    second.network.eval()
    values = [first.loss(*at)[0].item() for at in ((0, 0), (0, 1), (0, 2), (1, 0))]
    assert second.loss(1, 0)[0].item() == values[3]
    assert second.loss(0, 1)[0].item() == values[1]
    assert len(set(values)) == 4


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    for number in range(24):
        colour = ("red", "blue")[number % 2]
        path = folder / colour / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        image = draw(number, 64)
        image.paste(colour, (0, 0, 40, 40))
        image.save(path)
    return folder


def arguments(classes: Path, out: Path, *more: str) -> list[str]:
    settings = "--backbone test_efficientnet --weights random --epochs 2"
    return [
        "train-classifier",
        str(classes),
        "--out",
        str(out),
        *settings.split(),
        *settings_file(image_size=64, batch_size=8),
        *more,
    ]


def test_the_command_leaves_a_model_whose_weights_are_its_own(classes, tmp_path, capsys, monkeypatch):
    # However the frozen head did, the tuned one is kept here.
    monkeypatch.setattr("showtell.kinds.classifier.train.best_of", lambda found: found[0])
    assert cli.run(arguments(classes, tmp_path / "run", "--fine-tune", "0.3", "--head", "linear")) == 0
    model = load_model(tmp_path / "run")
    assert isinstance(model, ClassifierModel)
    frozen = load_backbone("test_efficientnet", "random", image_size=64)
    assert model.backbone.description.weights != frozen.description.weights
    assert "fine-tuned from" in model.backbone.description.weights_source
    assert cli.run(["evaluate", str(tmp_path / "run"), "--split", "val"]) == 0
    said = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    tensors, _ = load_tensors(tmp_path / "run" / "checkpoints" / "best.safetensors")
    assert any(name.startswith("backbone.network.") for name in tensors)
    assert said["images"] > 0
    capsys.readouterr()


def test_a_worse_tuning_is_not_kept(classes, tmp_path, capsys):
    out = tmp_path / "run"
    harsh = ["--fine-tune", "0.3", "--epochs", "1", *settings_file(image_size=64, learning_rate=0.9)]
    assert cli.run(arguments(classes, out, *harsh)) == 0
    frozen = load_backbone("test_efficientnet", "random", image_size=64)
    model = load_model(out)
    told = capsys.readouterr().err
    table = [line for line in told.splitlines() if "<- chosen" in line]
    assert ("fine-tuned" in table[-1]) == (model.backbone.description.weights != frozen.description.weights)


def test_the_nearest_neighbour_to_beat_is_that_of_the_frozen_network(tmp_path, monkeypatch):
    for number in range(48):
        colour = ("red", "blue")[number % 2]
        folder = tmp_path / "data" / ("val" if number % 3 == 0 else "train") / colour
        folder.mkdir(parents=True, exist_ok=True)
        image = draw(number, 64)
        image.paste(colour, (0, 0, 8, 8))  # hardly seen by the frozen network
        image.save(folder / f"{number}.png")
    monkeypatch.setattr("showtell.kinds.classifier.train.best_of", lambda candidates: candidates[0])
    tuned = {"learning_rate": 0.005, "top_share": 1.0, "bottom_share": 1.0, "ema_decay": 0.0}
    network = ["--backbone", "test_efficientnet", "--weights", "random", "--head", "linear"]
    found, weights = [], []
    for name, more in (("frozen", {}), ("tuned", {"fine_tune": "0.9", "epochs": 3, **tuned})):
        out = tmp_path / name
        command = ["train-classifier", str(tmp_path / "data"), "--out", str(out), *network]
        assert cli.run([*command, *settings_file(image_size=64, **more)]) in ENDED
        said = json.loads((out / "evaluation-val.json").read_text("utf-8"))
        found.append(said["against"]["the nearest neighbour's class"]["accuracy"])
        weights.append(load_model(out).backbone.description.weights)
    assert weights[0] != weights[1], "the tuned network is kept"
    assert found[0] == found[1]


def test_a_wrong_layer_is_told_before_any_work(classes, tmp_path, capsys):
    assert cli.run(arguments(classes, tmp_path / "run", "--fine-tune", "blocks.99")) == 2
    said = capsys.readouterr().err
    assert "--fine-tune blocks.99 names no layer of test_efficientnet" in said
    assert "Encoding" not in said


def test_neighbours_cannot_be_tuned_through(classes, tmp_path):
    with pytest.raises(ConfigError, match="cannot train through --head knn"):
        TrainClassifier(data=classes, fine_tune="0.3", head="knn")


@pytest.mark.parametrize(
    "given", [{"batch_size": 8}, {"learning_rate": 0.01}, {"patience": 2}, {"label_smoothing": 0.3}]
)
def test_what_only_fine_tuning_heeds_is_refused_without_it(given):
    """No head would be fitted in another way."""
    (name,) = given
    with pytest.raises(ConfigError, match=f"{name} is about fine-tuning"):
        TrainClassifier(data=Path("x"), **given)
    assert TrainClassifier(data=Path("x"), fine_tune="0.3", **given)


def test_a_changed_tuned_backbone_is_refused(classes, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.run(arguments(classes, out, "--fine-tune", "0.3", "--head", "linear")) == 0
    other = tmp_path / "other"
    shutil.copytree(out / "model", other)
    config = json.loads((other / "config.json").read_text("utf-8"))
    config["backbone"]["weights"] = "0" * 64
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError):
        load_model(other)
    capsys.readouterr()
