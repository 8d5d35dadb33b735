"""Figures and pages: attention lies where the network looked, letters have glyphs, captions do no harm."""

import base64
import html
import io
import json
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from showtell.data.augment import Augmentation, View
from showtell.data.images import Preprocessing, load_pixels
from showtell.errors import ConfigError, ModelError
from showtell.kinds.captioner.drawing import draw_attention
from showtell.kinds.classifier.drawing import draw_prediction
from showtell.kinds.classifier.report import draw_confusion
from showtell.models.captioner import Caption, Word
from showtell.previews.augment import Row, draw_views
from showtell.previews.tokens import Row as TokensRow
from showtell.previews.tokens import draw_tokens, pad, tokens_of
from showtell.report import fonts
from showtell.report.cards import WORDS, PageItem, write_captions_page
from showtell.report.curves import _running_mean, draw_loss, draw_score
from showtell.report.figures import save_figure
from showtell.report.overlay import heat_level, hottest_area, overlay, paint, seen_box
from showtell.report.wrapping import columns_of, shorten, wrap
from showtell.text.tokenizer import CaptionTokenizer

ROWS, COLUMNS = 7, 5
HOSTILE = "<script>alert(1)</script> </script> \"><img src=x onerror=alert(1)> 'q' &amp; {{ 7*7 }} $\\frac$"
KOREAN = "잔디밭에서 빨간 공을 입에 문 갈색 강아지 한 마리가 달려온다"


def preprocessing(fit: str, height: int = 224, width: int = 224) -> Preprocessing:
    return Preprocessing(height, width, fit, 0.8, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def one_hot(row: int, column: int) -> torch.Tensor:
    attention = torch.zeros(ROWS, COLUMNS)
    attention[row, column] = 1
    return attention


def say(text: str) -> Caption:
    words = text.split()
    looks = [one_hot(i % ROWS, i % COLUMNS) for i in range(len(words))]
    said = (Word(word, (i + 1) / len(words), look) for i, (word, look) in enumerate(zip(words, looks)))
    return Caption(text, tuple(said), -1.0)


def photo(width: int = 90, height: int = 60) -> Image.Image:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    return Image.fromarray(ramp.astype(np.uint8))


needs_hangul = pytest.mark.skipif(fonts.hangul_family() is None, reason="no Hangul font is installed")


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (900, 250)])
@pytest.mark.parametrize("cells", [False, True])
def test_heat_lies_on_what_the_network_saw_in_that_cell(fit, size, cells):
    """A white spot is followed through the real preprocessing to its cell, and back through the overlay."""
    width, height = size
    prepared = preprocessing(fit)
    box = seen_box(prepared, width, height)
    for share_x, share_y in [(0.1, 0.1), (0.9, 0.1), (0.5, 0.5), (0.1, 0.9), (0.9, 0.9)]:
        x = round((box.left + share_x * (box.right - box.left)) * width)
        y = round((box.top + share_y * (box.bottom - box.top)) * height)
        black = Image.new("RGB", size)
        spotted = black.copy()
        spotted.paste((255, 255, 255), (x - 4, y - 4, x + 5, y + 5))
        seen = load_pixels(spotted, prepared)[0]
        at_y, at_x = divmod(int(seen.argmax()), seen.shape[1])
        cell = at_y * ROWS // seen.shape[0], at_x * COLUMNS // seen.shape[1]
        heat = np.asarray(overlay(black, one_hot(*cell), prepared, cells=cells), np.float32).sum(-1)
        hottest = heat > 0.6 * heat.max()
        assert hottest[y, x], f"the spot at {x}, {y} was in cell {cell}"
        rows, columns = np.nonzero(hottest)
        assert np.ptp(rows) <= 1.2 * (box.bottom - box.top) * height / ROWS
        assert np.ptp(columns) <= 1.2 * (box.right - box.left) * width / COLUMNS


def test_there_is_no_heat_outside_of_the_crop():
    grey = Image.new("RGB", (400, 200), (128, 128, 128))
    prepared = preprocessing("crop")
    hot = np.asarray(overlay(grey, torch.full((ROWS, COLUMNS), 1 / 35), prepared), np.int32)
    left, top, right, bottom = seen_box(prepared, 400, 200).pixels(400, 200)
    assert (left, top, right, bottom) == (120, 20, 280, 180)
    outside = np.ones((200, 400), bool)
    outside[top:bottom, left:right] = False
    assert len(np.unique(hot[outside])) == 1 and hot[outside].max() < hot[top:bottom, left:right, 0].min()


