"""One contract for networks of every family, and weights that are honoured or refused."""

import json
import math
import os
import pickle
import socket
import time
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from conftest import shared
from showtell.backbones import sources
from showtell.backbones.backbone import grid_of, state_hash
from showtell.backbones.settings import BackboneSettings
from showtell.backbones.weights import load_backbone, restore_backbone
from showtell.data.images import load_pixels
from showtell.errors import ConfigError, ModelError, ShowtellError, WeightsError
from showtell.store.description import description_difference

# Network, side of the input, and whether a change in one cell's pixels must change that cell most: in deep
# convolutional networks with random weights each cell sees the whole small image.
FAMILIES = [
    ("mobilenetv2_100", 96, False),
    ("mobilenetv3_small_050", 64, False),
    ("inception_v3", 139, False),
    ("resnet18", 64, False),
    ("convnext_atto", 96, True),
    ("efficientnet_b0", 64, False),
    ("regnetx_002", 96, True),
    ("densenet121", 64, True),
    ("mobilevit_xxs", 128, False),
    ("edgenext_xx_small", 96, True),
    ("mambaout_femto", 96, True),
    ("vit_small_patch14_dinov2", 56, True),
    ("vit_tiny_patch16_224", 64, True),
    ("deit_tiny_distilled_patch16_224", 64, True),
    ("xcit_nano_12_p16_224", 64, True),
    ("cait_xxs24_224", 64, True),
    ("swin_tiny_patch4_window7_224", 64, True),
    ("pvt_v2_b0", 96, True),
    ("mixer_s32_224", 96, False),
]


def noise(count: int, side: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("name", "side", "is_local"), FAMILIES, ids=[row[0] for row in FAMILIES])
def test_contract(name, side, is_local):
    backbone = load_backbone(name, "random", image_size=side)
    description = backbone.description
    assert (description.preprocessing.height, description.preprocessing.width) == (side, side)
    pixels = noise(3, side)
    grid, pooled = backbone(pixels)
    rows, columns = description.grid_size
    assert grid.shape == (3, *description.grid_shape)
    assert rows * columns == description.grid_shape[0] == grid.shape[1]
    assert pooled.shape == (3, description.pooled_dim)
    assert grid.dtype is pooled.dtype is torch.float16
    assert grid.isfinite().all() and pooled.isfinite().all()
    assert not torch.equal(grid[0], grid[1])
    alone_grid, alone_pooled = backbone(pixels[2:])
    scale = grid.float().abs().mean()
    assert (alone_grid[0] - grid[2]).abs().mean() < 0.002 * scale
    assert (alone_pooled[0] - pooled[2]).abs().mean() < 0.002 * pooled.float().abs().mean()
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone.network.training
    assert_places(backbone, side, is_local)
    json.dumps(description.for_store())


def assert_places(backbone, side: int, is_local: bool) -> None:
    """Change one corner of the image after the other: the grid must change where that corner lies."""
    rows, columns = backbone.description.grid_size
    cell = side // rows
    plain = torch.full((1, 3, side, side), 110, dtype=torch.uint8)
    corners = [(0, 0), (0, columns - 1), (rows - 1, 0), (rows - 1, columns - 1)]
    images = plain.repeat(5, 1, 1, 1)
    for i, (row, column) in enumerate(corners):
        top, left = (0 if at == 0 else side - cell for at in (row, column))
        images[i, :, top : top + cell, left : left + cell] = noise(1, cell, seed=i)[0]
    # In float32, where small changes far from the corner are not lost.
    with torch.inference_mode():
        grid = grid_of(backbone.network, backbone.network.forward_features(backbone.normalise(images)))[0]
    change = (grid[:4] - grid[4:]).norm(dim=-1)  # (4, L)
    if is_local:
        assert change.argmax(1).tolist() == [row * columns + column for row, column in corners]
    else:  # at least no row was taken for a column
        right, below = change[1], change[2]
        assert (
            right[columns - 1] * below[(rows - 1) * columns]
            > right[(rows - 1) * columns] * below[columns - 1]
        )


def test_the_same_seed_gives_the_same_network():
    one, same = (load_backbone("mobilenetv3_small_050", "random", image_size=64, seed=3) for _ in range(2))
    other = load_backbone("mobilenetv3_small_050", "random", image_size=64, seed=4)
    assert one.description == same.description
    assert one.description.weights != other.description.weights
    pixels = noise(1, 64)
    assert torch.equal(one(pixels)[0], same(pixels)[0])


def test_random_weights_leave_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_backbone("mobilenetv3_small_050", "random", image_size=32)
    assert torch.equal(torch.rand(3), expected)


