"""Features as arrays, whoever encodes: from Python in one call, by another executor, or on a worker."""

import pickle
from multiprocessing import get_context

import numpy as np
import pytest
import safetensors.torch
import torch

import showtell
from showtell.backbones.description import ENGINES, BackboneSpec
from showtell.backbones.weights import build, load_backbone
from showtell.data.images import load_pixels
from showtell.data.records import AnnotatedImage
from showtell.engines.base import find_engine
from showtell.errors import StoreError, WeightsError
from showtell.extraction.executor import Status, encode, read_image
from showtell.extraction.extract import extract_features
from showtell.extraction.plan import plan_extraction

NETWORK = {"backbone": "mobilenetv3_small_050", "weights": "random", "image_size": 32}


def test_arrays_carry_file_names(images_folder, tmp_path):
    found = showtell.features(images_folder, **NETWORK, store=tmp_path)
    assert found.names == sorted(path.name for path in images_folder.iterdir())
    assert len(found) == found.computed == 10
    backbone = load_backbone("mobilenetv3_small_050", "random", image_size=32)
    chosen = ["고양이.jpg", "03.png"]
    pixels = [load_pixels(images_folder / name, backbone.preprocessing) for name in chosen]
    grid, pooled = backbone(torch.stack(pixels))
    np.testing.assert_allclose(found.pooled(chosen), pooled, atol=2e-3)
    np.testing.assert_allclose(found.grid(chosen), grid, atol=2e-3)
    assert found.pooled().shape == (10, pooled.shape[1]) and found.grid().shape == (10, *grid.shape[1:])
    rows = [found.names.index(name) for name in chosen]
    assert np.array_equal(found.pooled()[rows], found.pooled(chosen))
    assert np.array_equal(
        found.grid()[rows], found.grid([AnnotatedImage(n, images_folder / n) for n in chosen])
    )
    (space,) = showtell.FeatureStore(tmp_path).spaces()
    assert (space.id, space.records) == (found.space.id, 10)


def test_what_cannot_be_read_is_named_and_a_second_call_encodes_nothing(images_folder, tmp_path):
    for number, path in enumerate(sorted(images_folder.iterdir())[:3]):
        (tmp_path / "p" / f"{number}.png").parent.mkdir(exist_ok=True)
        (tmp_path / "p" / f"{number}.png").write_bytes(path.read_bytes())
    (tmp_path / "p" / "bad.png").write_bytes(b"<html>404</html>")
    for computed in (3, 0):
        found = showtell.features(str(tmp_path / "p"), **NETWORK, store=tmp_path / "store")
        assert found.names == ["0.png", "1.png", "2.png"]
        assert [problem.where for problem in found.unreadable] == ["bad.png"]
        assert found.computed == computed
    with pytest.raises(KeyError):
        found.pooled(["bad.png"])


class OneByOne:
    """The least that an executor is."""

    def pace(self, plan, backbone, engine):
        return 0.0

    def run(self, plan, backbone, engine):
        for waiting in plan.waiting:
            item = read_image(waiting, plan, backbone.preprocessing)
            if item.pixels is not None:
                grid, pooled = encode(engine, [item.pixels], 16)
                key = plan.key_of(item.digest)
                plan.commit([key], grid.numpy(), pooled.numpy(), [(item.stamp, item.digest)])
            yield Status(item.image, item.digest, item.pixels is not None, item.reason)


def test_another_executor_gives_the_same_features(images_folder, tmp_path):
    backbone = load_backbone("mobilenetv3_small_050", "random", image_size=32)
    images = [AnnotatedImage(path.name, path) for path in sorted(images_folder.iterdir())]
    images.append(AnnotatedImage("missing", tmp_path / "no.png"))
    one, many = (
        extract_features(images, backbone, showtell.FeatureStore(tmp_path / name), executor=executor)
        for name, executor in (("one", OneByOne()), ("many", None))
    )
    assert one.names == many.names
    assert one.computed == many.computed == 10
    assert one.unreadable == many.unreadable != []
    assert one.grid().tobytes() == many.grid().tobytes()
    assert one.pooled().tobytes() == many.pooled().tobytes()


def test_a_plan_holds_what_is_missing_and_no_more(images_folder, store):
    backbone = load_backbone("mobilenetv3_small_050", "random", image_size=32)
    images = [AnnotatedImage(path.name, path) for path in sorted(images_folder.iterdir())]
    extract_features(images[:4], backbone, store)
    space = store.space(backbone.description.for_store())
    plan = plan_extraction(images, store, space)
    fresh = {one.image.name for one in plan.waiting} - {image.name for image in images[4:]}
    # Files younger than two seconds are read again, as a write could have gone unseen.
    assert fresh | plan.known.keys() == {image.name for image in images[:4]}
    other = store.space({**backbone.description.for_store(), "precision": "bfloat16"})
    assert len(plan_extraction(images, store, other).waiting) == 10


def test_features_that_were_removed_are_missed_by_name(images_folder, tmp_path):
    found = showtell.features(images_folder, **NETWORK, store=tmp_path)
    found.digests["gone.png"] = bytes(32)
    with pytest.raises(StoreError, match="has no record"):
        found.pooled(["gone.png"])


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_what_its_entry_says(name):
    engine = find_engine(name)
    assert (engine.name, engine.precisions) == (name, ENGINES[name].precisions)
    if ENGINES[name].is_installed:
        backbone = load_backbone("test_resnet", "random", image_size=64, engine=name)
        # Words of the store's key: other ones would leave every feature that is kept without its reader.
        words = {"torch": "torch eager, channels last", "onnxruntime": "onnxruntime", "openvino": "openvino"}
        assert backbone.description.for_store()["engine"] == words[name]


def pooled_of(spec: BackboneSpec, pixels: torch.Tensor) -> bytes:
    """Build a backbone as a worker does, and encode."""
    return build(spec)(pixels)[1].numpy().tobytes()


@pytest.mark.parametrize("kind", ["random", "file"])
def test_a_worker_builds_the_same_backbone_from_its_spec(kind, tmp_path):
    backbone = load_backbone("mobilenetv3_small_050", "random", image_size=32, seed=5)
    if kind == "file":
        state = {name: value.contiguous() for name, value in backbone.network.state_dict().items()}
        safetensors.torch.save_file(state, tmp_path / "a.safetensors")
        backbone = load_backbone("mobilenetv3_small_050", str(tmp_path / "a.safetensors"), image_size=32)
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert len(pickle.dumps(backbone.spec)) < 2000
    assert build(backbone.spec).description == backbone.description
    with get_context("spawn").Pool(1) as workers:
        assert workers.apply(pooled_of, (backbone.spec, pixels)) == backbone(pixels)[1].numpy().tobytes()
    if kind == "file":
        state["classifier.bias"] += 1
        safetensors.torch.save_file(state, tmp_path / "a.safetensors")
        with pytest.raises(WeightsError, match="expected"):
            build(backbone.spec)
