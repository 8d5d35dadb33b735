"""Previews show what training does: its views, its normalisation, its tokens; and they say what they show."""

import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, IMAGENET_INCEPTION_MEAN

from conftest import draw
from showtell import cli
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.augment import Augmentation, View
from showtell.data.images import load_pixels
from showtell.errors import ConfigError, DataError, ImageError
from showtell.extraction.command import images_of
from showtell.previews import augment as views
from showtell.previews import preview as task
from showtell.previews.augment import gauges
from showtell.previews.normalize import normalisations, with_expected
from showtell.previews.preview import preview, preview_augment
from showtell.previews.selection import named, part_for_words, readable, shuffled, with_unknown
from showtell.previews.settings import Preview, PreviewAugment, PreviewNormalize, PreviewTokens
from showtell.previews.tokens import BYTES, Row, draw_tokens, pad, token_lines, tokens_of
from showtell.report.wrapping import columns_of
from showtell.samples import write_captions_dataset, write_classes_dataset
from showtell.store.store import content_digest
from showtell.text.tokenizer import CaptionTokenizer

NOTHING = Augmentation(flip=0, crop=1, shear=0, zoom=0, shift=0, brightness=0)
SMALL = {"backbone": "test_resnet", "image_size": 64}
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("모양")
    write_classes_dataset(folder, count=30, seed=0, language="ko")
    return folder


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("장면")
    write_captions_dataset(folder, count=40, seed=0, language="ko")
    return folder


def dot(view: View) -> tuple[np.ndarray, object]:
    """Return how a dot above the middle of an image moved, in (x, y) pixels, and what the view did."""
    pixels = torch.zeros(3, 101, 101, dtype=torch.uint8)
    pixels[:, 28:33, 48:53] = 255
    seen = view.apply(pixels, b"x")[0].double()
    ys, xs = torch.meshgrid(torch.arange(101.0), torch.arange(101.0), indexing="ij")
    centre = np.array([float((seen * at).sum() / seen.sum()) for at in (xs, ys)])
    return centre - (50, 30), view.changes(b"x", 101, 101)


@pytest.mark.parametrize("number", range(1, 5))
def test_changes_say_where_the_pixels_went(number):
    moved, did = dot(View(number, replace(NOTHING, shift=0.2)))
    assert moved == pytest.approx((101 * did.shift_x, 101 * did.shift_y), abs=0.6)
    moved, did = dot(View(number, replace(NOTHING, zoom=0.3)))
    assert moved == pytest.approx((0, 20 * (1 - did.zoom)), abs=0.6)
    moved, did = dot(View(number, replace(NOTHING, shear=20)))
    assert moved == pytest.approx((20 * np.tan(np.radians(did.shear)), 0), abs=0.6)
    grey = torch.full((3, 32, 32), 100, dtype=torch.uint8)
    brighter = View(number, replace(NOTHING, brightness=0.4))
    ratio = brighter.apply(grey, b"x").double().mean().item() / 100
    assert ratio == pytest.approx(brighter.changes(b"x", 32, 32).brightness, abs=0.011)


def test_changes_say_whether_a_view_is_mirrored_and_what_was_cut():
    ramp = torch.arange(100, dtype=torch.uint8).expand(3, 80, 100)
    mirrored = []
    for number in range(40):
        view = View(number, replace(NOTHING, flip=0.5, crop=0.5))
        did = view.changes(b"x", 80, 100)
        row = view.apply(ramp, b"x")[0, 40].int()
        mirrored.append(did.flip)
        assert bool(row[0] > row[-1]) == did.flip
        seen = sorted((int(row[0]), int(row[-1])))
        assert seen == pytest.approx([did.left, did.left + did.columns - 1], abs=2)
    assert 10 <= sum(mirrored) <= 30


def test_gauges_put_every_change_between_its_limits():
    limits = Augmentation()
    for number in range(30):
        for gauge in gauges(View(number).changes(b"y", 64, 64), limits, 64, 64):
            assert all(0 <= at <= 1 for at in gauge.at), gauge
    did = View(1).changes(b"y", 64, 64)
    words = {
        gauge.name: gauge
        for gauge in gauges(replace(did, zoom=1.15, shear=-10.0, brightness=1.0), limits, 64, 64)
    }
    assert (words["zoom"].text, words["zoom"].at) == ("× 1.15", pytest.approx((1.0,)))
    assert (words["shear"].text, words["shear"].at) == ("−10°", pytest.approx((0.0,)))
    assert (words["brightness"].text, words["brightness"].at) == ("0%", pytest.approx((0.5,)))
    assert all(gauge.at for gauge in gauges(View(1, NOTHING).changes(b"y", 9, 9), NOTHING, 9, 9))