def test_normalisation_is_that_of_the_network():
    backbone = load_backbone("mobilenetv3_small_050", "random", image_size=32)
    config = timm.data.resolve_data_config(model=backbone.network)
    pixels = noise(2, 32)
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    assert torch.allclose(backbone.normalise(pixels), (pixels / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "side", "error", "words"),
    [
        ("crossvit_tiny_240", 64, ConfigError, "crossvit_tiny_240 cannot encode 64x64 pixels"),
        (
            "vit_tiny_patch16_224",
            60,
            ConfigError,
            r"60 is not a multiple .* 16 pixels.\nExpected 48 or 64",
        ),
        ("xcit_nano_12_p16_224", 60, ConfigError, "xcit_nano_12_p16_224 cannot be built so"),
        ("resnet18", 16, ConfigError, "image_size 16 is too small"),
        ("pit_ti_224", None, ModelError, "not a grid"),  # gives its class token alone
        ("crossvit_tiny_240", None, ModelError, "several feature maps at once, which are not a grid"),
    ],
)
def test_what_cannot_be_is_refused(name, side, error, words):
    with pytest.raises(error, match=words):
        load_backbone(name, "random", image_size=side)


@pytest.mark.parametrize("given", [None, "random"])
@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("mobilnetv2_100", "mobilenetv2_100"),
        ("inceptionv3", "inception_v3"),
        ("resnet19", "resnet18"),
        ("고양이", "list_models"),
        ("hf_hub:someone/something", "list_models"),  # timm would ask the hub
        ("mobilenetv2_100.no_such_tag", "mobilenetv2_100.ra_in1k"),
    ],
)
def test_unknown_networks_name_similar_ones(name, similar, given, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked the network"))
    with pytest.raises(ConfigError, match="knows no") as caught:
        load_backbone(name, given)
    assert name in caught.value.what
    assert similar in caught.value.hint


def test_without_a_network_missing_weights_are_said_at_once(monkeypatch):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(sources, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    started = time.perf_counter()
    with pytest.raises(WeightsError) as caught:
        load_backbone("resnet18")
    assert time.perf_counter() - started < 5
    assert "resnet18" in caught.value.what
    assert "not in the hub's cache" in caught.value.what
    assert "--weights PATH" in caught.value.hint


@pytest.fixture(scope="module")
def donor():
    return load_backbone("mobilenetv3_small_050", "random", image_size=64, seed=9)


def state_of(donor) -> dict[str, torch.Tensor]:
    """Return the weights as files hold them: contiguous."""
    return {name: value.contiguous() for name, value in donor.network.state_dict().items()}


def local_format(folder: Path, donor, **changes) -> Path:
    """Write a folder in timm's local format."""
    folder.mkdir()
    config = {
        "architecture": "mobilenetv3_small_050",
        "num_classes": 1000,
        "model_args": {},
        "pretrained_cfg": {
            "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear",
            "input_size": [3, 96, 96], "crop_pct": 0.9, "num_classes": 1000,
            "first_conv": "conv_stem", "classifier": "classifier",
        },
    } | changes  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.torch.save_file(state_of(donor), folder / "model.safetensors")
    return folder


def test_timms_local_format_is_honoured(tmp_path, donor):
    folder = local_format(tmp_path / "내 가중치", donor)
    backbone = load_backbone(None, str(folder))
    description = backbone.description
    assert description.architecture == "mobilenetv3_small_050"
    assert description.weights == donor.description.weights
    preprocessing = description.preprocessing
    assert (preprocessing.height, preprocessing.interpolation) == (96, "bilinear")
    assert preprocessing.mean == (0.1, 0.2, 0.3)
    assert preprocessing.std == (0.4, 0.5, 0.6)
    assert load_backbone(None, str(folder), fit="crop").preprocessing.crop_pct == 0.9
    assert load_backbone("mobilenetv3_small_050", str(folder), image_size=64).preprocessing.width == 64


def test_model_arguments_shape_the_network(tmp_path, donor):
    """TensorFlow's padding changes what the same weights see."""
    plain = load_backbone(None, str(local_format(tmp_path / "a", donor)))
    same = load_backbone(None, str(local_format(tmp_path / "b", donor, model_args={"pad_type": "same"})))
    pixels = noise(1, 96)
    assert same.description.model_args["pad_type"] == "same"
    assert not torch.equal(plain(pixels)[0], same(pixels)[0])
    assert description_difference(plain.description.for_store(), same.description.for_store()) == (
        "model_args.pad_type is None there, 'same' here"
    )


def test_a_description_restores_the_same_network(tmp_path, donor):
    folder = local_format(tmp_path / "a", donor, model_args={"pad_type": "same"})
    backbone = load_backbone(None, str(folder))
    state = backbone.network.state_dict()
    restored = restore_backbone(backbone.description, state)
    assert restored.description == backbone.description
    pixels = noise(2, 96)
    assert torch.equal(restored(pixels)[0], backbone(pixels)[0])
    touched = {name: value.clone() for name, value in state.items()}
    touched["classifier.bias"][0] += 1
    with pytest.raises(WeightsError, match="The model's backbone has the weights"):
        restore_backbone(backbone.description, touched)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "hf-hub:somebody/something"}, "there is no such network"),
        ({"architecture": "local-dir:/etc"}, "there is no such network"),
        ({"architecture": "no_such_network"}, "there is no such network"),
        ({"model_args": {"pretrained": True}}, "sets pretrained"),
        ({"model_args": {"pretrained_cfg": {"url": "http://example.invalid/x.pth"}}}, "sets pretrained_cfg"),
        ({"model_args": {"checkpoint_path": "/etc/hosts"}}, "sets checkpoint_path"),
        ({"model_args": {"no_such_argument": 1}}, "no_such_argument"),
    ],
)
def test_a_description_opens_no_file_and_asks_no_host(changes, said, donor, monkeypatch):
    """A model folder may come from anybody."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked the network"))
    described = replace(donor.description, **changes)
    with pytest.raises(WeightsError, match=said):
        restore_backbone(described, state_of(donor))


def test_a_folder_of_weights_opens_no_other_file_and_asks_no_host(tmp_path, donor, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("asked the network"))
    elsewhere = {"source": "hf-hub", "hf_hub_id": "somebody/something", "url": "http://example.invalid/x"}
    elsewhere |= {"file": "/etc/hosts", "input_size": [3, 96, 96]}
    backbone = load_backbone(None, str(local_format(tmp_path / "a", donor, pretrained_cfg=elsewhere)))
    assert backbone.description.weights == donor.description.weights
    for given in ({"pretrained_cfg": {}}, {"checkpoint_path": "/etc/hosts"}):
        with pytest.raises(WeightsError, match=f"sets {next(iter(given))}"):
            load_backbone(None, str(local_format(tmp_path / next(iter(given)), donor, model_args=given)))


def test_the_hash_is_of_values_whatever_file_they_came_from(tmp_path, donor):
    state = state_of(donor)
    torch.save(state, tmp_path / "a.pth")
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "b.pth")
    safetensors.torch.save_file(state, tmp_path / "c.safetensors")
    for file in ("a.pth", "b.pth", "c.safetensors"):
        backbone = load_backbone("mobilenetv3_small_050", str(tmp_path / file), image_size=64)
        assert backbone.description.weights == donor.description.weights, file
        assert donor.description.for_store() == backbone.description.for_store(), file
    assert state_hash({"b": torch.ones(2), "a": torch.zeros(1)}) == state_hash(
        {"a": torch.zeros(1), "b": torch.ones(2)}
    )
    assert state_hash({"a": torch.zeros(2)}) != state_hash({"a": torch.zeros(1, 2)})


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("name", ["evil.pth", "evil.bin", "evil.pt", "evil.pkl", "evil.pth.tar"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, name):
    proof = tmp_path / "it ran"
    for form in ("torch", "pickle"):
        path = tmp_path / f"{form} {name}"
        if form == "torch":
            torch.save({"state_dict": {"weight": torch.ones(1)}, "evil": Evil(proof)}, path)
        else:
            path.write_bytes(pickle.dumps(Evil(proof)))
        with pytest.raises(WeightsError, match="could run code"):
            load_backbone("mobilenetv3_small_050", str(path))
        assert not proof.exists()


def test_a_pickle_inside_a_folder_is_no_better(tmp_path, donor):
    folder = local_format(tmp_path / "f", donor)
    (folder / "model.safetensors").unlink()
    torch.save({"evil": Evil(tmp_path / "it ran")}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="could run code"):
        load_backbone(None, str(folder))
    assert not (tmp_path / "it ran").exists()


@pytest.mark.parametrize("kept", [0, 5, 1000, 0.5, 0.999])
def test_damaged_files_are_refused_by_name(tmp_path, donor, kept):
    state = state_of(donor)
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "a.pth")
    for file in ("a.safetensors", "a.pth"):
        content = (tmp_path / file).read_bytes()
        length = kept if isinstance(kept, int) else int(len(content) * kept)
        (tmp_path / file).write_bytes(content[:length])
        with pytest.raises(WeightsError) as caught:
            load_backbone("mobilenetv3_small_050", str(tmp_path / file))
        assert str(tmp_path / file) in caught.value.what


@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\n", b"[1]"]
)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_files_that_are_no_weights(tmp_path, content, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"a.{suffix}"):
        load_backbone("mobilenetv3_small_050", str(path))


def test_tensors_that_are_no_state(tmp_path):
    for number, content in enumerate(([1, 2], {"a": 3}, torch.ones(3), {"state_dict": None})):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path)
        with pytest.raises(WeightsError, match=f"{number}.pth"):
            load_backbone("mobilenetv3_small_050", str(path))


def test_weights_of_another_network_are_refused(tmp_path, donor):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file(state_of(donor), path)
    with pytest.raises(WeightsError, match=r"does not hold weights of resnet18: .*conv1") as caught:
        load_backbone("resnet18", str(path))
    assert len(str(caught.value)) < 500  # not a list of all parameters
    assert "--backbone" in caught.value.hint


def test_five_classes_where_a_thousand_are_meant(tmp_path, donor):
    state = state_of(donor) | {
        "classifier.weight": torch.ones(5, 1024),
        "classifier.bias": torch.ones(5),
    }
    path = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(state, path)
    with pytest.raises(WeightsError, match=r"classifier"):
        load_backbone("mobilenetv3_small_050", str(path))


def test_folders_that_are_not_in_the_format(tmp_path, donor):
    folder = local_format(tmp_path / "a", donor)
    with pytest.raises(WeightsError, match="holds weights of mobilenetv3_small_050, not of resnet18"):
        load_backbone("resnet18", str(folder))
    for content in (
        "",
        "[]",
        "null",
        "{}",
        '{"architecture": 3}',
        '{"architecture": "x", "pretrained_cfg": 3}',
    ):
        (folder / "config.json").write_text(content)
        with pytest.raises(ShowtellError):
            load_backbone(None, str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"config\.json"):
        load_backbone(None, str(folder))
    odd = local_format(tmp_path / "b", donor, model_args={"no_such_argument": 1})
    with pytest.raises(WeightsError, match="no_such_argument"):
        load_backbone(None, str(odd))
    unknown = local_format(tmp_path / "c", donor, architecture="mobilenetv3_smal_050")
    with pytest.raises(ConfigError, match="knows no network"):
        load_backbone(None, str(unknown))
    (local_format(tmp_path / "d", donor) / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds no model\.safetensors"):
        load_backbone(None, str(tmp_path / "d"))


def test_a_path_that_is_not_there():
    with pytest.raises(WeightsError, match="There are no weights at no/such"):
        load_backbone("resnet18", "no/such.safetensors")


def test_weights_that_are_not_finite_stop_the_extraction_by_name(tmp_path, donor):
    state = {name: value.clone() for name, value in state_of(donor).items()}
    state["conv_stem.weight"][0] = math.nan
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    backbone = load_backbone("mobilenetv3_small_050", str(tmp_path / "a.safetensors"), image_size=64)
    assert backbone(noise(1, 64))[0].isnan().any()  # the store refuses these, see test_store


def test_real_weights_see_cats():
    """ImageNet's own classifier, on our pixels and our pooled features, finds cats where cats are."""
    folder = shared("weights", "mobilenetv2_100_tf")
    photos = sorted(shared("data", "knyang", "Validation").rglob("*.jpg"))[::6]
    backbone = load_backbone(None, str(folder))
    pixels = torch.stack([load_pixels(path, backbone.preprocessing) for path in photos])
    grid, pooled = backbone(pixels)
    assert backbone.description.grid_shape == (49, 1280)
    again_grid, again_pooled = load_backbone(None, str(folder))(pixels)
    assert torch.equal(grid, again_grid)
    assert torch.equal(pooled, again_pooled)
    cats = set(range(281, 286))
    found = backbone.network.get_classifier()(pooled.float()).topk(5).indices
    share = sum(bool(cats & {*row.tolist()}) for row in found) / len(photos)
    assert share >= 0.6, share


def test_settings_load_the_backbone_that_they_name():
    settings = BackboneSettings(backbone="test_resnet", weights="random", image_size=64, resize="crop")
    found = settings.load(seed=3)
    same = load_backbone("test_resnet", "random", image_size=64, fit="crop", seed=3)
    assert found.description == same.description
    with pytest.raises(ConfigError, match="'tpu9' is not available here"):
        replace(settings, device="tpu9").load()
    with pytest.raises(ConfigError, match="does not compute in int8"):
        replace(settings, precision="int8", engine="torch")
