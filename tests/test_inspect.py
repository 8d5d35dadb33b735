"""An inspection of a data set finds what was planted in it, names it, and raises no false alarm."""

import base64
import csv
import io
import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from conftest import opened, shared
from showtell.cli import run
from showtell.data.image_info import perceptual_hash, read_image_info
from showtell.data.images import open_image
from showtell.data.records import AnnotatedImage
from showtell.data.scenes import SAME_HASH
from showtell.errors import ConfigError, DataError, StoreError
from showtell.inspection.check import Finding
from showtell.inspection.inspect import inspect
from showtell.inspection.page import bars, columns_of, grouped, shorten
from showtell.inspection.result import Inspection, Spread
from showtell.inspection.settings import Inspect
from showtell.inspection.word_counts import WordCounts
from showtell.samples import write_captions_dataset
from showtell.store.store import FeatureStore, content_digest
from showtell.text.tokenizer import CaptionTokenizer

CAT = "고양이"
HOSTILE = "<script>alert(1)</script> \"'& {{ 7*7 }}"


def photo(number: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Draw soft blotches, different ones for every number."""
    grain = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def findings(found: Inspection) -> dict[str, Finding]:
    kinds = [finding.kind for finding in found.findings]
    assert len(kinds) == len(set(kinds))
    return dict(zip(kinds, found.findings))


def visible(page: Path) -> str:
    """Return the text of a page, one blank between words."""
    texts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = texts.append  # type: ignore[method-assign]
    parser.feed(page.read_text(encoding="utf-8"))
    return " ".join(" ".join(texts).split())


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    """Class folders with splits and ten planted faults."""
    root = tmp_path_factory.mktemp("data")
    cats = unicodedata.normalize("NFD", CAT)
    assert cats != CAT
    for split, start in (("Train", 0), ("Validation", 100)):
        for number in range(12):
            save(photo(start + number), root / split / cats / f"{number}.jpg", quality=90)
            save(photo(start + 50 + number), root / split / "dog" / f"{number}.jpg", quality=90)
    dog, val = root / "Train" / "dog", root / "Validation" / "dog"
    (val / "copy.jpg").write_bytes((dog / "0.jpg").read_bytes())
    (val / "both.jpg").write_bytes((root / "Train" / cats / "1.jpg").read_bytes())
    save(open_image(dog / "1.jpg").resize((400, 300)), val / "again.jpg", quality=50)
    save(ImageEnhance.Brightness(open_image(dog / "2.jpg")).enhance(1.15), dog / "burst.png")
    (dog / "twice.jpg").write_bytes((dog / "3.jpg").read_bytes())
    whole = save(photo(900, (800, 600)), dog / "cut.jpg").read_bytes()
    (dog / "cut.jpg").write_bytes(whole[: len(whole) * 9 // 10])
    (dog / "page.jpg").write_bytes(b"<!doctype html><html>not found</html>")
    exif = Image.Exif()
    exif[0x0112] = 6
    save(photo(901, (120, 160)), dog / "lying.jpg", exif=exif)
    exif[0x0112] = 77
    save(photo(902), dog / "nonsense.jpg", exif=exif)
    save(photo(903).convert("CMYK"), dog / "print.jpg")
    save(Image.new("RGB", (90, 90), "teal"), dog / "plain.png")
    save(photo(904, (40, 400)), dog / "strip.png")
    save(photo(905), root / "Train" / "Dog " / "0.jpg")
    (dog / "notes.txt").write_text("of the trip", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def found(classes, tmp_path_factory) -> Inspection:
    out = tmp_path_factory.mktemp("out") / "new" / "inspect.html"
    return inspect(Inspect(classes, out=out, store=out.parent / "store"))


PLANTED = {
    "cut off": ["Train/dog/cut.jpg"],
    "unreadable": ["Train/dog/page.jpg"],
    "one photo, two labels": [f"Train/{CAT}/1.jpg", "Validation/dog/both.jpg"],
    "both sides of a split": ["Train/dog/0.jpg", "Validation/dog/copy.jpg"],
    "nearly on both sides of a split": ["Train/dog/1.jpg", "Validation/dog/again.jpg"],
    "near-duplicates": ["Train/dog/2.jpg", "Train/dog/burst.png"],
    "exact duplicates": ["Train/dog/3.jpg", "Train/dog/twice.jpg"],
    "rotated": ["Train/dog/lying.jpg: orientation 6"],
    "nonsense rotation": ["Train/dog/nonsense.jpg"],
    "colour mode": ["Train/dog/print.jpg: CMYK in JPEG"],
    "one plain colour": ["Train/dog/plain.png"],
    "tiny": ["Train/dog/strip.png: 40x400"],
    "strip": ["Train/dog/strip.png: 40x400"],
    "decomposed name": [f"Train/{CAT}/0.jpg: {CAT}"],
    "small class": ["Dog: 1 image"],
    "class missing in a split": ["Dog"],
    "alike class names": ["dog"],
    "not an image": ["Train/dog/notes.txt"],
}


@pytest.mark.parametrize("kind", PLANTED)
def test_every_planted_fault_is_found_and_named(found, kind):
    finding = findings(found)[kind]
    for place in PLANTED[kind]:
        assert any(place in line for line in finding.places), finding.places
    alone = {"decomposed name": 24, "both sides of a split": 2}  # the two labels stand in two splits as well
    assert finding.count == len(finding.places) == alone.get(kind, 1)


def test_nothing_else_is_found(found):
    assert set(findings(found)) == set(PLANTED)
    levels = [finding.level for finding in found.findings]
    assert levels == sorted(levels, key=["error", "warning", "info"].index)


def test_no_image_is_skipped(found, classes):
    files = [path for path in classes.rglob("*") if path.suffix in (".jpg", ".png")]
    assert found.images == len(files)
    assert found.files.count == len(files) - 2
    assert sum(found.splits.values()) == sum(one.count for one in found.classes) == len(files)
    assert found.files.rotations == {6: 1, 0: 1}
    assert found.files.modes["CMYK"] == 1
    assert found.files.shapes["square"] == 1
    assert found.files.width == Spread(40, 160, 400)


def test_data_without_fault_is_told_so(tmp_path, capsys):
    for number in range(24):
        save(photo(number), tmp_path / "data" / ("a" if number % 2 else "b") / f"{number}.png")
    out = tmp_path / "inspect.html"
    assert run(["inspect", str(tmp_path / "data"), "--out", str(out), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["findings"] == []
    assert "No fault was found" in said.err
    assert "No fault was found" in visible(out)


def test_the_terminal_names_what_to_do(classes, tmp_path, capsys):
    assert run(["inspect", str(classes), "--out", str(tmp_path / "inspect.html")]) == 0
    said = capsys.readouterr().err
    text = said[said.index(f"{classes} (classes)") :]
    for words in (
        "[!] 1 image is cut off",
        "Train/dog/cut.jpg: the image cannot be decoded",
        f"  {CAT} ",
    ):
        assert words in text
    advice = [line for line in text.splitlines() if line.strip().startswith("-> ")]
    assert len(advice) == len(PLANTED)
    assert max(columns_of(line) for line in text.splitlines()[1:-1]) <= 88
    assert text.splitlines()[-1].startswith(f"The same with images: {tmp_path / 'inspect.html'}")


def test_the_page_shows_it_and_asks_nobody_for_anything(found):
    page = Path(found.page)
    text = visible(page)
    for finding in found.findings:
        assert finding.what in text and finding.advice in text
        assert all(" ".join(place.split()) in text for place in finding.places[:100])
    assert CAT in text
    source = page.read_text(encoding="utf-8")
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', source)
    assert len(images) >= 24 + 8
    for encoded in images:
        assert max(Image.open(io.BytesIO(base64.b64decode(encoded))).size) <= 240
    rest = re.sub(r"base64,[^\"]+", "", source)
    assert not re.search(r"https?:|[\"'(]//|@import|url\(|<script [^>]*src|<link|<iframe", rest)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in rest


@pytest.fixture(scope="module")
def captions_page(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("장면")
    write_captions_dataset(root / "data", language="ko", count=30, seed=0)
    return Path(inspect(Inspect(root / "data", out=root / "inspect.html", store=root / "store")).page)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("what", ["classes", "captions"])
def test_a_browser_shows_the_page_and_a_keyboard_reaches_what_to_do(
    browser, found, captions_page, what, width, scheme
):
    path = Path(found.page) if what == "classes" else captions_page
    with opened(browser, path, width=width, scheme=scheme) as page:
        blank = "all => all.filter(one => !(one.complete && one.naturalWidth)).length"
        assert page.locator("img").evaluate_all(blank) == 0
        cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
        assert page.locator(".chart th, .count, .level, .summary dd").evaluate_all(cut) == []
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        found = page.locator("#found")
        assert found.evaluate("one => one.getBoundingClientRect().top < innerHeight")
        if what == "captions":
            return
        for _ in range(40):
            page.keyboard.press("Tab")
            folded = page.locator("details:not([open]) > summary:focus")
            if folded.count():
                break
        places = page.locator("details:has(> summary:focus) .places")
        assert not places.is_visible()
        page.keyboard.press("Enter")
        assert places.is_visible()


def test_a_photo_that_lies_on_its_side_is_shown_upright_without_its_exif(classes, tmp_path):
    info = read_image_info(AnnotatedImage("lying.jpg", classes / "Train" / "dog" / "lying.jpg"))
    assert (info.width, info.height, info.orientation) == (160, 120, 6)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_file_that_is_cut_off_is_no_image(tmp_path, format, share):
    content = io.BytesIO()
    photo(0, (800, 600)).save(content, format)
    path = tmp_path / "cut"
    path.write_bytes(content.getvalue()[: int(len(content.getvalue()) * share)])
    if format != "WEBP":
        assert Image.open(path).size == (800, 600), "its header reads well"
    assert read_image_info(AnnotatedImage("cut", path)).reason
    path.write_bytes(content.getvalue())
    info = read_image_info(AnnotatedImage("whole", path))
    assert (info.reason, info.width, info.height, info.format) == ("", 800, 600, format)
    assert info.digest == content_digest(content.getvalue())


def test_the_exif_of_a_png_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 8
    path = save(photo(0), tmp_path / "a.png", exif=exif)
    info = read_image_info(AnnotatedImage("a.png", path))
    assert (info.orientation, info.width, info.height) == (8, 120, 160)


def cosine(first: Image.Image, second: Image.Image) -> float:
    one, other = (perceptual_hash(image).astype(float) for image in (first, second))
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


def test_the_hash_knows_a_changed_copy_and_no_other_image():
    original = photo(1, (640, 480))
    compressed = io.BytesIO()
    original.save(compressed, "JPEG", quality=30)
    changed = [
        Image.open(compressed),
        original.resize((200, 150)),
        ImageEnhance.Brightness(original).enhance(0.8),
        original.convert("L"),
        original.crop((6, 5, 634, 475)),
    ]
    assert min(cosine(original, copy) for copy in changed) >= SAME_HASH
    others = [photo(number) for number in range(2, 60)] + [original.transpose(Image.Transpose.ROTATE_180)]
    assert max(cosine(original, other) for other in others) < SAME_HASH / 2


def write_captions(folder: Path, rows: list[tuple[str, str]]) -> Path:
    for name, _ in rows:
        if name.startswith("photo"):
            save(photo(int(name[5:-4])), folder / "images" / name)
    table = folder / "captions.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("image", "caption"), *rows])
    return table


def test_captions_are_counted_and_their_faults_named(tmp_path):
    rows = [(f"photo{n}.png", "A dog runs.") for n in range(4)]
    rows += [(f"photo{n}.png", f"{CAT}가 그림 {n}번 위에 앉아 있다") for n in range(20)]
    rows += [
        ("photo0.png", "!!!"),
        ("gone.png", "a cat"),
        ("photo20.png", HOSTILE),
        ("photo1.png", "a dog runs"),
    ]
    table = write_captions(tmp_path, rows)
    (tmp_path / "images" / "copy.png").write_bytes((tmp_path / "images" / "photo5.png").read_bytes())
    with table.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(("copy.png", "another one"))
    found = inspect(Inspect(table, out=tmp_path / "inspect.html", vocab_size=16))
    named = findings(found)
    assert named["captions repeated across images"].places == ("4 images: A dog runs.",)
    assert named["captions without words"].places == ("photo0.png: !!!",)
    assert named["missing image"].level == "error" and "gone.png" in named["missing image"].places[0]
    assert named["exact duplicates"].places == ("photo5.png = copy.png",)
    assert named["rare words"].level == "warning"
    captions = found.captions
    assert captions.count == len(rows)  # less the missing image, and one more for the copy
    assert captions.per_image.counts == {1: 18, 2: 2, 3: 2}
    assert captions.words_per_caption.spread.min == 0
    assert (tmp_path / "inspect.html").read_text(encoding="utf-8").count("<script") == 1
    text = visible(tmp_path / "inspect.html")
    assert HOSTILE in text and f"{CAT}가 그림" in text


@pytest.mark.parametrize("min_count", [1, 2, 5])
@pytest.mark.parametrize("vocab_size", [30, 10_000])
def test_coverage_is_that_of_the_tokenizer(min_count, vocab_size):
    captions = [" ".join(f"w{i}" for i in range(number % 37 + 1)) + " the dog's" for number in range(120)]
    counts = WordCounts.of(captions)
    tokenizer = CaptionTokenizer.train(captions, vocab_size=vocab_size, min_count=min_count)
    count, share = counts.known(min_count=min_count, vocab_size=vocab_size)
    assert count == tokenizer.vocab_size - 4
    assert share == pytest.approx(tokenizer.coverage(captions))


def test_frequent_and_rare_words():
    counts = WordCounts.of(["the the the dog", "the dog", "a cat", "zebra cat"])
    assert counts.frequent(3) == [("the", 4), ("cat", 2), ("dog", 2)]
    assert counts.rare(2) == [("a", 1), ("zebra", 1)]
    assert counts.rare(99)[-1] == ("the", 4) and len(counts.rare(99)) == 5


def put_features(store: Path, files: list[Path], vectors: np.ndarray) -> None:
    description = {
        "architecture": "net", "weights": "00", "dtype": "float16", "grid_shape": None, "pooled_dim": 64,
        "preprocessing": {"width": 8, "height": 8},
    }  # fmt: skip
    space = FeatureStore(store).space(description)
    space.put([(content_digest(file.read_bytes()), None, vector) for file, vector in zip(files, vectors)])


def test_features_of_the_store_tell_near_duplicates(tmp_path):
    files = [save(photo(n), tmp_path / "data" / "ab"[n % 2] / f"{n:02}.png") for n in range(24)]
    vectors = np.random.default_rng(0).normal(size=(24, 64))
    vectors[22] = vectors[0] * 1.1
    config = Inspect(tmp_path / "data", out=tmp_path / "inspect.html", store=tmp_path / "store")
    put_features(tmp_path / "store", files[:-1], vectors)
    assert inspect(config).near_duplicates_by == "perceptual hash", "of one image there are no features"
    with pytest.raises(StoreError, match="showtell extract"):
        inspect(Inspect(config.data, out=config.out, store=config.store, backbone="net"))
    put_features(tmp_path / "store", files, vectors)
    found = inspect(config)
    assert found.near_duplicates_by == "features of net"
    assert findings(found)["near-duplicates"].places == ("a/00.png = a/22.png",)


def test_images_without_words_are_inspected_and_told_apart(tmp_path):
    save(photo(1), tmp_path / "data" / "only" / "1.png")
    found = inspect(Inspect(tmp_path / "data", out=tmp_path / "inspect.html"))
    assert (found.images, found.format) == (1, "classes")
    assert findings(found)["one class"].places == ("only",)
    (tmp_path / "data" / "only" / "1.png").write_bytes(b"")
    assert inspect(Inspect(tmp_path / "data", out=tmp_path / "inspect.html")).files.count == 0
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError):
        inspect(Inspect(tmp_path / "none", out=tmp_path / "inspect.html"))
    with pytest.raises(ConfigError, match="vocab-size"):
        Inspect(tmp_path, vocab_size=3)


def test_bars_and_columns():
    assert bars([0, 1, 999, 1000], 10) == [0, 1, 10, 10]
    assert bars([0], 5) == [0]
    assert columns_of(f"a{CAT}") == 7
    assert shorten(CAT * 5, 12) == "고양이고양…" and shorten("dog", 3) == "dog"
    assert grouped({1: 5, 3: 2, 9: 1}, 3) == [("1-3", 7), ("4-6", 0), ("7-9", 1)]
    assert grouped({5: 7000}, 8) == [("5", 7000)]


def test_real_photos_are_read_in_time(tmp_path):
    found = inspect(
        Inspect(shared("data", "knyang"), out=tmp_path / "inspect.html", store=tmp_path / "store")
    )
    assert found.images == found.files.count == 418
    assert found.seconds < 60
