"""The page of captions, driven in a real browser: typed on, Tab taken, kept, mended, taken back."""

import csv

import pytest

from conftest import draw
from pages import NEEDS_BROWSER, Visit, chromium, visits
from serving import served, wait_until
from showtell.backbones.weights import load_backbone
from showtell.data.answers import ACCEPTED, MACHINE, PERSON, Answer, AnswerTable
from showtell.store.store import FeatureStore
from showtell.teaching.app import build_teaching_app
from showtell.teaching.captioning import Captioning
from showtell.teaching.labels import Labels
from showtell.teaching.pool import Pool, read_pool
from showtell.teaching.settings import Teach
from showtell.teaching.teaching import Teaching
from showtell.teaching.training import Training

pytestmark = NEEDS_BROWSER
IMAGES = 6


class Writer(Visit):
    """Somebody who writes captions."""

    def __init__(self, browser, address: str, before: str = "", **options: object) -> None:
        super().__init__(browser, f"{address}captions.html", before, **options)
        self.page.wait_for_selector("#photo[data-name]")
        self.line = self.page.locator("#text")

    @property
    def shown(self) -> str:
        return self.page.get_attribute("#photo", "data-name")

    def write(self, text: str) -> str:
        """Type a caption and keep it; return the image that it is of."""
        before = self.shown
        self.line.press_sequentially(text)
        self.line.press("Enter")
        wait_until(lambda: self.shown != before)
        wait_until(lambda: self.line.input_value() == "")
        return before

    def offered(self, words: list[str]) -> None:
        """Wait until these words are offered."""
        texts = self.page.locator("#offers button")
        wait_until(
            lambda: [text.removesuffix("Tab") for text in texts.all_inner_texts()][: len(words)] == words
        )


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def table(tmp_path) -> AnswerTable:
    place = tmp_path / "사진"
    place.mkdir()
    for number in range(IMAGES):
        draw(number, 64).save(place / f"{number}.png")
    return AnswerTable(place / "captions.csv", "caption")


@pytest.fixture
def visit(browser, table, tmp_path):
    folder = table.path.parent
    settings = Teach(folder, backbone="test_resnet", weights="random", image_size=64, store=tmp_path / "s")
    root, images = read_pool(settings)
    backbone = load_backbone("test_resnet", "random", image_size=64)
    pool = Pool(root, images, backbone, FeatureStore(tmp_path / "s"))
    teaching = Teaching(pool, Labels(root / "labels.csv", {}), [])
    trainings = (
        Training("train-classifier", root / "labels.csv", settings, tmp_path / "run"),
        Training("train-captioner", table.path, settings, tmp_path / "captions"),
    )
    app = build_teaching_app(teaching, Captioning(pool, table), trainings, settings)
    with served(app) as (client, _), visits(browser, f"{client.base_url}/", Writer) as open_one:
        wait_until(lambda: len(pool.encoded()[0]) == IMAGES, 30)
        yield open_one


def test_captions_are_written_with_the_keyboard_alone(visit, table):
    someone = visit()
    first = someone.write("A red dog runs")
    second = someone.shown
    someone.line.press_sequentially("a r")
    someone.offered(["red"])
    someone.line.press("Tab")
    assert someone.line.input_value() == "a red "
    someone.offered(["dog"])
    someone.line.press("Shift+Tab")
    assert someone.line.input_value() == "a red dog runs"
    someone.line.press("Control+Enter")
    wait_until(lambda: len(table.read()) == 2)
    someone.write("강아지가 달린다")
    with table.path.open(encoding="utf-8-sig") as file:
        rows = [(row["image"], row["caption"], row["who"]) for row in csv.DictReader(file)]
    assert rows == [
        (first, "A red dog runs", PERSON),
        (second, "a red dog runs", PERSON),
        (second, "강아지가 달린다", PERSON),
    ]
    someone.line.press("Escape")
    someone.line.press("Tab")
    assert not someone.page.evaluate("document.activeElement.id === 'text'"), "the line can be left"


def test_a_caption_is_mended_removed_and_taken_back(visit, table):
    someone = visit()
    page = someone.page
    first = someone.shown
    someone.line.fill("a dgo")
    someone.line.press("Control+Enter")
    page.get_by_role("button", name="Edit").click()
    someone.line.fill("a dog")
    someone.line.press("Control+Enter")
    wait_until(lambda: [one.text for one in table.read()] == ["a dog"])
    page.get_by_role("button", name="Remove").click()
    wait_until(lambda: table.read() == [])
    page.get_by_role("button", name="Undo").click()
    wait_until(lambda: [(one.image, one.text) for one in table.read()] == [(first, "a dog")])


def test_what_a_machine_wrote_is_accepted(visit, table):
    table.add([Answer(f"{number}.png", "a thing", MACHINE) for number in range(IMAGES)])
    someone = visit()
    shown = someone.shown
    someone.page.get_by_role("button", name="Accept").click()
    wait_until(lambda: {one.image for one in table.read() if one.who == ACCEPTED} == {shown})
    assert "written by a machine wait" in someone.page.inner_text("#learnt")


def test_it_fits_a_phone_and_speaks_korean(visit):
    someone = visit(viewport={"width": 390, "height": 844}, locale="ko-KR")
    assert someone.page.inner_text("#keep") == "저장하고 다음 사진"
    someone.write("고양이가 잔다")
    assert someone.page.evaluate("document.documentElement.scrollWidth") <= 390
