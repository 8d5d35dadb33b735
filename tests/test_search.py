"""The search: what is nearest is found, texts find what they say, and the page and the JSON say the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import draw, opened, settings_file
from serving import CLASSES, make_captioner, make_classifier
from showtell import Search, cli, load, search
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, WeightsError
from showtell.searching import by_model
from showtell.searching.by_clip import ByClip
from showtell.searching.search import make_finder

CAPTIONS = ["a red circle above two blue stars", "three green squares in a row", "노란 별 하나"]
NETWORK = {"backbone": "test_resnet", "weights": "random", "image_size": 64}
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Twelve drawn images of two classes, and a copy of the first."""
    folder = tmp_path_factory.mktemp("사진들")
    for number in range(12):
        place = folder / ("가", "나")[number % 2] / f"{number:02d}.png"
        place.parent.mkdir(exist_ok=True)
        draw(number).save(place)
    draw(0).save(folder / "가" / "복사.png")
    return folder


@pytest.fixture(scope="module")
def captioner(tmp_path_factory) -> Path:
    return make_captioner(tmp_path_factory.mktemp("captioner"), CAPTIONS)


def test_the_nearest_by_cosine_comes_first_and_the_image_itself_is_left_out(photos):
    found = search(Search(photos, like=photos / "가" / "00.png", count=5, **NETWORK))
    names = [match.image.name for match in found.matches]
    assert names[0] == "가/복사.png"
    assert "가/00.png" not in names and len(names) == 5
    import showtell

    features = showtell.features(photos, **NETWORK)
    pooled = features.pooled().astype(np.float64)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    own = features.names.index("가/00.png")
    cosines = {
        name: value for name, value in zip(features.names, pooled @ pooled[own]) if name != "가/00.png"
    }
    assert names == sorted(cosines, key=lambda name: -cosines[name])[:5]
    assert [match.score for match in found.matches] == pytest.approx(
        [cosines[name] for name in names], abs=1e-3
    )


def test_a_photo_from_elsewhere_is_encoded_and_its_copy_is_found(photos, tmp_path):
    elsewhere = tmp_path / "x.png"
    elsewhere.write_bytes((photos / "나" / "03.png").read_bytes())
    found = search(Search(photos, like=elsewhere, count=1, **NETWORK))
    assert found.matches[0].image.name == "나/03.png"
    assert found.matches[0].score == pytest.approx(1, abs=1e-3)
    draw(5).resize((80, 90)).save(elsewhere)
    assert search(Search(photos, like=elsewhere, count=2, **NETWORK)).matches[0].image.name == "나/05.png"


def test_a_text_finds_the_images_of_which_the_captioner_finds_it_likeliest(photos, captioner, store):
    finder, count = make_finder(Search(photos, text="-", run=captioner, store=store.root), QUIET)
    model = load(captioner)
    for text in ("two blue stars", "three green squares in a row"):
        found = finder.find(text, count)
        direct = {}
        for image in photos.rglob("*.png"):
            grid, _ = model.backbone(model.pixels(image).unsqueeze(0))
            ids = [*model.captioner.tokenizer.encode(text), model.captioner.tokenizer.eos_id]
            decoder, total, word = model.captioner.decoder, 0.0, model.captioner.tokenizer.bos_id
            memory = decoder.encode_grid(grid)
            state = decoder.start(memory)
            for token in ids:
                log_probs, state, _ = decoder.step(memory, state, torch.tensor([[word]]))
                total, word = total + log_probs[0, 0, token].item(), token
            direct[image.relative_to(photos).as_posix()] = total
        assert {match.image.name: match.score for match in found} == pytest.approx(direct, rel=1e-3)
        assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)