def test_a_common_scale_keeps_words_comparable_and_zero_shows_the_photo():
    assert heat_level([0.0, 0.25, 1.0], 1.0).tolist() == [0.0, 0.5, 1.0]
    opacity = paint(np.linspace(0, 1, 50, dtype=np.float32))[:, 3]
    assert opacity[0] == 0 and (np.diff(opacity) > 0).all() and opacity[-1] < 1
    weak = one_hot(3, 2) * 0.1
    own = np.asarray(overlay(photo(), weak, preprocessing("stretch")))
    common = np.asarray(overlay(photo(), weak, preprocessing("stretch"), peak=1.0))
    assert own[30, 45].sum() > common[30, 45].sum()


def test_an_upright_image_that_still_has_its_orientation_tag_is_not_turned_again():
    tagged = photo()
    tagged.getexif()[0x0112] = 6
    assert overlay(tagged, one_hot(0, 0), preprocessing("stretch")).size == (90, 60)


def test_the_hottest_area_is_of_the_image_not_of_the_crop():
    box = seen_box(preprocessing("crop"), 1000, 200)
    assert hottest_area(one_hot(0, 0), box) == (0, 1)
    assert hottest_area(one_hot(6, 4), seen_box(preprocessing("stretch"), 10, 10)) == (2, 2)


@pytest.mark.parametrize("size", [(90, 60), (40, 120), (300, 60)])
@pytest.mark.parametrize(
    "text", ["dogs", " ".join(f"word{i}" for i in range(25)), f"a costs $5 {HOSTILE}", "x" * 300]
)
def test_the_figure_holds_every_word(tmp_path, size, text):
    out = draw_attention(photo(*size), say(text), preprocessing("crop"), tmp_path / "new" / "why.svg")
    drawn = out.read_text(encoding="utf-8")
    texts = html.unescape(" ".join(re.findall("<!-- (.*?) -->", drawn))).replace("&amp;", "&")
    for word in text.replace("&amp;", "&").split():
        assert texts.count(word[:8]) >= 2, word  # in the caption and below its thumbnail
    assert drawn.count("<image") == 1 + len(text.split()) + 1  # the photo, a thumbnail a word, the scale


def test_the_png_has_colour_where_the_photo_is_grey(tmp_path):
    out = draw_attention(
        Image.new("RGB", (90, 60), (90, 90, 90)),
        say("a dog"),
        preprocessing("stretch"),
        tmp_path / "why.png",
        cells=True,
    )
    pixels = np.asarray(Image.open(out).convert("RGB"), np.int32)
    assert (np.ptp(pixels, axis=-1) > 100).sum() > 500
    assert (pixels[0] == 255).all() and (pixels[:, 0] == 255).all(), "nothing is cut off at the edge"


@pytest.mark.parametrize("text", [KOREAN, KOREAN.replace(" ", ""), "a " + 40 * "x" + " b", "", "x"])
def test_lines_fit_and_lose_no_letter(text):
    for width, measure in ((1.2, fonts.inches(10, bold=True)), (12, columns_of)):
        lines = wrap(text, width, measure)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert all(measure(line) <= width for line in lines)
        assert measure(shorten(text, width, measure)) <= width
    assert wrap("two words", 0.01) == list("twowords"), "of a line that has no room a letter is left"
    assert shorten("a/long/name.png", 9, middle=True) == "a/lo….png"


