"""Fine-tuning under a captioner: what learns when, what stays to the last bit, and which network is kept."""

import json
from pathlib import Path

import pytest
import torch

from conftest import ENDED, settings_file
from showtell import cli
from showtell.backbones.layers import layers_from
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner import train as training
from showtell.kinds.captioner.data import CaptionData
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


def train(data: Path, out: Path, *more: str, **rare: object) -> list[str]:
    places = [str(data / "captions.json"), "--out", str(out), "--store", str(data / "store")]
    network = ["--backbone", NETWORK, "--weights", "random", "--epochs", str(FROZEN), "--val-size", "30"]
    settings = settings_file(**(SMALL | {"fine_tune_epochs": TUNED, "scst_epochs": 0} | rare))
    return ["train-captioner", *places, *network, *settings, *more]


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "run"
    # However the frozen network did, the tuned one is kept here.
    with pytest.MonkeyPatch.context() as patch:
        validate = CaptionTask.validate
        scores = iter(range(1, 100))
        patch.setattr(CaptionTask, "validate", lambda task: validate(task) | {"score": float(next(scores))})
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


@pytest.fixture
def task(data, store) -> FineTuneTask:
    """One epoch each on cached grids, with the top, and by reward."""
    records = json.loads((data / "captions.json").read_text("utf-8"))
    found = sorted((data / "images").iterdir())[:12]
    images = [AnnotatedImage(path.name, path, captions=("a red cat", "two dogs")) for path in found]
    assert records
    backbone, console = load_backbone(NETWORK, "random", image_size=64), Console(quiet=True)
    settings = TrainCaptioner(
        data, epochs=1, fine_tune_epochs=1, scst_epochs=1, batch_size=4, hidden_dim=16, augmentations=1
    )
    features = extract_features(images, backbone, store)
    plain = CaptionData(features, images[:8], images[8:])
    top = Top.of(backbone, START)
    below = top.extract_below(plain, settings, store, console)
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train(["a red cat", "two dogs"], kind="word", vocab_size=16, min_count=1)
    captioner = training.build_captioner(settings, tokenizer, plain)
    return FineTuneTask(captioner, plain, settings, top, below)


def test_the_top_has_gradients_while_it_is_tuned_and_only_then(task):
    layers = {layer.name for layer in task.network.layers}
    task.network.train()
    for epoch, expected in ((0, set()), (1, layers), (2, set())):
        torch.manual_seed(epoch)
        task.network.zero_grad()
        task.loss(epoch, 0)[0].backward()
        found = {
            name.removeprefix("backbone.network.").rpartition(".")[0]
            for name, value in task.network.named_parameters()
            if value.grad is not None and name.startswith("backbone.")
        }
        assert found == expected, epoch
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
    for epoch in range(6):
        views = [
            [source.view and source.view.name for source in data.sources(chosen, epoch, seed)]
            for data in (training.with_views(task.data, task.settings, *views_of(task)), task.below)
        ]
        assert views[0] == views[1]


def views_of(task: FineTuneTask) -> tuple:
    store = FeatureStore(task.data.features.space.folder.parent)
    return load_backbone(NETWORK, "random", image_size=64), store, Console(quiet=True)


def test_the_rate_falls_from_the_decoder_down(task):
    scales = lr_scales(task.network, top=0.5, bottom=0.1)
    trained = [name for name, one in task.network.named_parameters() if one.requires_grad]
    backbone = [name for name in trained if name.startswith("backbone.")]
    assert set(backbone) == scales.keys()
    assert max(scales.values()) == 0.5 and min(scales.values()) == pytest.approx(0.1)
    order = [scales[f"backbone.network.{layer.name}.weight"] for layer in task.network.layers]
    assert order == sorted(order)
