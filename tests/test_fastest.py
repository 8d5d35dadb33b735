"""What fills the store where that is left open: the fastest engine whose features are torch's."""

import json
import shutil

import msgspec
import numpy as np
import pytest
import torch

from conftest import ENDED, old_images, settings_file
from showtell import cli
from showtell.backbones.description import ENGINES
from showtell.backbones.joint import JointBackbone
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.extraction import fastest
from showtell.extraction.extract import extract_features
from showtell.extraction.fastest import Trial, by_fastest
from showtell.kinds.model_folder import load
from showtell.samples.folders import write_captions_dataset
from showtell.store.store import FeatureStore

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[AnnotatedImage]:
    return old_images(tmp_path_factory.mktemp("사진"), 20)


def network(name="test_resnet", **settings):
    return load_backbone(name, "random", image_size=64, **{"engine": "auto", **settings})


@pytest.fixture
def worth(monkeypatch):
    monkeypatch.setattr(fastest, "WORTH", 0.0)


@pytest.fixture
def trials(monkeypatch):
    """Let trials say what a test says, by engine and precision: images a second, and an error of features."""
    said = {("torch", "float32"): (10.0, 0.0)}
    tried = []

    def fake(backbone, way, pixels, folder):
        tried.append(way)
        (folder / "network.onnx").write_bytes(b"a graph")
        rate, error = said.get(way, (1.0, 0.0))
        torch.manual_seed(0)
        grid, pooled = torch.rand(8, 4, 5), torch.rand(8, 5)
        return Trial(*way, rate, 1.0), (grid + error * torch.randn(8, 4, 5), pooled)

    monkeypatch.setattr(fastest, "_try", fake)
    return said, tried


def chosen(backbone, images, store):
    found = by_fastest(backbone, images, store, QUIET)
    return found.spec.engine, found.spec.precision


def test_the_fastest_faithful_one_is_chosen_once_and_kept(images, tmp_path, worth, trials, monkeypatch):
    said, tried = trials
    said |= {("openvino", "bfloat16"): (99.0, 0.2), ("openvino", "float32"): (30.0, 1e-3)}
    store = FeatureStore(tmp_path)
    assert chosen(network(), images, store) == ("openvino", "float32")
    assert ("onnxruntime", "float32") in tried and ("openvino", "bfloat16") in tried
    tried.clear()
    assert chosen(network(), images, store) == ("openvino", "float32") and not tried
    monkeypatch.setattr(fastest, "processor_name", lambda: "another one")
    said[("openvino", "float32")] = (11.0, 0.0)  # no more than a trial errs by
    assert chosen(network(), images, store) == ("torch", "float32") and tried


def test_what_was_measured_lies_beside_the_features_and_a_damaged_file_is_measured_again(
    images, tmp_path, worth, trials
):
    said, tried = trials
    said[("onnxruntime", "float32")] = (30.0, 0.0)
    store = FeatureStore(tmp_path)
    found = by_fastest(network(), images, store, QUIET)
    path = store.folder_of(found.description.for_store()) / "engine.json"
    kept = json.loads(path.read_text("utf-8"))
    assert [one["engine"] for one in kept["trials"]][:2] == ["torch", "onnxruntime"]
    assert set(kept["versions"]) >= {"torch", "onnxruntime"}
    assert (path.parent / "network.onnx").read_bytes() == b"a graph"
    path.write_bytes(path.read_bytes()[:50])
    tried.clear()
    assert chosen(network(), images, store) == ("onnxruntime", "float32") and tried


def test_torch_does_a_little_work_by_itself_and_nothing_is_kept(images, tmp_path, trials):
    store = FeatureStore(tmp_path / "store")
    assert chosen(network(), images, store) == ("torch", "float32")
    assert trials[1] == [("torch", "float32")] and not store.spaces()