@pytest.mark.parametrize("name", ["why", "why.docx"])
def test_a_suffix_that_no_figure_has_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(ConfigError, match=r"\.png"):
        draw_attention(photo(), say("a dog"), preprocessing("stretch"), tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("silent", [False, True])
def test_a_head_that_cannot_say_why_does_not_pretend_to(tmp_path, silent):
    heat = one_hot(1, 1) * (0 if silent else 1)
    out = tmp_path / "why.svg"
    draw_prediction(photo(), heat, {"cat": 0.9, "dog": 0.1}, preprocessing("stretch"), out)
    texts = " ".join(re.findall("<!-- (.*?) -->", out.read_text(encoding="utf-8")))
    assert ("cannot say why" in texts) == silent
    assert ("what speaks for cat" in texts) != silent


def test_a_caption_without_words_is_drawn(tmp_path):
    out = draw_attention(photo(), Caption("", (), 0.0), preprocessing("stretch"), tmp_path / "why.png")
    assert np.ptp(np.asarray(Image.open(out).convert("RGB"), np.int32)) > 200


@needs_hangul
def test_hangul_has_glyphs_in_every_figure(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        families = fonts.font_families(KOREAN + " −1 …")
        draw_attention(photo(), say(KOREAN), preprocessing("stretch"), tmp_path / "why.png")
    assert families[0] == "DejaVu Sans" and not fonts._missing(KOREAN + "−…", tuple(families))
    # Boxes of missing letters are all alike.
    face = fonts.pil_font(32, KOREAN)
    assert len({bytes(face.getmask(letter)) for letter in "가나다라마"}) == 5


@needs_hangul
def test_decomposed_hangul_is_composed_before_it_is_drawn():
    assert fonts.plain("\u1112\u1161\u11ab\tx\n") == "한 x"
    assert fonts.font_families("\u1112\u1161\u11ab") == fonts.font_families("한")


FIGURES = {
    "attention": lambda out: draw_attention(photo(), say(KOREAN), preprocessing("stretch"), out),
    "prediction": lambda out: draw_prediction(
        photo(), one_hot(1, 1), {KOREAN: 0.9}, preprocessing("stretch"), out, right=KOREAN
    ),
    "confusion": lambda out: save_figure(draw_confusion([KOREAN, "b"], [[1, 0], [0, 1]]), out),
    "views": lambda out: draw_views([view_of(KOREAN)], Augmentation(), out),
    "tokens": lambda out: draw_tokens([tokens_row(KOREAN)], "a note", out),
    "overlay of live": lambda out: fonts.pil_font(20, KOREAN),
}


def view_of(name: str) -> Row:
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    view = View(1, Augmentation())
    return Row(name, "", pixels, ((pixels, view.changes(b"x", 32, 32)),))


def tokens_row(caption: str) -> TokensRow:
    tokenizer = CaptionTokenizer.train([caption], min_count=1)
    return TokensRow("a.png", photo(), caption, pad([tokens_of(tokenizer, caption, 60)], tokenizer.pad_id)[0])


@pytest.mark.parametrize("figure", FIGURES)
def test_one_warning_says_what_to_install_where_no_font_has_hangul(figure, tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "hangul_family", lambda: None)
    fonts._warn_once.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FIGURES[figure](tmp_path / "figure.png")
    fonts._warn_once.cache_clear()
    assert [warning.category for warning in caught] == [fonts.MissingGlyphWarning]
    assert "pip install 'showtell[korean]'" in str(caught[0].message)


class Page(HTMLParser):
    """Elements with attributes, and texts, of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append((self.elements[-1][0] if self.elements else "", data))


def write_page(tmp_path: Path, *items: PageItem, language="en", title="Scenes") -> Path:
    return write_captions_page(
        tmp_path / "new" / "page.html",
        title=title,
        summary=[("Exactly", "2 of 3")],
        items=items,
        language=language,
    )


def test_a_page_asks_nobody_for_anything(tmp_path):
    item = PageItem(photo(), say("a dog"), preprocessing("crop"), references=("a brown dog",), right=True)
    path = write_page(tmp_path, item, PageItem(photo(), say("a cat"), preprocessing("stretch"), right=False))
    page = Page(path)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    text = re.sub(r"base64,[^\"]+", "", path.read_text(encoding="utf-8"))
    assert not re.search(r"https?:|[\"'(]//|@import|url\(", text)
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy


def test_hostile_captions_stay_text(tmp_path):
    item = PageItem(
        photo(),
        say(HOSTILE),
        preprocessing("stretch"),
        name=HOSTILE,
        references=(HOSTILE,),
        right=False,
        score=HOSTILE,
    )
    page = Page(write_page(tmp_path, item, title=HOSTILE))
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert [script.get("type") for script in scripts] == ["application/json", "module"]
    assert len([1 for tag, _ in page.elements if tag == "img"]) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    texts = [text.strip() for _, text in page.texts]
    assert texts.count(HOSTILE) == 5  # twice the title, the score, the reference, the name
    assert [text for text in texts if text in HOSTILE.split()] == HOSTILE.split()


def test_a_page_carries_the_attention_of_every_word(tmp_path):
    caption = say("a small dog")
    page = Page(write_page(tmp_path, PageItem(photo(), caption, preprocessing("crop"))))
    looks = json.loads(next(text for _, text in page.texts if text.startswith('{"peak"')))
    assert looks["peak"] == 10_000
    for look, word in zip(looks["maps"], caption.words, strict=True):
        assert np.allclose(np.array(look) / 10_000, word.attention)
    options = [attributes for _, attributes in page.elements if attributes.get("role") == "option"]
    assert options[0]["aria-label"] == "a, 33% sure; looks mostly at the top left"
    box = next(attributes["style"] for _, attributes in page.elements if attributes.get("class") == "shot")
    expected = seen_box(preprocessing("crop"), 90, 60)
    assert f"--left: {expected.left:.5g};" in box and f"--bottom: {expected.bottom:.5g}" in box


def test_images_of_a_page_are_small_and_tell_nothing_else(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera of Somebody"
    content = io.BytesIO()
    Image.new("RGB", (2000, 1000)).save(tmp_path / "big.jpg", exif=exif)
    path = write_page(tmp_path, PageItem(tmp_path / "big.jpg", say("night"), preprocessing("stretch")))
    encoded = re.search(r"base64,([^\"]+)", path.read_text(encoding="utf-8"))
    content = base64.b64decode(encoded.group(1))
    assert Image.open(io.BytesIO(content)).size == (360, 180)
    assert b"Somebody" not in content


def test_a_page_in_korean_has_every_word_of_the_page_in_english(tmp_path):
    assert WORDS["en"].keys() == WORDS["ko"].keys()
    items = [PageItem(photo(), say(KOREAN), preprocessing("stretch"), right=right) for right in (True, False)]
    page = Page(write_page(tmp_path, *items, language="ko"))
    assert ("html", {"lang": "ko"}) in page.elements
    texts = {text.strip() for tag, text in page.texts if tag not in ("style", "script")}
    assert {"맞음", "틀림", *KOREAN.split()} <= texts
    assert not texts & {value for value in WORDS["en"].values() if isinstance(value, str)}


def test_a_page_without_images_is_a_page(tmp_path):
    page = Page(write_page(tmp_path))
    assert any(text == "2 of 3" for _, text in page.texts)


def write_metrics(path: Path, steps: int, epochs: int, tail: str = "") -> Path:
    lines = [{"step": s, "epoch": 0, "loss": 5 / s, "learning_rate": 1e-3} for s in range(1, steps + 1)]
    for epoch in range(1, epochs + 1):
        figures = {"epoch": epoch, "train_loss": 1.0, "score": 0.9, "cider_d": epoch / 10}
        lines.append({"step": epoch, "validation": figures})
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n" + tail, encoding="utf-8")
    return path


@pytest.mark.parametrize(("steps", "epochs", "tail"), [(1, 0, ""), (3, 1, ""), (400, 5, '{"step": 4')])
def test_curves_of_a_young_an_old_and_a_killed_run(tmp_path, steps, epochs, tail):
    metrics = write_metrics(tmp_path / "metrics.jsonl", steps, epochs, tail)
    assert "Training loss" in save_figure(draw_loss(metrics), tmp_path / "loss.svg").read_text("utf-8")
    drawn = save_figure(draw_score(metrics), tmp_path / "score.svg").read_text("utf-8")
    assert f"{epochs / 10:.3f} in epoch {epochs}" in drawn if epochs else "no epoch is finished yet" in drawn


@pytest.mark.parametrize("draw_curve", [draw_loss, draw_score])
def test_curves_name_what_is_wrong(tmp_path, draw_curve):
    with pytest.raises(ModelError, match="cannot be read"):
        draw_curve(tmp_path / "none.jsonl")
    with pytest.raises(ModelError, match="no training step"):
        draw_curve(write_metrics(tmp_path / "m.jsonl", 0, 0))
    (tmp_path / "m.jsonl").write_text('{"step": 1, "lo\n{"step": 2, "loss": 1}\n', encoding="utf-8")
    with pytest.raises(ModelError, match=r"m\.jsonl:1 "):
        draw_curve(tmp_path / "m.jsonl")


def test_the_running_mean_neither_lags_nor_sags_at_the_ends():
    line = np.linspace(3.0, 1.0, 1000)
    assert np.allclose(_running_mean(np.full(1000, 2.5)), 2.5)
    assert np.allclose(_running_mean(line)[20:-20], line[20:-20])


@needs_hangul
def test_a_font_that_was_installed_since_matplotlib_made_its_list_is_found(monkeypatch):
    manager = fonts.font_manager.fontManager
    left = [entry for entry in manager.ttflist if entry.name not in fonts.HANGUL_FAMILIES]
    monkeypatch.setattr(manager, "ttflist", left)
    if fonts._add_new_fonts():  # else the font is the extra's, which is in no folder of the system
        fonts.hangul_family.cache_clear()
        assert fonts.hangul_family() in fonts.HANGUL_FAMILIES
    fonts.hangul_family.cache_clear()
