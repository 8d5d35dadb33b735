"""OpenVINO fills a space of its own with what torch would see, and nobody else needs it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from conftest import old_images
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.engines import onnx
from showtell.engines import openvino as engine
from showtell.errors import ConfigError, MissingExtraError, ModelError
from showtell.extraction.extract import extract_features
from showtell.store.store import FeatureStore

pytest.importorskip("openvino")
pytest.importorskip("onnxscript")

QUIET = Console(quiet=True)


def network(name="openvino", precision="float32", architecture="mobilenetv3_small_050", side=32):
    return load_backbone(architecture, "random", image_size=side, engine=name, precision=precision)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[AnnotatedImage]:
    return old_images(tmp_path_factory.mktemp("사진"), 20)


def rows_of(features) -> list[np.ndarray]:
    names = sorted(features.names)
    found = features.grid(names), features.pooled(names)
    return [values.astype(np.float32).reshape(-1, values.shape[-1]) for values in found]


def cosines(one, other) -> np.ndarray:
    return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize(("architecture", "side"), [("mobilenetv3_small_050", 32), ("test_vit2", None)])
def test_features_are_those_of_torch_but_for_rounding(images, tmp_path, architecture, side):
    mine, theirs = (
        extract_features(images, network(name, "float32", architecture, side), FeatureStore(tmp_path))
        for name in ("openvino", "torch")
    )
    assert mine.space.id != theirs.space.id
    for one, other in zip(rows_of(mine), rows_of(theirs)):
        assert cosines(one, other).min() > 0.99999


def test_bfloat16_is_rougher_and_a_space_of_its_own(images, tmp_path):
    plain, rough = (
        extract_features(images, network(precision=one), FeatureStore(tmp_path))
        for one in ("float32", "bfloat16")
    )
    assert plain.space.id != rough.space.id
    one, other = rows_of(plain)[1], rows_of(rough)[1]
    assert cosines(one, other).min() > 0.99 and not np.array_equal(one, other)


def test_the_graph_is_written_once_and_features_do_not_depend_on_company(images, tmp_path, monkeypatch):
    store = FeatureStore(tmp_path / "one")
    whole = extract_features(images[:15], network(), store)
    monkeypatch.setattr(onnx, "write_encoder", lambda *_: pytest.fail("the graph was written again"))
    assert extract_features(images, network(), store).computed == 5
    monkeypatch.undo()
    alone = extract_features(images[7:8], network(), FeatureStore(tmp_path / "other"))
    assert np.array_equal(alone.pooled(["07.png"]), whole.pooled(["07.png"]))


def test_no_thread_of_several_makes_the_first_call(tmp_path, monkeypatch):
    """First calls that come together end in a deadlock, one time in ten."""
    called, encode = [], engine.OpenVinoEngine.encode

    def noted(self, pixels):
        found = encode(self, pixels)
        called.append((threading.get_ident(), *(part.shape[0] for part in found)))
        return found

    monkeypatch.setattr(engine.OpenVinoEngine, "encode", noted)
    engine.OpenVinoEngine(network(), tmp_path, (), QUIET)
    assert called == [(threading.get_ident(), 1, 1)]


def test_threads_do_not_mix_their_batches(tmp_path):
    built = engine.OpenVinoEngine(network(), tmp_path, (), QUIET)
    batches = [torch.full((4, 3, 32, 32), level, dtype=torch.uint8) for level in range(0, 250, 10)]
    expected = [built.encode(batch) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(built.encode, batches))
    for one, other in zip(found, expected):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


def test_what_cannot_be_run_is_said_and_a_damaged_graph_is_written_again(tmp_path, monkeypatch):
    backbone = network()
    with pytest.raises(ConfigError, match="on the processor; there is a faster device, meta"):
        engine.OpenVinoEngine(network().to("meta"), tmp_path, (), QUIET)
    (tmp_path / "network.onnx").write_bytes(b"half a graph")
    assert engine.OpenVinoEngine(backbone, tmp_path, (), QUIET).encode(
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    )
    (tmp_path / "network.onnx").unlink()
    monkeypatch.setattr(onnx, "write_encoder", lambda backbone, path, _: path.write_bytes(b"nonsense"))
    with pytest.raises(ModelError, match="OpenVINO cannot run mobilenetv3_small_050"):
        engine.OpenVinoEngine(backbone, tmp_path, (), QUIET)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--engine openvino needs .*\n.*\[openvino\]"):
        engine.OpenVinoEngine(backbone, tmp_path, (), QUIET)
