"""The page for teaching, driven in a real browser, with the keyboard and with fingers."""

import base64
import os
import signal
from errno import ENOSPC

import pytest

from conftest import draw, encoded
from pages import NEEDS_BROWSER, Visit, chromium, visits
from serving import served, wait_until
from showtell.backbones.weights import load_backbone
from showtell.data.answers import AnswerTable
from showtell.store.store import FeatureStore
from showtell.teaching.app import build_teaching_app
from showtell.teaching.captioning import Captioning
from showtell.teaching.labels import Labels
from showtell.teaching.pool import Pool, read_pool
from showtell.teaching.settings import Teach
from showtell.teaching.teaching import Teaching
from showtell.teaching.training import Training, write_settings

pytestmark = NEEDS_BROWSER
DROP = """(content) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], "새 사진.png", { type: "image/png" }));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  document.body.dispatchEvent(new DragEvent("drop", options));
}"""
IMAGES = 30


class Person(Visit):
    """Somebody who teaches."""

    def __init__(self, browser, address: str, before: str = "", **options: object) -> None:
        super().__init__(browser, address, before, **options)
        self.page.wait_for_selector("#photo[data-name]")

    @property
    def shown(self) -> str:
        return self.page.get_attribute("#photo", "data-name")

    def press(self, key: str) -> str:
        """Press a key that answers; return the image that was answered for."""
        before = self.shown
        self.page.keyboard.press(key)
        wait_until(lambda: self.shown != before)
        return before

    def name(self, label: str) -> str:
        """Name the image on show with the keyboard alone."""
        before = self.shown
        self.page.keyboard.press("/")
        self.page.keyboard.type(label)
        self.page.keyboard.press("Enter")
        wait_until(lambda: self.shown != before)
        return before

    def mode(self, name: str) -> None:
        self.page.locator(f"#modes input[value={name}] + span").click()


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "사진"
    place.mkdir()
    for number in range(IMAGES):
        draw(number, 64).save(place / f"{number}.png")
    return place


@pytest.fixture
def teaching(folder, tmp_path):
    backbone = load_backbone("test_resnet", "random", image_size=64)
    root, images = read_pool(Teach(folder))
    return Teaching(
        Pool(root, images, backbone, FeatureStore(tmp_path / "store")), Labels(root / "labels.csv", {}), []
    )


@pytest.fixture
def visit(browser, teaching, folder, tmp_path):
    settings = Teach(
        folder, backbone="test_resnet", weights="random", image_size=64, store=tmp_path / "store"
    )
    trainings = (
        Training("train-classifier", folder / "labels.csv", settings, tmp_path / "run"),
        Training("train-captioner", folder / "captions.csv", settings, tmp_path / "captions"),
    )
    captions = Captioning(teaching.pool, AnswerTable(folder / "captions.csv", "caption"))
    with (
        served(build_teaching_app(teaching, captions, trainings, settings)) as (client, _),
        visits(browser, str(client.base_url), Person) as open_one,
    ):
        wait_until(lambda: len(teaching.snapshot.lesson.names) == IMAGES, 30)
        yield open_one


def texts(teaching) -> dict[str, str]:
    return {name: answer.text for name, answer in teaching.labels.read().items()}


def test_a_folder_is_taught_with_the_keyboard_alone(visit, teaching):
    someone = visit()
    page = someone.page
    assert page.inner_text("#hint").startswith("Name what this image shows")
    said = {someone.name("레오"): "레오", someone.name("ming"): "ming"}
    for number in range(8):
        key = "12"[number % 2]
        said[someone.press(key)] = {"1": "레오", "2": "ming"}[key]
    wait_until(lambda: texts(teaching) == said)
    page.wait_for_selector("#accept:not([hidden])")
    guess = page.inner_text("#accept").removeprefix("Yes, ")
    image = someone.press("Enter")
    wait_until(lambda: texts(teaching).get(image) == guess)
    assert teaching.labels.read()[image].who == "accepted"
    page.keyboard.press("Backspace")
    wait_until(lambda: image not in texts(teaching) and someone.shown == image)
    put_off = someone.press("ArrowRight")
    page.wait_for_timeout(300)
    assert texts(teaching) == said
    assert put_off != someone.shown
    assert page.inner_text("#count") == f"10 of {IMAGES} labelled"
    wait_until(lambda: "%" in page.inner_text("#accuracy") or "–" in page.inner_text("#accuracy"))
    assert "labels.csv" in page.inner_text("#kept")


def test_a_whole_screen_is_accepted_but_for_what_is_left_out(visit, teaching):
    someone = visit()
    someone.name("ming")
    someone.name("zoe")
    for key in "1212":
        someone.press(key)
    wait_until(lambda: len(teaching.snapshot.lesson.labels) == 6 and teaching.snapshot.fitted)
    page = someone.page
    someone.mode("many")
    page.wait_for_selector("#tiles button")
    names = page.eval_on_selector_all("#tiles button", "tiles => tiles.map((tile) => tile.title)")
    surest = page.input_value("#which select")
    moment = teaching.snapshot
    assert all(moment.guess(name)[0] == surest for name in names)
    page.locator("#tiles button").nth(0).click()
    assert page.inner_text("#accept") == f"These {len(names) - 1} are {surest}"
    page.locator("#count").click()  # the focus leaves the image
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Enter")
    wait_until(lambda: len(texts(teaching)) == 6 + len(names) - 1)
    found = texts(teaching)
    assert names[0] not in found
    assert all(found[name] == surest for name in names[1:])
    page.keyboard.press("Backspace")
    wait_until(lambda: len(texts(teaching)) == 6)