def test_the_views_are_those_of_training(classes, tmp_path, monkeypatch):
    caught = []
    monkeypatch.setattr(views, "draw_views", lambda rows, limits, out: caught.extend(rows) or out)
    preview_augment(PreviewAugment(data=classes, count=3, augmentations=2, out=tmp_path / "a.png", **SMALL))
    backbone = load_backbone("test_resnet", "random", image_size=64)
    assert len({row.name.split("/")[1] for row in caught}) == 3, "each of another class"
    for row in caught:
        assert row.name.startswith("train/")
        content = (classes / row.name).read_bytes()
        plain = load_pixels(content, backbone.preprocessing)
        assert torch.equal(row.plain, plain)
        for number, (pixels, _) in enumerate(row.views, start=1):
            assert torch.equal(pixels, View(number).apply(plain, content_digest(content)))


def photo(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.beta(2, (2, 3, 5), (40, 30, 3)) * 255).astype(np.uint8)


def all_of(pixels: np.ndarray):
    imagenet = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    return normalisations(pixels, (0.4, 0.5, 0.6), (0.2, 0.2, 0.3), 200, imagenet)


def test_each_normalisation_gives_what_it_promises():
    pixels = photo()
    plain, scaled, own, data, imagenet, signed = (choice.apply(pixels) for choice in all_of(pixels))
    assert (plain == pixels / 255).all()
    assert (scaled.min(), scaled.max()) == pytest.approx((0, 1))
    # The standard deviation, and not the variance, is what an image is divided by.
    assert own.mean((0, 1)) == pytest.approx([0, 0, 0], abs=1e-9)
    assert own.std((0, 1)) == pytest.approx([1, 1, 1])
    assert data[0, 0, 2] == pytest.approx((pixels[0, 0, 2] / 255 - 0.6) / 0.3)
    assert imagenet[3, 4, 0] == pytest.approx((pixels[3, 4, 0] / 255 - 0.485) / 0.229)
    assert signed == pytest.approx(pixels / 127.5 - 1)


def test_an_image_of_one_colour_is_no_division_by_zero():
    for choice in all_of(np.full((8, 8, 3), 200, np.uint8)):
        assert np.isfinite(choice.apply(np.full((8, 8, 3), 200, np.uint8))).all()


@pytest.mark.parametrize(
    ("mean", "std", "name"),
    [
        (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, "ImageNet's"),
        (IMAGENET_INCEPTION_MEAN, (0.5, 0.5, 0.5), "From −1 to 1"),
        ((0, 0, 0), (1, 1, 1), "As it is"),
        ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), "The backbone's own"),
    ],
)
def test_the_backbone_finds_what_it_expects(mean, std, name):
    choices, expected = with_expected(all_of(photo()), mean, std)
    assert choices[expected].name == name
    backbone_sees = (photo() / 255 - np.array(mean)) / np.array(std)
    assert choices[expected].apply(photo()) == pytest.approx(backbone_sees, abs=2e-2)


