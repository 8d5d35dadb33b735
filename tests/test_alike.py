"""The demo finds training images that look like the one on show, where they are at hand."""

import io
import os

import pytest
from PIL import Image

import showtell
from conftest import draw, encoded
from serving import running, served, wait_until
from showtell.console import Console
from showtell.kinds.classifier.settings import TrainClassifier
from showtell.kinds.model_folder import load
from showtell.runs.run import Run
from showtell.serving.alike import Alike
from showtell.serving.api import build_app
from showtell.serving.settings import Demo
from showtell.store.store import FeatureStore


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run on drawn images, 16 of which are trained on."""
    root = tmp_path_factory.mktemp("alike")
    for number in range(24):
        split, label = "train" if number < 16 else "val", ("레오", "ming")[number % 2]
        folder = root / "photos" / split / label
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{number:02d}.png"
        draw(number, 320).save(path)
        os.utime(path, (1e9, 1e9))  # a file of this moment would be read again
    network = {"backbone": "test_resnet", "weights": "random", "image_size": 64, "store": root / "store"}
    showtell.train_classifier(
        TrainClassifier(root / "photos", out=root / "run", head="linear", **network), Console(quiet=True)
    )
    return root / "run"


@pytest.fixture
def client(run):
    settings = Demo(runs=(run,), port=0)
    with served(build_app({"run": load(run)}, settings), settings) as (found, _):
        yield found


def test_those_most_like_it_come_first_of_the_training_images_alone(client, run):
    assert client.get("/v1/models").json()[0]["alike"] is True
    asked = run.parent / "photos" / "train" / "ming" / "03.png"
    found = client.post("/v1/alike?model=run", content=asked.read_bytes()).json()
    assert found[0] == {"image": "train/ming/03.png", "similarity": 1.0, "words": "ming"}
    assert len(found) == 12
    assert all(one["image"].startswith("train/") for one in found)
    assert sorted(found, key=lambda one: -one["similarity"]) == found
    other = client.post("/v1/alike?model=run", content=encoded(draw(99), "JPEG")).json()
    assert len(other) == 12 and other[0]["similarity"] < 1
    small = client.get("/v1/alike/image", params={"model": "run", "name": found[0]["image"]})
    assert Image.open(io.BytesIO(small.content)).size == (256, 256)


def test_features_at_hand_by_another_engine_are_not_encoded_again(run, tmp_path):
    pytest.importorskip("onnxruntime")
    network = {"backbone": "test_resnet", "weights": "random", "image_size": 64, "store": tmp_path / "store"}
    settings = TrainClassifier(
        run.parent / "photos", out=tmp_path / "run", head="linear", engine="onnxruntime", **network
    )
    showtell.train_classifier(settings, Console(quiet=True))
    asked = (run.parent / "photos" / "train" / "ming" / "03.png").read_bytes()
    found = Alike(Run(tmp_path / "run"), load(tmp_path / "run")).find(asked)
    assert found[0].image.name == "train/ming/03.png"
    assert [one.description["engine"] for one in FeatureStore(network["store"]).spaces()] == ["onnxruntime"]


def test_nothing_but_training_images_is_sent(client, run):
    client.post("/v1/alike?model=run", content=encoded(draw(1), "PNG"))
    for name in ("val/ming/17.png", "../run/config.json", str(run / "config.json"), ""):
        assert client.get("/v1/alike/image", params={"model": "run", "name": name}).status_code == 404, name
    assert client.post("/v1/alike?model=other", content=encoded(draw(1), "PNG")).status_code == 404
    assert client.post("/v1/alike?model=run", content=b"no image").status_code == 422


def test_a_server_for_programs_and_a_run_whose_data_has_gone_have_none(run, tmp_path):
    with running({"run": load(run)}, runs=(run,)) as (client, _):
        assert client.get("/v1/models").json()[0]["alike"] is False
        assert client.post("/v1/alike?model=run", content=encoded(draw(1), "PNG")).status_code in (404, 405)
    (run.parent / "photos").rename(run.parent / "elsewhere")
    try:
        settings = Demo(runs=(run,), port=0)
        with served(build_app({"run": load(run)}, settings), settings) as (client, _):
            assert client.get("/v1/models").json()[0]["alike"] is False
    finally:
        (run.parent / "elsewhere").rename(run.parent / "photos")


def test_they_are_shown_below_the_answer_on_a_phone(client, browser, tmp_path):
    draw(99).save(tmp_path / "one.png")
    page = browser.new_page(locale="en-GB", viewport={"width": 390, "height": 844})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(str(client.base_url))
    page.set_input_files("#file", tmp_path / "one.png")
    page.get_by_role("button", name="More like this").click()
    shown = page.locator(".alike img")
    wait_until(lambda: shown.evaluate_all("all => all.filter((one) => one.naturalWidth).length") == 12)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".alike figcaption").first.inner_text() in ("레오", "ming")
    page.close()
    assert errors == []
