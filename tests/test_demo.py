"""The page for people, driven in a real browser: nothing breaks, nothing leaves, everybody can use it."""

import base64

import numpy as np
import pytest
import torch

import showtell
from conftest import draw, encoded
from pages import NEEDS_BROWSER, Visit, chromium, visits
from serving import CLASSES, Held, make_captioner, make_classifier, running, wait_until
from showtell.kinds.captioner.task import caption_loss
from showtell.kinds.classifier.model import ClassifierModel
from showtell.models.batch import assemble
from showtell.report.overlay import hottest_area, paint, seen_box

pytestmark = NEEDS_BROWSER

PICTURE = encoded(draw(3), "PNG")
UNREADABLE = encoded(draw(3), "JPEG")[:300]
GIVE = """([kind, content, type]) => {
  const transfer = new DataTransfer();
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  transfer.items.add(new File([bytes], "사진", { type }));
  const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true })
    : new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""
PREPARE = """async (content) => {
  const { prepare } = await import("/pictures.js");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const file = new File([bytes], "a.jpg", { type: "image/jpeg" });
  const { blob, width, height } = await prepare(file);
  const sent = await createImageBitmap(blob);
  return { width, height, same: blob === file, sent: [sent.width, sent.height] };
}"""


def teach(model, captions: list[str]) -> None:
    """Have a captioner say sentences; at random it says one word again and again, and looks everywhere."""
    captioner, tokenizer = model.captioner, model.captioner.tokenizer
    ids = [[tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id] for text in captions]
    grid = model.backbone(torch.stack([model.pixels(draw(n)) for n in range(8)]))[0].clone()
    captioner.decoder.fit_feature_scale(grid)
    batch = assemble(grid, [ids] * len(grid), tokenizer.pad_id)
    optimiser = torch.optim.Adam(captioner.requires_grad_().parameters(), 0.02)
    for _ in range(40):
        optimiser.zero_grad()
        caption_loss(captioner, batch).backward()
        optimiser.step()
    with torch.no_grad():
        captioner.decoder.score.weight.mul_(8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    captions = ["a red circle", "three hearts above a star"]
    captioner = showtell.load(make_captioner(root / "words", captions), device="cpu")
    teach(captioner, captions)
    return {
        "words": captioner,
        "고양이": showtell.load(make_classifier(root / "고양이"), device="cpu"),
    }


@pytest.fixture(scope="module")
def site(models):
    with running(models) as (client, _):
        yield str(client.base_url)


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


class DemoVisit(Visit):
    """Somebody who looks at the demo."""

    def __init__(self, browser, address: str, before: str = "", **options: object) -> None:
        super().__init__(browser, address, before, **options)
        wait_until(lambda: self.page.evaluate("document.getElementById('about').textContent !== ''"))

    def give(self, content: bytes, name: str = "사진.png", kind: str = "image/png") -> None:
        file = {"name": name, "mimeType": kind, "buffer": content}
        self.page.set_input_files("#file", [file])

    def model(self, name: str) -> None:
        self.page.locator("#models label", has_text=name).click()

    def told(self) -> list[str]:
        """Wait until the caption is told; return its words."""
        self.page.wait_for_selector(".word")
        self.page.wait_for_selector(".telling", state="detached")
        return self.page.locator(".word").all_text_contents()


@pytest.fixture
def visit(browser, site):
    with visits(browser, site, DemoVisit) as open_one:
        yield open_one


def selected(page) -> list[int]:
    """Return the places of the selected words."""
    return page.eval_on_selector_all(
        ".word", "words => words.flatMap((word, i) => word.ariaSelected === 'true' ? [i] : [])"
    )


def test_a_chosen_image_is_told_as_the_library_tells_it(visit, models):
    someone = visit()
    someone.give(PICTURE)
    found = models["words"](PICTURE)
    assert someone.told() == [word.text for word in found.words]
    page = someone.page
    assert page.inner_text("#announce") == found.text
    assert page.get_attribute(".caption", "aria-label") == f"Caption: {found.text}"
    rows = page.locator(".beams .text").all_inner_texts()
    assert rows[0] == found.text
    assert sorted(rows[1:]) == sorted(other.text for other in found.others)
    assert page.locator("body").get_attribute("data-state") == "picture"


def test_words_appear_one_by_one_while_the_heat_is_shown(visit):
    someone = visit(reduced_motion="no-preference")
    someone.give(PICTURE)
    someone.page.wait_for_selector(".word.told")
    assert someone.page.locator(".word.told").count() < someone.page.locator(".word").count()
    assert "looking" in someone.page.get_attribute("#stage", "class")
    someone.told()
    assert "looking" not in someone.page.get_attribute("#stage", "class")


def test_who_wants_no_motion_gets_the_whole_caption_at_once(visit):
    someone = visit()
    someone.give(PICTURE)
    someone.page.wait_for_selector(".word")
    assert someone.page.locator(".telling").count() == 0
    assert someone.page.locator(".word").last.evaluate("word => getComputedStyle(word).opacity") == "1"


def test_words_are_walked_with_the_keys(visit, models):
    someone = visit()
    someone.give(PICTURE)
    words, page = someone.told(), someone.page
    found = models["words"](PICTURE).words
    page.keyboard.press("ArrowRight")  # from wherever the focus is not
    assert selected(page) == [0]
    first = page.evaluate("document.getElementById('heat').toDataURL()")
    page.keyboard.press("ArrowRight")
    assert selected(page) == [1]
    assert page.evaluate("document.getElementById('heat').toDataURL()") != first
    assert page.inner_text("#readout b") == words[1]
    active = page.get_attribute(".caption", "aria-activedescendant")
    percent = f"{found[1].probability:.0%}"
    assert percent in page.inner_text("#readout")
    assert page.get_attribute(f"#{active}", "aria-label").startswith(
        f"{words[1]}, {percent} sure; looks mostly"
    )
    page.keyboard.press("End")
    assert selected(page) == [len(words) - 1]
    page.keyboard.press("ArrowRight")
    assert selected(page) == [len(words) - 1]
    page.keyboard.press("Home")
    assert selected(page) == [0]
    page.keyboard.press("Escape")
    assert selected(page) == []
    assert "looking" not in page.get_attribute("#stage", "class")


def test_pointing_shows_a_word_and_a_tap_keeps_it(visit):
    someone = visit()
    someone.give(PICTURE)
    someone.told()
    page = someone.page
    page.hover("#word-1")
    assert selected(page) == [1]
    page.mouse.move(2, 2)
    assert selected(page) == []
    page.click("#word-0")
    page.mouse.move(2, 2)
    assert selected(page) == [0]


def test_the_bare_grid_has_as_many_cells_as_the_network(visit, models):
    someone = visit()
    someone.give(PICTURE)
    someone.told()
    someone.page.keyboard.press("ArrowRight")
    someone.page.check("#cells")
    rows, columns = models["words"].backbone.description.grid_size
    size = someone.page.eval_on_selector("#heat", "canvas => [canvas.height, canvas.width]")
    assert size == [rows, columns]
    someone.page.uncheck("#cells")
    assert someone.page.eval_on_selector("#heat", "canvas => canvas.width") > columns


def test_colours_and_places_are_the_reports(visit, models):
    page = visit().page
    levels = [0.0, 0.1, 0.3, 0.55, 0.7, 0.9, 1.0]
    painted = page.evaluate("async (levels) => levels.map((await import('/attention.js')).colour)", levels)
    assert np.asarray(painted) == pytest.approx(paint(np.asarray(levels, np.float32)), abs=1e-3)
    box = seen_box(models["words"].backbone.preprocessing, 200, 90)
    for seed in range(20):
        weights = np.random.default_rng(seed).random((7, 5)).tolist()
        place = page.evaluate(
            "async ([map, box]) => (await import('/attention.js')).hottestArea(map, box)",
            [weights, list(box)],
        )
        assert tuple(place) == hottest_area(weights, box)


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_an_image_may_be_pasted_or_dropped(visit, models, way):
    someone = visit()
    someone.page.evaluate(GIVE, [way, base64.b64encode(PICTURE).decode(), "image/png"])
    assert someone.told() == [word.text for word in models["words"](PICTURE).words]


def test_a_turned_photo_stands_upright_and_is_read_upright(visit, models):
    image = draw(5, 120).crop((0, 0, 120, 60))
    exif = image.getexif()
    exif[0x0112] = 6
    content = encoded(image, "JPEG", exif=exif)
    someone = visit()
    someone.give(content, "photo.jpg", "image/jpeg")
    assert someone.told() == [word.text for word in models["words"](content).words]
    shown = someone.page.eval_on_selector("#photo", "photo => [photo.naturalWidth, photo.naturalHeight]")
    assert shown == [60, 120]


def test_large_photos_are_made_smaller_and_small_ones_are_sent_as_they_are(visit):
    page = visit().page
    image = draw(1).resize((2400, 1000))
    exif = image.getexif()
    exif[0x0112] = 6
    prepared = page.evaluate(PREPARE, base64.b64encode(encoded(image, "JPEG", exif=exif)).decode())
    assert prepared == {"width": 1000, "height": 2400, "same": False, "sent": [667, 1600]}
    small = page.evaluate(PREPARE, base64.b64encode(encoded(image.resize((1600, 900)), "JPEG")).decode())
    assert small == {"width": 1600, "height": 900, "same": True, "sent": [1600, 900]}


def test_classes_are_ranked_with_where_the_model_looked(visit, models):
    someone = visit()
    someone.give(PICTURE)
    someone.told()
    someone.model("고양이")  # asks the other model about the same image
    page = someone.page
    page.wait_for_selector(".classes li")
    found = models["고양이"](PICTURE)
    assert page.locator(".classes .text").all_inner_texts() == list(found.probabilities)
    assert page.inner_text("#announce") == f"{found.label}, {found.probabilities[found.label]:.1%}"
    page.check("#look")
    page.wait_for_timeout(2200)  # past the first glance
    assert "looking" in page.get_attribute("#stage", "class")
    assert page.inner_text("#readout b") == found.label
    page.uncheck("#look")
    assert "looking" not in page.get_attribute("#stage", "class")


def test_classes_that_are_called_by_numbers_are_ranked_by_their_shares_too(visit, models):
    cats, numbers = models["고양이"], ("10", "2", "1")
    for names in (numbers, numbers[::-1]):
        digits = ClassifierModel.of(cats.backbone, cats.head, names, temperature=1.0)
        with running({"digits": digits}) as (client, _):
            someone = visit(str(client.base_url))
            someone.give(PICTURE)
            someone.page.wait_for_selector(".classes li")
            found = digits(PICTURE)
            assert someone.page.locator(".classes .text").all_inner_texts() == list(found.probabilities)
            assert found.label in someone.page.inner_text(".headline")
            someone.page.goto("about:blank")


def test_the_camera_is_watched_one_newest_frame_at_a_time(visit, browser, tmp_path):
    model = showtell.load(make_classifier(tmp_path / "slow"), device="cpu")
    slow = Held(model)
    with running({"slow": model}) as (client, _):
        someone = visit(str(client.base_url), permissions=["camera"])
        someone.page.click("#camera")

        def frames() -> int:
            someone.page.wait_for_timeout(20)  # lets the browser speak
            return sum("/v1/predict" in url for url in someone.asked)

        wait_until(lambda: frames() == 1)
        someone.page.wait_for_timeout(700)  # some twenty frames
        assert frames() == 1
        slow.go.set()
        someone.page.wait_for_selector(".classes li")
        wait_until(lambda: frames() > 4)
        assert max(slow.looks) == 1
        assert "a second" in someone.page.inner_text("#rate")
        assert sorted(someone.page.locator(".classes .text").all_inner_texts()) == sorted(CLASSES)
        someone.page.click("#stop")
        someone.page.wait_for_selector("[data-state=picture] #photo:visible")
        assert someone.page.eval_on_selector("#video", "video => video.srcObject") is None
        stopped = frames()
        someone.page.wait_for_timeout(300)
        assert frames() <= stopped + 1  # the photograph of the last frame
        someone.page.click("#camera")
        wait_until(lambda: frames() > stopped + 3)
        someone.page.close()


def test_a_captioner_is_shown_a_photograph(visit):
    someone = visit(permissions=["camera"])
    someone.page.click("#camera")
    someone.page.wait_for_selector("#shutter:focus")
    assert not any("/v1/predict" in url for url in someone.asked)
    someone.page.keyboard.press("Enter")
    assert someone.told()
    assert someone.page.locator("#video").is_hidden()


def test_shares_are_smoothed_in_time_not_in_frames(visit):
    program = """async (gap) => {
      const { Smoothed } = await import("/classes.js");
      const smoothed = new Smoothed(12);
      smoothed.add({ cat: 1 }, 0);
      let found;
      for (let now = gap; now <= 1200; now += gap) found = smoothed.add({ dog: 0.8, cat: 0.1 }, now);
      return Object.fromEntries(found);
    }"""
    page = visit().page
    fast, slow = page.evaluate(program, 50), page.evaluate(program, 600)
    # Two half-lives: three quarters of the way.
    assert slow == pytest.approx({"cat": 0.25 + 0.75 * 0.1, "dog": 0.75 * 0.8})
    assert fast == pytest.approx(slow)


def test_the_page_speaks_korean(visit, models):
    someone = visit(locale="ko-KR")
    page = someone.page
    assert page.get_attribute("html", "lang") == "ko"
    assert page.inner_text("h1") == "사진을 보여 주세요."
    someone.give(PICTURE)
    someone.told()
    assert page.get_attribute(".caption", "aria-label").startswith("설명: ")
    assert page.get_attribute(".caption", "lang") == "en"
    someone.model("고양이")
    page.wait_for_selector(".classes li")
    seen = page.inner_text("body")
    assert "another" not in seen.lower()
    assert "다른 사진" in seen


def test_both_languages_say_everything(visit):
    table = visit().page.evaluate("async () => (await import('/words.js')).TABLE")
    assert table["en"].keys() == table["ko"].keys()
    for key, text in table["en"].items():
        if isinstance(text, str):
            assert set(_places(text)) == set(_places(table["ko"][key])), key


def _places(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("{")[1:]]


def test_it_fits_a_phone(visit):
    someone = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = someone.page
    assert page.locator("#take").is_visible()
    assert page.get_attribute("#capture", "capture") == "environment"
    page.set_input_files("#capture", [{"name": "a.png", "mimeType": "image/png", "buffer": PICTURE}])
    someone.told()
    page.tap("#word-0")
    assert selected(page) == [0]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_cannot_be_read_is_said_and_the_next_image_is_told(visit):
    someone = visit()
    someone.give(UNREADABLE, "broken.jpg", "image/jpeg")
    trouble = someone.page.locator("#trouble")
    trouble.get_by_text("This picture cannot be read.").wait_for()
    assert someone.page.inner_text("#trouble .reason")
    someone.give(PICTURE)
    assert someone.told()
    assert trouble.inner_text() == ""
    assert someone.complaints  # the browser logs the refusal itself
    someone.complaints.clear()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"status": 503, "headers": {"Retry-After": "0.1"}, "json": {"error": "full"}}, "hands full"),
        ({"status": 413, "json": {"error": "too much"}}, "too large"),
        ({"status": 500, "body": "<html>"}, "went wrong"),
        (None, "Is it still running?"),
    ],
)
def test_troubles_are_told_kindly_and_can_be_tried_again(visit, answer, said):
    someone = visit()
    page = someone.page
    page.route("**/v1/predict*", lambda route: route.fulfill(**answer) if answer else route.abort())
    someone.give(PICTURE)
    page.locator("#trouble").get_by_text(said).wait_for()
    page.unroute("**/v1/predict*")
    if said == "too large":
        assert page.locator("#trouble button").count() == 0
    else:
        page.click("#trouble button")
        assert someone.told()
    someone.complaints.clear()  # the browser logs failed requests itself


@pytest.mark.parametrize(
    ("error", "said"), [("NotAllowedError", "may not use the camera"), ("NotFoundError", "No camera")]
)
def test_a_camera_that_stays_closed_is_explained(visit, error, said):
    refusal = (
        f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}'); }};"
    )
    page = visit(before=refusal).page
    page.click("#camera")
    page.locator("#trouble").get_by_text(said).wait_for()
    assert page.get_attribute("body", "data-state") == "empty"


def test_something_else_dropped_is_refused(visit):
    page = visit().page
    page.evaluate(GIVE, ["drop", base64.b64encode(b"text").decode(), "text/plain"])
    page.locator("#trouble").get_by_text("not a picture").wait_for()


def test_a_token_can_be_typed_or_come_with_the_address(models, browser):
    with running(models, token="secret-key") as (client, _):
        context = browser.new_context(locale="en-US")
        page = context.new_page()
        page.goto(str(client.base_url))
        page.fill("#trouble input", "열쇠")
        page.press("#trouble input", "Enter")
        wait_until(lambda: page.evaluate("document.querySelector('#trouble input')?.value === ''"))
        page.fill("#trouble input", "secret-key")
        page.press("#trouble input", "Enter")
        page.locator("#about").get_by_text("words").wait_for()
        page.goto("about:blank")
        page.goto(f"{client.base_url}#token=secret-key")
        page.locator("#about").get_by_text("words").wait_for()
        context.close()