def test_among_many_a_share_is_asked_and_the_best_are_found(photos, captioner, store, monkeypatch):
    whole, count = make_finder(Search(photos, text="-", run=captioner, store=store.root), QUIET)
    scores = {match.image.name: match.score for match in whole.find("two blue stars", count)}
    asked: list[int] = []
    monkeypatch.setattr(by_model, "ASKED", 9)
    monkeypatch.setattr(by_model, "_SEEDS", 3)
    monkeypatch.setattr(by_model, "_STEP", 2)
    some, _ = make_finder(Search(photos, text="-", run=captioner, store=store.root), QUIET)
    usual = some._scores
    monkeypatch.setattr(some, "_scores", lambda text, places: asked.extend(places) or usual(text, places))
    best = some.find("two blue stars", 3)
    assert len(asked) == len(set(asked)) == 9 < count  # each at most once
    assert all(match.score == pytest.approx(scores[match.image.name], rel=1e-4) for match in best)


def test_captions_are_made_once_and_kept_by_model_and_content(
    photos, captioner, store, tmp_path, monkeypatch
):
    settings = Search(photos, text="a red circle", run=captioner, store=store.root)
    first = search(settings)
    from showtell.searching import said

    def again(*_):
        raise AssertionError("captions are there already")

    monkeypatch.setattr(said, "predict_features", again)
    assert search(settings).record() | {"seconds": 0} == first.record() | {"seconds": 0}
    (kept,) = (store.root / "captions").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])  # as a kill leaves it
    with pytest.raises(AssertionError, match="there already"):
        search(settings)
    monkeypatch.undo()
    assert search(settings).matches == first.matches
    kept.write_bytes(kept.read_bytes() + "별".encode()[:2])  # as a full disk leaves it
    assert search(settings).matches == first.matches


def test_a_classifier_finds_its_classes(photos, tmp_path):
    run = make_classifier(tmp_path / "run")
    found = search(Search(photos, text=CLASSES[0], run=run, count=13))
    model = load(run)
    expected = [model(match.image.path).probabilities[CLASSES[0]] for match in found.matches]
    assert np.exp([match.score for match in found.matches]) == pytest.approx(expected, rel=1e-2)
    with pytest.raises(ConfigError, match="'dog' is not a class"):
        search(Search(photos, text="dog", run=run))


def test_the_command_prints_and_draws_what_it_found(photos, tmp_path, capsys, browser):
    page = tmp_path / "found.html"
    like = photos / "가" / "00.png"
    network = ["--backbone", "test_resnet", "--weights", "random", *settings_file(image_size=64)]
    assert cli.run(["search", str(photos), "--like", str(like), *network, "--json", "--out", str(page)]) == 0
    printed = capsys.readouterr()
    record = json.loads(printed.out)
    assert record["images"] == 13 and len(record["matches"]) == 10
    assert record["matches"][0] | {"score": 0, "path": ""} == {
        "image": "가/복사.png", "score": 0, "path": "", "label": "가"}  # fmt: skip
    assert "가/복사.png" in printed.err
    for width, scheme in ((1280, "light"), (390, "dark")):
        with opened(browser, page, width=width, scheme=scheme) as opened_page:
            assert opened_page.locator(".gallery li").count() == 10
            assert opened_page.locator(".gallery .name").first.inner_text() == "가/복사.png"
            assert opened_page.locator("img").evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    assert str(photos) not in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs either an image or a text"),
        ({"like": "a.png", "text": "b"}, "needs either an image or a text"),
        ({"text": "  "}, "needs either an image or a text"),
        ({"text": "b", "count": 0}, "--count 0 is out of range"),
        ({"text": "b", "count": 501}, "--count 501 is out of range"),
        ({"text": "b", "out": "a.csv"}, "--out a.csv is no page"),
        ({"text": "b", "run": "r", "backbone": "x"}, "--run r has a network of its own, and --backbone name"),
        ({"like": "a.png", "run": "r", "resize": "crop", "engine": "torch"}, "and resize and engine name"),
    ],
)
def test_what_cannot_be_is_refused(settings, words):
    with pytest.raises(ConfigError) as caught:
        Search("data", **settings)
    assert words in str(caught.value)


def test_a_text_without_anybody_who_reads_is_refused_before_anything_is_encoded(photos, captioner, store):
    with pytest.raises(ConfigError, match="test_resnet does not know what a text means"):
        search(Search(photos, text="a dog", store=store.root, **NETWORK))
    assert store.spaces() == []
    with pytest.raises(ConfigError, match="knows no word of 'zzz'"):
        search(Search(photos, text="zzz", run=captioner))