def test_features_at_hand_are_used_whoever_made_them(images, tmp_path, worth, trials, monkeypatch):
    store = FeatureStore(tmp_path)
    by_onnx = network(engine="onnxruntime")
    assert by_onnx.spec.engine == "onnxruntime" and not by_onnx.spec.any_engine
    made = extract_features(images, by_onnx, store)
    assert chosen(network(), images, store) == ("onnxruntime", "float32")
    missing = {"onnxruntime": False}
    monkeypatch.setattr(
        type(ENGINES["torch"]), "is_installed", property(lambda entry: missing.get(entry.package, True))
    )
    found = by_fastest(network(), images, store, QUIET)  # nothing has to be encoded
    assert extract_features(images, found, store).space.id == made.space.id
    more = [*images, AnnotatedImage("copy", shutil.copy2(images[0].path, tmp_path / "copy.png"))]
    assert chosen(network(), more, store) != ("onnxruntime", "float32")


def test_who_asked_for_an_engine_a_precision_or_another_device_gets_it(images, tmp_path, worth, trials):
    store = FeatureStore(tmp_path)
    for settings, way in (
        ({"engine": "torch"}, ("torch", "float32")),
        ({"engine": "openvino"}, ("openvino", "float32")),
        ({"precision": "bfloat16"}, ("torch", "bfloat16")),
        ({"precision": "int8"}, ("onnxruntime", "int8")),
    ):
        assert chosen(network(**settings), images, store) == way
    assert chosen(network().to("meta"), images, store) == ("torch", "float32")
    assert not trials[1]


def test_each_of_several_networks_has_its_own(images, tmp_path, worth, trials):
    trials[0][("onnxruntime", "float32")] = (30.0, 0.0)
    both = JointBackbone([network(), network("test_vit", engine="torch")])
    found = by_fastest(both, images, FeatureStore(tmp_path), QUIET)
    assert [part.spec.engine for part in found.parts] == ["onnxruntime", "torch"]


def test_real_trials_give_features_of_torch(images, tmp_path, worth, monkeypatch):
    monkeypatch.setattr(fastest, "_GAIN", 0.0)  # whoever wins
    backbone, store = network(), FeatureStore(tmp_path)
    found = by_fastest(backbone, images, store, QUIET)
    path = store.folder_of(found.description.for_store()) / "engine.json"
    kept = msgspec.json.decode(path.read_bytes(), type=fastest.Comparison)
    installed = [name for name, entry in ENGINES.items() if entry.is_installed]
    assert {one.engine for one in kept.trials} == set(installed)
    assert all(one.images_per_second > 0 for one in kept.trials)
    exact = [one.cosine for one in kept.trials if one.precision == "float32"]
    assert min(exact) > 0.9999
    expected = extract_features(images, backbone, FeatureStore(tmp_path / "torch")).pooled(images)
    got = extract_features(images, found, store).pooled(images)
    scale = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
    assert ((expected * got).sum(1) / scale).min() > 0.999


def test_a_run_says_what_encoded_it_resumes_with_it_and_its_model_needs_no_engine(
    tmp_path, worth, trials, capsys, monkeypatch
):
    trials[0][("onnxruntime", "float32")] = (30.0, 0.0)
    monkeypatch.setattr(fastest, "write_atomic", lambda path, data, **_: None)  # no graph of a trial
    write_captions_dataset(tmp_path / "data", language="en", count=60, seed=0)
    out, store = tmp_path / "run", ["--store", str(tmp_path / "store")]
    flags = ["--backbone", "test_resnet", "--weights", "random", "--epochs", "1", "--out", str(out), *store]
    flags += settings_file(hidden_dim=16, scst_epochs=0, image_size=64)
    command = ["train-captioner", str(tmp_path / "data/captions.json"), *flags]
    assert cli.run(command) in ENDED, capsys.readouterr().err
    record = json.loads((out / "config.json").read_text("utf-8"))
    assert (record["config"]["engine"], record["backbone"]["engine"]) == ("auto", "onnxruntime")
    monkeypatch.setattr("showtell.kinds.training.by_fastest", lambda *_: pytest.fail("chosen again"))
    assert cli.run([*command, "--resume"]) in ENDED, capsys.readouterr().err
    model = load(out)
    assert (model.backbone.description.engine, model.backbone.spec.any_engine) == ("torch", True)
