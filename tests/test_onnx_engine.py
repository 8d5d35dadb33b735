"""onnxruntime fills a space of its own with what torch would see, and nobody else needs it."""

import json
import shutil

import numpy as np
import pytest

from conftest import ENDED, draw, old_images, settings_file
from showtell import cli, load
from showtell.backbones.backbone import Backbone
from showtell.backbones.weights import load_backbone, restore_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.engines import onnx as onnx_engine
from showtell.errors import ConfigError, MissingExtraError, ModelError
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.samples import write_captions_dataset
from showtell.store.store import FeatureStore

pytest.importorskip("onnxscript")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

INT8 = {"precision": "int8", "engine": "onnxruntime"}


def network(engine: str = "onnxruntime", name: str = "mobilenetv3_small_050") -> Backbone:
    return load_backbone(name, "random", image_size=32, engine=engine)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[AnnotatedImage]:
    return old_images(tmp_path_factory.mktemp("사진"), 20)


@pytest.fixture(scope="module")
def filled(images, tmp_path_factory) -> tuple[FeatureStore, Features]:
    store = FeatureStore(tmp_path_factory.mktemp("store"))
    return store, extract_features(images, network(), store)


def features_of(result: Features) -> tuple[np.ndarray, np.ndarray]:
    names = sorted(result.names)
    grid, pooled = result.grid(names), result.pooled(names)
    return grid.astype(np.float32), pooled.astype(np.float32)


def no_writing(*_: object) -> None:
    raise AssertionError("the graph was written again")


@pytest.mark.parametrize(("name", "side"), [("mobilenetv3_small_050", 32), ("test_vit2", None)])
def test_features_are_those_of_torch_but_for_rounding(images, tmp_path, name, side):
    mine, theirs = (
        extract_features(
            images, load_backbone(name, "random", image_size=side, engine=engine), FeatureStore(tmp_path)
        )
        for engine in ("onnxruntime", "torch")
    )
    assert mine.computed == theirs.computed == len(images)
    assert mine.space.id != theirs.space.id
    for pair in zip(features_of(mine), features_of(theirs)):
        one, other = (values.reshape(-1, values.shape[-1]) for values in pair)
        cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        assert cosines.min() > 0.99999


def test_the_graph_is_written_once_and_features_do_not_depend_on_company(
    images, filled, tmp_path, monkeypatch
):
    store, whole = filled
    assert (whole.space.folder / "network.onnx").is_file()
    new = AnnotatedImage("new.png", tmp_path / "new.png")
    draw(99, 48).save(new.path)
    monkeypatch.setattr(onnx_engine, "write_graph", no_writing)
    assert extract_features([*images, new], network(), store).computed == 1
    monkeypatch.undo()
    alone = extract_features(images[7:8], network(), FeatureStore(tmp_path / "other"))
    for one, all_of_them in zip(features_of(alone), features_of(whole)):
        assert np.array_equal(one[0], all_of_them[7])