def test_a_class_next_to_impossible_has_a_log_probability_all_the_same(tmp_path):
    model = load(make_classifier(tmp_path))
    model.head.linear.weight.data.mul_(1e4)
    pooled = torch.randn(8, model.config.backbone.pooled_dim, generator=torch.Generator().manual_seed(0))
    assert (model.probabilities(pooled) == 0).any()
    found = torch.stack([model.log_likelihood(pooled, pooled, name) for name in CLASSES])
    assert found.isfinite().all()
    assert found.exp().sum(0).tolist() == pytest.approx([1.0] * 8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A small CLIP of random weights: the files of timm and of open_clip in one folder."""
    pytest.importorskip("open_clip", reason="open_clip is not installed")
    import timm
    from open_clip.model import CLIP
    from safetensors.torch import save_file
    from timm.models.vision_transformer import checkpoint_filter_fn

    folder = tmp_path_factory.mktemp("clip")
    sizes = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    torch.manual_seed(0)
    model = CLIP(**sizes).eval()
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": sizes}), "utf-8")
    arguments = {"img_size": 32, "embed_dim": 64, "depth": 2, "num_heads": 2, "patch_size": 16}
    tower = timm.create_model("vit_base_patch16_clip_224", pretrained=False, num_classes=32, **arguments)
    tower.load_state_dict(checkpoint_filter_fn(model.state_dict(), tower))
    save_file(tower.state_dict(), folder / "model.safetensors")
    config = {
        "architecture": "vit_base_patch16_clip_224",
        "num_classes": 32,
        "model_args": arguments,
        "pretrained_cfg": tower.pretrained_cfg | {"input_size": [3, 32, 32], "num_classes": 32},
    }
    (folder / "config.json").write_text(json.dumps(config, default=str), "utf-8")
    return folder


def test_the_text_tower_of_a_clip_finds_by_its_own_cosine(photos, clip, store):
    from open_clip.model import CLIP
    from open_clip.tokenizer import SimpleTokenizer
    from safetensors.torch import load_file

    found = search(Search(photos, text="two stars", weights=str(clip), store=store.root, count=13))
    sizes = json.loads((clip / "open_clip_config.json").read_text("utf-8"))["model_cfg"]
    model = CLIP(**sizes).eval()
    model.load_state_dict(load_file(clip / "open_clip_model.safetensors"))
    backbone = load_backbone(weights=str(clip))
    with torch.inference_mode():
        text = model.encode_text(SimpleTokenizer(context_length=77)(["two stars"]), normalize=True)
        for match in found.matches:
            pixels = backbone.normalise(backbone.pixels(match.image.path).unsqueeze(0))
            image = model.encode_image(pixels, normalize=True)
            assert match.score == pytest.approx(float(image @ text.T), abs=2e-3)


def test_the_text_tower_of_other_weights_is_refused(clip, tmp_path):
    from safetensors.torch import load_file, save_file

    for name in ("config.json", "model.safetensors", "open_clip_config.json"):
        (tmp_path / name).write_bytes((clip / name).read_bytes())
    backbone = load_backbone(weights=str(tmp_path))
    with pytest.raises(WeightsError, match=r"open_clip_model\.safetensors of .* is not in"):
        ByClip.of(backbone, str(tmp_path))
    tensors = load_file(clip / "open_clip_model.safetensors")
    tensors["visual.conv1.weight"] = torch.randn_like(tensors["visual.conv1.weight"])
    save_file(tensors, tmp_path / "open_clip_model.safetensors")
    with pytest.raises(WeightsError, match="is not of the weights of"):
        ByClip.of(backbone, str(tmp_path))


def test_names_cannot_order_the_terminal_about(photos):
    from showtell.searching.result import Found, Match

    image = AnnotatedImage("a\x1b[2Jb\n.png", photos)
    found = Found("d", "t", None, "b", "s", 1, (Match(image, 0.5),), 0.0)
    assert "\x1b" not in found.text and found.text.count("\n") == 2
