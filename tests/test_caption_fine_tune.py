"""Fine-tuning under a captioner: what learns when, what stays to the last bit, and which network is kept."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from conftest import ENDED, settings_file
from showtell import cli
from showtell.backbones.backbone import Backbone
from showtell.backbones.joint import JointBackbone
from showtell.backbones.layers import layers_from
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner import train as training
from showtell.kinds.captioner.data import CaptionData, with_views
from showtell.kinds.captioner.fine_tune import FineTuneTask, Top
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.captioner.settings import TrainCaptioner, recipe_for
from showtell.kinds.captioner.task import CaptionTask
from showtell.kinds.fine_tune import lr_scales
from showtell.kinds.model_folder import load_model
from showtell.samples import write_captions_dataset
from showtell.store.store import FeatureStore
from showtell.text.tokenizer import CaptionTokenizer

NETWORK, START = "test_resnet", "layer4"
TWO, THEIR_START = "test_efficientnet,test_vit", "0.4"
"""Grids of 2x2 and of 4x4, of different inputs; their cuts have 8 x 8 and 17 cells."""
FROZEN, TUNED = 4, 4
SMALL = {"image_size": 64, "hidden_dim": 32, "augmentations": 1, "learning_rate": 0.02, "batch_size": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("장면")
    write_captions_dataset(folder, language="en", count=90, seed=0)
    table = json.loads((folder / "captions.json").read_text("utf-8"))
    for image in table["images"]:
        del image["split"]  # so that there may be enough validation images to choose by
    (folder / "captions.json").write_text(json.dumps(table), "utf-8")
    return folder


def train(data: Path, out: Path, *more: str, backbone: str = NETWORK, **rare: object) -> list[str]:
    places = [str(data / "captions.json"), "--out", str(out), "--store", str(data / "store")]
    weights = ",".join("random" for _ in backbone.split(","))
    network = ["--backbone", backbone, "--weights", weights, "--epochs", str(FROZEN), "--val-size", "30"]
    settings = settings_file(**(SMALL | {"fine_tune_epochs": TUNED, "scst_epochs": 0} | rare))
    return ["train-captioner", *places, *network, *settings, *more]


@contextmanager
def rising_scores() -> Iterator[None]:
    """However the frozen network did, the tuned one is kept."""
    with pytest.MonkeyPatch.context() as patch:
        validate = CaptionTask.validate
        scores = iter(range(1, 100))
        patch.setattr(CaptionTask, "validate", lambda task: validate(task) | {"score": float(next(scores))})
        yield


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "run"
    with rising_scores():
        assert cli.run(train(data, out, "--fine-tune", START)) in ENDED
    return out


def lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


def validations(run: Path) -> list[dict]:
    return [line["validation"] for line in lines(run) if "validation" in line]


def test_the_frozen_epochs_are_those_of_a_training_without_fine_tuning(data, tuned, tmp_path):
    assert cli.run(train(data, tmp_path / "run")) in ENDED
    plain, both = (
        [(line["loss"], line["learning_rate"]) for line in lines(run) if "loss" in line]
        for run in (tmp_path / "run", tuned)
    )
    steps = len(plain)
    assert both[:steps] == plain
    assert len(both) == steps * (FROZEN + TUNED) // FROZEN


def test_the_loss_goes_on_falling(tuned):
    losses = [one["train_loss"] for one in validations(tuned)]
    assert len(losses) == FROZEN + TUNED
    assert losses[-1] < losses[FROZEN] < losses[0]
    assert losses[-1] < losses[FROZEN - 1]


def test_only_the_top_changes_and_statistics_stay(tuned):
    frozen = load_backbone(NETWORK, "random", image_size=64)
    layers = {layer.name for layer in layers_from(frozen, START)}
    model = load_model(tuned)
    assert "fine-tuned from layer4" in model.backbone.description.weights_source
    after, changed = model.backbone.network.state_dict(), set()
    for name, old in frozen.network.state_dict().items():
        if not torch.equal(old, after[name]):
            changed.add(name.rpartition(".")[0])
            assert "running" not in name and "num_batches" not in name
    assert changed == layers


def test_the_finished_run_is_a_run_like_any_other(data, tuned, tmp_path, capsys):
    """Its model reloads with the captions of the training, which ran the network in two parts."""
    before = (tuned / "predictions-val.jsonl").read_bytes()
    assert cli.run(["evaluate", str(tuned), "--split", "val", "--store", str(tmp_path / "empty")]) == 0
    assert (tuned / "predictions-val.jsonl").read_bytes() == before
    model = load_model(tuned)
    assert isinstance(model, CaptionerModel)
    said = [json.loads(line) for line in before.decode().splitlines()]
    paths = [next(data.rglob(Path(one["image"]).name)) for one in said[:5]]
    assert [one.text for one in model(paths)] == [one["caption"] for one in said[:5]]
    assert len({one["caption"] for one in said}) > 1
    for command in (["report", str(tuned)], ["export", str(tuned), "--out", str(tmp_path / "onnx")]):
        assert cli.run(command) == 0, capsys.readouterr().err


def test_the_tops_of_two_networks_are_tuned_together(data, tmp_path, capsys):
    run = tmp_path / "run"
    with rising_scores():
        assert cli.run(train(data, run, "--fine-tune", THEIR_START, backbone=TWO)) in ENDED
    said, model = capsys.readouterr().err, load_model(run)
    losses = [one["train_loss"] for one in validations(run)]
    assert losses[-1] < losses[FROZEN] < losses[0]
    for name, part in zip(TWO.split(","), model.backbone.parts, strict=True):
        frozen = load_backbone(name, "random", image_size=64)
        layers = [layer.name for layer in layers_from(frozen, THEIR_START)]
        after = part.network.state_dict()
        changed = {
            parameter.rpartition(".")[0]
            for parameter, old in frozen.network.state_dict().items()
            if not torch.equal(old, after[parameter])
        }
        assert changed <= set(layers) and layers[-1] in changed
        assert f"fine-tuned from {layers[0]} up" in part.description.weights_source
        assert f"Fine-tuning {len(layers)} layers of {name}, from {layers[0]}" in said
    before = (run / "predictions-val.jsonl").read_bytes()
    assert cli.run(["evaluate", str(run), "--split", "val", "--store", str(tmp_path / "empty")]) == 0
    assert (run / "predictions-val.jsonl").read_bytes() == before


def test_where_the_frozen_network_is_better_it_is_kept(data, tmp_path, monkeypatch, capsys):
    validate, scores = CaptionTask.validate, iter([0.1, 0.2, 0.3, 0.9, 0.5, 0.6, 0.7, 0.8])
    monkeypatch.setattr(CaptionTask, "validate", lambda task: validate(task) | {"score": next(scores)})
    assert cli.run(train(data, tmp_path / "run", "--fine-tune", START)) in ENDED
    model, frozen = load_model(tmp_path / "run"), load_backbone(NETWORK, "random", image_size=64)
    assert model.backbone.with_crops(1).description == frozen.description
    assert model.config.provenance.best_epoch == FROZEN
    said = capsys.readouterr().err
    assert "CIDEr-D 0.900 frozen, 0.800 fine-tuned; the frozen network is kept" in said


@pytest.mark.parametrize("start", ["blocks.99", "0.0"])
def test_a_wrong_layer_is_told_before_any_work(data, tmp_path, capsys, start):
    assert cli.run(train(data, tmp_path / "run", "--fine-tune", start)) == 2
    said = capsys.readouterr().err
    assert f"--fine-tune {start} names no layer of {NETWORK}" in said
    assert "Encoding" not in said and not (tmp_path / "run" / "metrics.jsonl").exists()


def test_rates_that_cannot_be_are_refused(data):
    for wrong in (
        {"fine_tune_rate": 0.0},
        {"fine_tune_rate": 2.0},
        {"fine_tune_epochs": 0},
        {"top_share": 2},
    ):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))} .* is out of range"):
            TrainCaptioner(data=data, **wrong)


def test_epochs_of_fine_tuning_are_as_many_as_before_it():
    def epochs(**given: object) -> tuple[int, int]:
        recipe = recipe_for(TrainCaptioner(Path("x"), **given), 6000, 1000)
        return recipe.epochs, recipe.fine_tune_epochs

    assert epochs() == epochs(fine_tune_epochs=3) == (8, 0)
    assert epochs(fine_tune="0.3") == (6, 6)
    assert epochs(fine_tune="0.3", epochs=9, fine_tune_epochs=2) == (9, 2)


def loaded(names: str) -> Backbone:
    parts = [load_backbone(name, "random", image_size=64) for name in names.split(",")]
    return JointBackbone(parts) if len(parts) > 1 else parts[0]


@pytest.fixture(params=[(NETWORK, START), (TWO, THEIR_START)], ids=["one network", "two networks"])
def task(request, data, store) -> FineTuneTask:
    """One epoch each on cached grids, with the top, and by reward."""
    records = json.loads((data / "captions.json").read_text("utf-8"))
    found = sorted((data / "images").iterdir())[:12]
    images = [AnnotatedImage(path.name, path, captions=("a red cat", "two dogs")) for path in found]
    assert records
    names, start = request.param
    backbone, console = loaded(names), Console(quiet=True)
    settings = TrainCaptioner(
        data, epochs=1, fine_tune_epochs=1, scst_epochs=1, batch_size=4, hidden_dim=16, augmentations=1
    )
    features = extract_features(images, backbone, store)
    plain = CaptionData(features, images[:8], images[8:])
    top = Top.of(backbone, start)
    below = top.extract_below(plain, settings, store, console)
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train(["a red cat", "two dogs"], kind="word", vocab_size=16, min_count=1)
    captioner = training.build_captioner(settings, tokenizer, plain)
    return FineTuneTask(captioner, plain, settings, top, below)


def test_the_top_has_gradients_while_it_is_tuned_and_only_then(task):
    backbone = task.network.backbone
    chosen = [
        {id(one) for one in part.network.get_submodule(layer.name).parameters(recurse=False)}
        for part, layers in zip(backbone.parts, task.network.layers, strict=True)
        for layer in layers
    ]
    top: set[int] = set().union(*chosen)
    task.network.train()
    for epoch, expected in ((0, set()), (1, top), (2, set())):
        torch.manual_seed(epoch)
        task.network.zero_grad()
        task.loss(epoch, 0)[0].backward()
        assert {id(one) for one in backbone.parameters() if one.grad is not None} == expected, epoch
        assert any(value.grad is not None for value in task.network.head.parameters())
    assert not any(module.training for module in task.network.backbone.modules())


def test_what_the_top_makes_of_stored_values_are_the_grids(task):
    """Before it is tuned, the top gives the cached grids, and validation captions them alike."""
    images = task.data.validation
    whole, parts = (torch.from_numpy(one.grid(images)).float() for one in (task.data.features, task.features))
    assert (whole - parts).abs().max() < 0.01 * whole.abs().max()
    assert task.features.grid(images).dtype == task.data.features.grid(images).dtype


def test_views_of_a_tuned_epoch_are_drawn_like_those_of_a_frozen_one(task):
    """Each image is read plain, mirrored or in a view, and the values below are of the same view."""
    seed, chosen = task.settings.seed, list(range(8))
    store = FeatureStore(task.data.features.space.folder.parent)
    frozen = loaded(task.data.features.architecture.replace(" + ", ","))
    for epoch in range(6):
        views = [
            [source.view and source.view.name for source in data.sources(chosen, epoch, seed)]
            for data in (with_views(task.data, task.settings, frozen, store, Console(quiet=True)), task.below)
        ]
        assert views[0] == views[1]


def test_the_rate_falls_from_the_decoder_down(task):
    scales = lr_scales(task.network, top=0.5, bottom=0.1)
    trained = [name for name, one in task.network.named_parameters() if one.requires_grad]
    backbone = [name for name in trained if name.startswith("backbone.")]
    assert set(backbone) == scales.keys()
    names = {id(one): name for name, one in task.network.named_parameters()}
    for part, layers in zip(task.network.backbone.parts, task.network.layers, strict=True):
        modules = [part.network.get_submodule(layer.name) for layer in layers]
        order = [scales[names[id(next(module.parameters(recurse=False)))]] for module in modules]
        assert order == sorted(order)
        assert order[-1] == 0.5 and order[0] == pytest.approx(0.1)