def test_a_writing_that_was_stopped_or_damaged_is_done_again(images, tmp_path, monkeypatch):
    def stopped(source, path, metadata):
        path.write_bytes(b"half a graph")
        raise KeyboardInterrupt

    store = FeatureStore(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(onnx_engine, "write_graph", stopped)
        extract_features(images, network(), store)
    folder = store.space(network().description.for_store()).folder
    assert list(folder.glob("network*")) == []
    (folder / "network.onnx").write_bytes(b"half a graph")
    assert extract_features(images, network(), store).computed == len(images)


def test_what_cannot_be_run_is_said(images, tmp_path, monkeypatch):
    def nonsense(source, path, metadata):
        path.write_bytes(b"nonsense")

    with monkeypatch.context() as patch, pytest.raises(ModelError, match="cannot run mobilenetv3_small_050"):
        patch.setattr(onnx_engine, "write_graph", nonsense)
        extract_features(images, network(), FeatureStore(tmp_path))
    quiet = Console(quiet=True)
    with pytest.raises(ConfigError, match="on the processor only"):
        onnx_engine.OnnxEngine(network().to("meta"), tmp_path, (), quiet)
    backbone = network()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--engine onnxruntime needs .*\n.*\[export\]"):
        onnx_engine.OnnxEngine(backbone, tmp_path, (), quiet)


def test_removing_a_space_removes_its_graph(images, tmp_path):
    store = FeatureStore(tmp_path)
    result = extract_features(images[:1], network(), store)
    folder, name = result.space.folder, result.space.id
    del result
    store.remove(name)
    assert not folder.exists()


def test_a_run_is_trained_and_evaluated_on_it_and_used_without(images, tmp_path, capsys, monkeypatch):
    data, run, store = tmp_path / "data", tmp_path / "run", ["--store", str(tmp_path / "store")]
    for number, image in enumerate(images):
        path = data / ("train", "val")[number % 4 == 0] / ("even", "odd")[number % 2] / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(image.path, path)
    flags = "--backbone test_resnet --weights random --head linear"
    settings = settings_file(engine="onnxruntime", image_size=32)
    assert cli.run(["train-classifier", str(data), "--out", str(run), *store, *flags.split(), *settings]) == 0
    assert "as a graph for onnxruntime, once" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.run(["evaluate", str(run), "--split", "val", *store]) == 0
    assert "Encoding" not in capsys.readouterr().err  # its features are all there
    model = load(run)
    assert model.backbone.description.engine == "torch"
    lines = (run / "predictions-val.jsonl").read_text("utf-8").splitlines()
    for record in map(json.loads, lines):
        assert model(data / record["image"]).probabilities == pytest.approx(record["classes"], abs=1e-3)
    assert len(lines) == 5


def test_an_engine_without_the_precision_is_refused(tmp_path, capsys):
    for engine, precision in (("onnxruntime", "bfloat16"), ("torch", "int8")):
        assert cli.run(["extract", str(tmp_path), "--engine", engine, "--precision", precision]) == 2
        assert f"--engine {engine} does not compute in {precision}" in capsys.readouterr().err


def test_int8_is_rougher_the_same_everywhere_and_only_for_training(images, tmp_path, capsys):
    whole, rough = network(), load_backbone("mobilenetv3_small_050", "random", image_size=32, **INT8)
    plain = extract_features(images, whole, FeatureStore(tmp_path / "one"))
    results = [extract_features(images, rough, FeatureStore(tmp_path / name)) for name in ("one", "two")]
    assert results[0].space.id == results[1].space.id != plain.space.id
    (grid, pooled), (again, again_pooled) = map(features_of, results)
    assert np.array_equal(grid, again) and np.array_equal(pooled, again_pooled)
    exact = features_of(plain)[1]
    cosines = (pooled * exact).sum(1) / np.linalg.norm(pooled, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosines.min() > 0.9 and not np.array_equal(pooled, exact)
    used = rough.for_inference().description
    assert (used.precision, used.engine) == ("float32", "torch")
    assert used.weights == rough.description.weights
    with pytest.raises(ConfigError, match="torch does not compute in int8"):
        restore_backbone(rough.description, rough.network.state_dict(), "int8")


@pytest.mark.parametrize("kind", ["captioner", "classifier"])
def test_a_run_trained_on_int8_is_scored_and_used_in_float32(tmp_path, kind, capsys):
    out, store = tmp_path / "run", tmp_path / "store"
    if kind == "captioner":
        write_captions_dataset(tmp_path / "data", language="en", count=60, seed=0)
        data = tmp_path / "data/captions.json"
        more, rare = ["--epochs", "1"], {"hidden_dim": 16, "scst_epochs": 0}
    else:
        data, more, rare = tmp_path / "data", ["--head", "linear"], {}
        for number in range(24):
            path = data / ("train", "val")[number % 4 == 0] / ("even", "odd")[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw(number, 48).save(path)
    flags = "--backbone test_resnet --weights random"
    more += settings_file(**rare, image_size=64, engine="onnxruntime", precision="int8")
    places = [str(data), "--out", str(out), "--store", str(store)]
    assert cli.run([f"train-{kind}", *places, *flags.split(), *more]) in ENDED, capsys.readouterr().err
    used = load(out).backbone.description
    assert (used.precision, used.engine) == ("float32", "torch")
    scored = json.loads((out / "evaluation-val.json").read_text("utf-8"))["scores"]
    assert cli.run(["evaluate", str(out), "--split", "val", "--store", str(store)]) == 0
    assert json.loads((out / "evaluation-val.json").read_text("utf-8"))["scores"] == scored