def test_a_doubted_label_is_kept_or_mended(visit, teaching, monkeypatch):
    someone = visit()
    first, second = someone.name("ming"), someone.name("zoe")
    for key in "1212":
        someone.press(key)
    doubts = [(first, "zoe"), (second, "ming")]
    monkeypatch.setattr(teaching, "_doubted", lambda known: [pair for pair in doubts if pair[0] in known])
    someone.mode("doubted")
    wait_until(lambda: someone.shown == first)
    assert someone.page.inner_text("#note") == "Labelled ming. The model says zoe."
    someone.page.keyboard.press("1")
    wait_until(lambda: someone.shown == second)
    someone.page.keyboard.press("Enter")
    wait_until(lambda: texts(teaching)[second] == "ming")
    assert texts(teaching)[first] == "ming"
    someone.page.get_by_text("The model doubts no label.").wait_for()


def test_what_cannot_be_kept_is_said_and_shown_again(visit, teaching, monkeypatch):
    someone = visit()
    someone.name("ming")
    wait_until(lambda: len(texts(teaching)) == 1)

    def full(*_):
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        image = someone.shown
        someone.page.keyboard.press("1")
        someone.page.get_by_text("could not be kept").wait_for()
        assert "No space left" in someone.page.inner_text("#trouble")
        wait_until(lambda: someone.shown == image)
    someone.press("1")
    wait_until(lambda: texts(teaching).get(image) == "ming")
    assert someone.page.inner_text("#trouble") == ""
    assert someone.complaints  # the browser logs the refusal itself
    someone.complaints.clear()


def test_two_tabs_share_the_images_and_what_is_said_of_them(visit, teaching):
    one, other = visit(), visit()
    assert one.shown != other.shown
    one.name("ming")
    other.page.wait_for_selector(".give")  # it hears of the class
    other.press("1")
    wait_until(lambda: len(texts(teaching)) == 2)
    one.page.get_by_text(f"2 of {IMAGES} labelled").wait_for()
    one.page.keyboard.press("Backspace")
    wait_until(lambda: len(texts(teaching)) == 1)


def test_images_are_dropped_in_and_filmed(visit, teaching, folder):
    someone = visit(permissions=["camera"])
    someone.name("ming")
    page = someone.page
    page.evaluate(DROP, base64.b64encode(encoded(draw(50), "PNG")).decode())
    wait_until(lambda: "added/새 사진.png" in teaching.pool.images)
    someone.mode("camera")
    page.wait_for_selector("#video:visible")
    page.keyboard.down("1")
    wait_until(lambda: len([name for name in texts(teaching) if name.startswith("camera/")]) >= 2)
    page.keyboard.up("1")
    filmed = list((folder / "camera").iterdir())
    assert {path.suffix for path in filmed} == {".jpg"}
    page.wait_for_timeout(500)
    assert len(list((folder / "camera").iterdir())) <= len(filmed) + 1
    someone.mode("one")
    page.wait_for_selector("#photo:visible")
    assert page.eval_on_selector("#video", "video => video.srcObject") is None


def test_it_fits_a_phone_and_speaks_korean_and_another_language_when_told(visit):
    someone = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="ko-KR")
    page = someone.page
    page.fill("#name", "레오")
    page.tap("#other button")
    page.tap(".give")
    page.get_by_text("2장").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "되돌리기" in page.inner_text("body")
    page.tap("#language")
    page.get_by_text("Undo", exact=True).wait_for()
    assert page.get_attribute("html", "lang") == "en"


def test_both_languages_say_everything(visit):
    table = visit().page.evaluate("async () => (await import('/words.js')).TABLE")
    assert table["en"].keys() == table["ko"].keys()
    for key, text in table["en"].items():
        holes = [{part.split("}")[0] for part in said.split("{")[1:]} for said in (text, table["ko"][key])]
        assert holes[0] == holes[1], key


def test_the_button_trains_on_what_was_taught(visit, teaching, tmp_path):
    someone = visit()
    someone.name("ming")
    someone.name("zoe")
    for key in "121212121212":
        someone.press(key)
    wait_until(lambda: len(texts(teaching)) == 14)
    someone.page.click("#train")
    someone.page.wait_for_selector("#lines:not([hidden])", timeout=60_000)
    someone.page.locator("#trained", has_text="The model is in").wait_for(timeout=120_000)
    assert (tmp_path / "run" / "model" / "config.json").is_file()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other process groups")
def test_ctrl_c_in_the_terminal_reaches_a_training_through_the_page_alone(tmp_path, monkeypatch):
    """A terminal sends it to its whole group; the second one, by `stop`, would end a step half-way."""
    waits = tmp_path / "waits"
    waits.write_text("#!/bin/sh\nexec sleep 60\n")
    waits.chmod(0o755)
    monkeypatch.setattr("showtell.teaching.training.sys.executable", str(waits))
    training = Training("train-classifier", tmp_path / "labels.csv", Teach("x"), tmp_path / "run")
    training.start()
    try:
        assert os.getpgid(training._process.pid) != os.getpgrp()
    finally:
        training.stop()
    wait_until(lambda: not training.record()["running"])
    assert training.record()["status"] == -signal.SIGINT


def test_settings_of_the_network_are_handed_on(tmp_path):
    path = write_settings(Teach("x", backbone="a,b", image_size=160, store=tmp_path / "저장소"))
    text = path.read_text(encoding="utf-8")
    path.unlink()
    assert 'backbone = "a,b"\n' in text
    assert "image_size = 160\n" in text
    assert f'store = "{tmp_path}/저장소"\n' in text