def test_normalize_takes_the_statistics_of_training_images(tmp_path):
    for split, level in (("train", 51), ("val", 255)):
        for label in ("가", "나"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(3):
                grey = Image.new("RGB", (40, 30), (level, level, 102))
                grey.save(tmp_path / split / label / f"{number}.png")
    (tmp_path / "train" / "가" / "bad.png").write_bytes(b"no image")
    config = PreviewNormalize(data=tmp_path, **SMALL)
    images = [one for one in images_of(config, QUIET) if one.split == "train"]
    preprocessing, _ = config.preprocessing()
    mean, std, count = task._data_statistics(images, preprocessing, config, QUIET)
    assert (mean, std, count) == (pytest.approx([0.2, 0.2, 0.4]), pytest.approx([0, 0, 0], abs=1e-6), 6)


def trained(kind: str = "word", **settings: int) -> CaptionTokenizer:
    captions = ["A dog's red ball.", "A red dog runs!", "빨간 공", "빨간 공 하나"]
    return CaptionTokenizer.train(captions, kind=kind, **{"vocab_size": 320, "min_count": 1} | settings)


def test_tokens_are_those_of_the_tokenizer_and_unknown_words_keep_their_name():
    tokenizer = trained()
    caption = "A red zebra's ball"
    tokens = tokens_of(tokenizer, caption, 60)
    assert [token.text for token in tokens] == ["<bos>", "a", "red", "zebra", "'s", "ball", "<eos>"]
    assert [token.id for token in tokens[1:-1]] == tokenizer.encode(caption)
    assert [token.text for token in tokens if token.kind == "unknown"] == ["zebra"]
    assert [token.text for token in tokens if token.joined] == ["'s"]
    cut = tokens_of(tokenizer, caption, 2)
    assert [token.text for token in cut] == ["<bos>", "a", "red"], "training cuts long captions so"
    long, short = pad([tokens, tokens_of(tokenizer, "red", 60)], tokenizer.pad_id)
    assert len(long) == len(short)
    assert [token.id for token in short] == [1, short[1].id, 2, 0, 0, 0, 0]


def test_pieces_of_words_hang_together_and_bytes_are_no_boxes():
    tokenizer = trained("bpe")
    tokens = tokens_of(tokenizer, "빨간 공 뷁", 60)[1:-1]
    assert [token.id for token in tokens] == tokenizer.encode("빨간 공 뷁")
    words = "".join(("" if token.joined else " ") + token.text for token in tokens).split()
    assert words[:2] == ["빨간", "공"]
    assert set(words[2]) == {BYTES, "␣"} and len(words) == 3
    assert not any("\ufffd" in token.text for token in tokens)


def rows_of(*captions: str, kind: str = "word") -> list[Row]:
    tokenizer = trained(kind)
    padded = pad([tokens_of(tokenizer, caption, 60) for caption in captions], tokenizer.pad_id)
    return [Row("사진.png", draw(1), caption, tokens) for caption, tokens in zip(captions, padded)]


@pytest.mark.parametrize("width", [30, 80])
@pytest.mark.parametrize("colour", [False, True])
def test_terminal_lines_align_and_fit_with_hangul_too(width, colour):
    rows = rows_of("빨간 공 고양이 a red dog runs " * 3, unicodedata.normalize("NFD", "빨간 공"))
    lines = token_lines(rows, width, colour=colour)
    assert ("\033[" in "".join(lines)) == colour
    bare = [re.sub(r"\033\[[\d;]*m", "", line) for line in lines]
    starts = 0
    for group in "\n".join(bare).strip("\n").split("\n\n"):
        _, *token_rows = group.split("\n")
        for above, below in zip(token_rows[::2], token_rows[1::2]):
            assert max(columns_of(above), columns_of(below)) <= width
            ids = [columns_of(below[: m.start()]) for m in re.finditer(r"(<unk> )?\d+", below)]
            words = [columns_of(above[: m.start()]) for m in re.finditer(r"\S+( × \d+)?", above)]
            assert ids == words, (above, below)
            starts += len(ids)
    assert starts >= len(rows[0].tokens)
    assert any("<unk> 3" in line for line in bare), "unknown words can be told without colours"
    assert any("<pad> × " in line for line in bare)


def test_width_of_letters():
    assert columns_of("dog") == 3
    assert columns_of("고양이") == 6
    assert columns_of("e\u0301") == columns_of("e\u200b") == 1
    assert columns_of(unicodedata.normalize("NFD", "고양이")) == 6


def test_words_are_learnt_from_training_and_shown_from_elsewhere(captions, classes):
    images = list(images_of(PreviewTokens(data=captions), QUIET))
    learn, unseen, _ = part_for_words(images, 2, 0)
    assert {one.split for one in learn} == {"train"} and {one.split for one in unseen} == {"val"}
    assert len(learn) == sum(one.split == "train" for one in images)
    loose = [replace(one, split=None) for one in images]
    learn, unseen, how = part_for_words(loose, 2, 0)
    assert len(learn) + len(unseen) == len(loose) and not set(learn) & set(unseen)
    assert len(unseen) == len(loose) // 10 and "no split" in how
    alone, shown, _ = part_for_words(loose[:1], 4, 0)
    assert alone == shown == loose[:1]


def test_a_caption_with_an_unknown_word_is_brought_forward(captions):
    images = list(images_of(PreviewTokens(data=captions), QUIET))
    tokenizer = CaptionTokenizer.train([images[0].captions[0]], min_count=1)
    known = [replace(images[0], name=str(number)) for number in range(9)]
    strange = replace(known[0], name="strange", captions=("뷁",))
    assert [one.name for one in with_unknown([*known, strange], 3, tokenizer)][:4] == [
        "0",
        "1",
        "strange",
        "2",
    ]
    assert with_unknown(known, 3, tokenizer) == known


def test_images_are_chosen_by_seed_and_by_name(classes, tmp_path):
    images = list(images_of(PreviewAugment(data=classes), QUIET))
    assert shuffled(images, 1) == shuffled(images, 1) != shuffled(images, 2)
    assert set(shuffled(images, 1)) == set(images)
    one = images[5]
    assert [found.image for found in named(images, [unicodedata.normalize("NFD", one.name)])] == [one]
    base = one.name.rsplit("/", 1)[1]
    twins = [replace(one, name=f"{folder}/{base}") for folder in "ab"]
    with pytest.raises(DataError, match="2 images are called"):
        named(twins, [base])
    with pytest.raises(DataError, match="No images are called 없음") as error:
        named(images, ["없음.png"])
    assert ".png" in error.value.hint
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"<html>")
    broken = replace(one, name="bad.png", path=bad)
    assert [found.image for found in readable([broken, one], 1, QUIET)] == [one]
    with pytest.raises(DataError, match="None of the 1 images"):
        readable([broken], 1, QUIET)
    with pytest.raises(ImageError):
        preview_augment(PreviewAugment(data=tmp_path, show=("bad.png",), out=tmp_path / "x.png", **SMALL))


