"""What the demo's model said is corrected on the page, and kept in its run's folder with the image."""

import json
import shlex
from pathlib import Path

import pytest

from conftest import draw, encoded
from serving import make_captioner, make_classifier, running, served
from showtell.data.answers import PERSON
from showtell.kinds.model_folder import load
from showtell.runs.corrections import Corrections
from showtell.runs.run import Run
from showtell.serving.api import build_app
from showtell.serving.settings import Demo

CAPTIONS = ["a dog runs", "a cat sits"]


@pytest.fixture
def runs(tmp_path) -> tuple[Path, Path]:
    """Return the runs of a captioner and of a classifier, which know their images."""
    found = make_captioner(tmp_path / "말", CAPTIONS), make_classifier(tmp_path / "cats")
    for run in found:
        (run / "images.jsonl").write_text(
            json.dumps({"name": "a.png", "split": "train", "sha256": "00"}) + "\n", "utf-8"
        )
    return found


def demo_of(runs: tuple[Path, Path]):
    settings = Demo(runs=runs, port=0)
    return served(build_app({run.name: load(run) for run in runs}, settings), settings)


def test_a_correction_is_kept_with_its_image(runs):
    image = encoded(draw(3), "png")
    with demo_of(runs) as (client, _):
        assert [one["corrects"] for one in client.get("/v1/models").json()] == [True, True]
        asked = {"model": "말", "right": "a  zebra", "said": "a dog"}
        answer = client.post("/v1/corrections", params=asked, content=image)
        assert answer.status_code == 200 and answer.json()["corrections"] == 1
        learn = answer.json()["learn"]
        assert "train-captioner --from" in learn and learn.endswith(f"--out {shlex.quote(f'{runs[0]}-2')}")
        Path(f"{runs[0]}-2").mkdir()  # that was trained, and the run is corrected further
        learn = client.post("/v1/corrections", params=asked, content=image).json()["learn"]
        assert learn.endswith(f"--out {shlex.quote(f'{runs[0]}-3')}")
        answer = client.post("/v1/corrections", params={"model": "cats", "right": "leo"}, content=image)
        assert "train-classifier --from" in answer.json()["learn"]
        for params, content, status in (
            ({"model": "말", "right": " "}, image, 422),
            ({"model": "말", "right": "a dog"}, b"no image", 422),
            ({"model": "other", "right": "a dog"}, image, 404),
            ({"model": "말", "right": "x" * 2000}, image, 422),
        ):
            assert client.post("/v1/corrections", params=params, content=content).status_code == status
    one, _ = Corrections(Run(runs[0]), "caption").read()
    assert (one.right, one.said, one.image.read_bytes(), one.image.suffix) == (
        "a zebra",
        "a dog",
        image,
        ".png",
    )
    assert Corrections(Run(runs[0]), "caption").table.read()[0].who == PERSON
    assert [one.right for one in Corrections(Run(runs[1]), "label").read()] == ["leo"]


def test_a_server_for_programs_keeps_nothing(runs):
    with running({"x": load(runs[0])}) as (client, _):
        assert client.get("/v1/models").json()[0]["corrects"] is False
        found = client.post("/v1/corrections", params={"model": "x", "right": "a"}, content=b"x")
        assert found.status_code == 404
    assert not (runs[0] / "corrections").exists()


def test_it_is_corrected_on_the_page(runs, browser, tmp_path):
    draw(4).save(tmp_path / "one.png")
    with demo_of(runs) as (client, _):
        page = browser.new_page(locale="en-GB", viewport={"width": 390, "height": 844})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(str(client.base_url))
        page.set_input_files("#file", tmp_path / "one.png")
        page.get_by_role("button", name="Correct it").click()
        page.get_by_label("What is right").fill("a zebra stands")
        page.keyboard.press("Enter")
        page.locator(".hint", has_text="Kept; 1 in all").wait_for()
        assert "--from" in page.locator("code.learn").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.close()
        assert errors == []
    (one,) = Corrections(Run(runs[0]), "caption").read()
    assert one.right == "a zebra stands"