def test_each_preview_writes_an_image_of_everything(classes, captions, images_folder, tmp_path):
    for number, what in enumerate(
        [
            PreviewAugment(data=classes, count=1, augmentations=1, **SMALL),
            PreviewAugment(data=captions, resize="crop", augmentations=3, show=("val_00000.png",), **SMALL),
            PreviewAugment(data=images_folder, **SMALL),
            PreviewNormalize(data=classes, sample=5, **SMALL),
            PreviewNormalize(data=images_folder, image="고양이.jpg", **SMALL),
            PreviewTokens(data=captions),
            PreviewTokens(data=captions, tokenizer="bpe", vocab_size=280, count=12),
            PreviewTokens(data=captions, show=("train_00000.png",), min_count=9),
        ]
    ):
        out = tmp_path / "새 폴더" / f"{number}.png"
        assert preview(Preview(replace(what, out=out))) == out
        with Image.open(out) as image:
            image.load()
            assert image.width > 700 and np.asarray(image).std() > 10


@pytest.mark.parametrize("caption", ["빨간 공", "a " * 90, "x" * 400, "costs $5 {a} \\frac <eos> !", "..."])
def test_nothing_on_a_sheet_of_tokens_is_cut_off(tmp_path, caption):
    rows = rows_of(caption, "a red dog")
    out = draw_tokens(rows, "A note.", tmp_path / "tokens.png")
    paper = np.asarray(Image.open(out).convert("RGB"))
    edges = np.concatenate([paper[:20].reshape(-1, 3), paper[-20:].reshape(-1, 3)])
    sides = np.concatenate([paper[:, :20].reshape(-1, 3), paper[:, -20:].reshape(-1, 3)])
    assert (edges == 255).all() and (sides == 255).all()


def test_mistakes_are_told_in_one_message(classes, captions, images_folder, tmp_path, capsys):
    for arguments, words in (
        (["tokens", classes], "has images but no captions"),
        (["tokens", images_folder], "has images but no captions"),
        (["augment", classes, "--augmentations", "13"], "--augmentations 13 is out of range"),
        (["augment", classes, "--count", "0"], "--count 0 is out of range"),
        (["augment", classes, "--backbone", "resnet5000"], "knows no network 'resnet5000'"),
        (["normalize", classes, "--out", "x.doc"], "names no figure format"),
        (["normalize", classes, "--image", "없다.png"], "No images are called 없다.png"),
        (["tokens", captions, "--min-count", "9999"], "No word occurs 9999 times"),
        (["augment", tmp_path / "none"], "There is no file or folder"),
    ):
        assert cli.run(["preview", *map(str, arguments)]) == 2
        said = capsys.readouterr().err
        assert words in said and "Traceback" not in said, said


def test_the_command_line_names_the_three_and_says_where_the_image_is(
    captions, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        cli.run(["preview", "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in ("augment", "normalize", "tokens"))
    assert cli.run(["preview", "tokens", str(captions), "--count", "2"]) == 0
    said = capsys.readouterr().err
    assert "preview-tokens.png" in said and (tmp_path / "preview-tokens.png").is_file()
    assert "<bos>" in said and "\033[" not in said, "no colours where nobody looks"


def test_colours_only_where_a_terminal_takes_them(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert task._takes_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not task._takes_colour()


def test_ranges_are_checked():
    for wrong in ({"count": 13}, {"augmentations": 0}, {"seed": -1}, {"image_size": 8}):
        with pytest.raises(ConfigError):
            PreviewAugment(data="x", **wrong)
