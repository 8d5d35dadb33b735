"""Several backbones as one: features as each alone gives them, joined, and everything after training."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from conftest import ENDED, draw, encoded, settings_file
from serving import CLASSES, running
from showtell import TrainCaptioner, cli
from showtell.backbones.backbone import Backbone
from showtell.backbones.gradcam import grad_cam
from showtell.backbones.grids import Grid, as_map, blocks, join_maps, joint_shape, map_size
from showtell.backbones.joint import JointBackbone, restore_backbones
from showtell.backbones.weights import load_backbone
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, ModelError, WeightsError
from showtell.evaluation.occlusion import dependence
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.model import CaptionerModel
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import load_model, save_model
from showtell.models.captioner import Caption, Captioner, Word
from showtell.models.config import DecoderConfig
from showtell.models.heads import HeadConfig, build_head
from showtell.samples import write_captions_dataset, write_classes_dataset
from showtell.text.tokenizer import CaptionTokenizer

ALIKE = ("test_efficientnet", "test_convnext")
"""Grids of 2x2, and the same pixels."""
UNLIKE = ("test_resnet", "test_vit")
"""Grids of 2x2 and of 4x4; one resizes bilinearly, the other by bicubics."""
ONE_INPUT = ("test_convnext", "test_vit")
"""Grids of 2x2 and of 4x4 of the same pixels."""
CAPTIONS = ["a red circle above two small stars", "빨간 동그라미 위에 작은 별 두 개", "three hearts"]


def joined(names: tuple[str, ...], size: int | None = 64) -> JointBackbone:
    return JointBackbone([load_backbone(name, "random", image_size=size) for name in names])


@pytest.fixture
def images(images_folder) -> list[AnnotatedImage]:
    return [AnnotatedImage(path.name, path) for path in sorted(images_folder.iterdir())]


def captioner_of(backbone: Backbone) -> CaptionerModel:
    description = backbone.description
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind="word", vocab_size=300, min_count=1)
    torch.manual_seed(0)
    width = description.grid_shape[1]
    sizes = DecoderConfig(tokenizer.vocab_size, width, 16, 16, 8, grids=description.grids)
    captioner = Captioner(sizes, tokenizer, description.grid_size).eval()
    torch.nn.init.normal_(captioner.decoder.embed.weight, std=2.0)  # words that differ
    noise = torch.randint(0, 256, (4, *pixel_shape(backbone)), dtype=torch.uint8)
    captioner.decoder.fit_feature_scale(backbone(noise)[0])
    return CaptionerModel.of(backbone, captioner, beam_size=3)


def classifier_of(backbone: Backbone) -> ClassifierModel:
    torch.manual_seed(0)
    head = build_head(HeadConfig("linear", backbone.description.pooled_dim, len(CLASSES))).eval()
    torch.nn.init.normal_(next(p for p in head.parameters() if p.dim() == 2), std=3.0)
    return ClassifierModel.of(backbone, head, CLASSES, temperature=1.0)


def pixel_shape(backbone: Backbone) -> tuple[int, ...]:
    return tuple(backbone.pixels(draw(0)).shape)


@pytest.mark.parametrize("names", [ALIKE, ALIKE[::-1]])
def test_features_of_grids_of_one_size_are_those_of_each_network_side_by_side(images, store, names):
    backbone = joined(names)
    alone = [extract_features(images, part, store) for part in backbone.parts]
    both = extract_features(images, backbone, store)
    assert both.computed == 0, "what each network alone has encoded is used again"
    assert [space.id for space in both.spaces] == [one.space.id for one in alone]
    assert both.digests == alone[0].digests
    chosen = both.names[3:7]
    np.testing.assert_array_equal(both.grid(chosen), np.concatenate([one.grid(chosen) for one in alone], 2))
    pooled = [one.pooled(chosen).astype(np.float32) for one in alone]
    expected = np.concatenate([one / np.linalg.norm(one, axis=1, keepdims=True) for one in pooled], 1)
    np.testing.assert_allclose(both.pooled(chosen).astype(np.float32), expected, rtol=1e-3, atol=1e-7)
    assert both.pooled().shape == (len(images), backbone.description.pooled_dim) == (10, both.pooled_dim)


def test_grids_of_different_sizes_are_one_list_of_cells_with_channels_of_their_own(images, store):
    backbone = joined(UNLIKE)
    both = extract_features(images, backbone, store)
    first, second = (extract_features(images, part, store).grid() for part in backbone.parts)
    grid = both.grid()
    assert grid.shape == (10, 4 + 16, 96 + 64) == (10, *backbone.description.grid_shape)
    np.testing.assert_array_equal(grid[:, :4, :96], first)
    np.testing.assert_array_equal(grid[:, 4:, 96:], second)
    assert not grid[:, :4, 96:].any() and not grid[:, 4:, :96].any()


@pytest.mark.parametrize("names", [ALIKE, UNLIKE])
@torch.no_grad()
def test_what_a_word_depends_on_is_its_fall_without_each_cell_of_each_network(images, store, names):
    """Against a plain loop: a cell is taken away by its own mean, that of its network's channels."""
    model = captioner_of(joined(names))
    captioner, features = model.captioner, extract_features(images, model.backbone, store)
    decoder, tokenizer = captioner.decoder, captioner.tokenizer
    asked = images[:3]
    text = CAPTIONS[0]
    words = tuple(Word(word, 1.0, torch.zeros(1, 1)) for word in text.split())
    said = Caption(text, words, 0.0, token_ids=tuple(tokenizer.encode(text)))
    found = dependence(
        captioner,
        lambda part: torch.from_numpy(features.grid(part)),
        asked,
        dict.fromkeys([image.name for image in asked], said),
    )
    ids = tokenizer.encode(text)
    token_ids, lengths = torch.tensor([[[tokenizer.bos_id, *ids[:-1]]]]), torch.tensor([[len(ids)]])

    def read(grid: torch.Tensor) -> torch.Tensor:
        packed = decoder.teacher_forced(grid.unsqueeze(0), token_ids, lengths)
        return packed.logits.log_softmax(-1)[torch.arange(len(ids)), torch.tensor(ids)]

    for image in asked:
        grid = torch.from_numpy(features.grid([image])[0]).float()
        falls = torch.zeros(len(ids), len(grid))
        for cell in range(len(grid)):
            without = grid.clone()
            without[cell] = decoder.feature_mean[cell]
            falls[:, cell] = read(grid) - read(without)
        expected = as_map(falls.clamp_min(0), model.backbone.description.grids)
        maps = torch.stack([word.attention for word in found[image.name].words])
        assert expected.max() > 1e-3
        torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("names", [ALIKE, UNLIKE, ONE_INPUT])
def test_fresh_features_equal_cached_ones(images, store, names):
    backbone = joined(names)
    cached = extract_features(images, backbone, store)
    pixels = torch.stack([backbone.pixels(image.path) for image in images])
    grid, pooled = backbone(torch.cat([pixels, pixels[:6]]))  # kernels depend on the size of the batch
    assert torch.equal(grid[:10], torch.from_numpy(cached.grid()))
    assert torch.equal(pooled[:10], torch.from_numpy(cached.pooled()))


def test_an_image_is_decoded_once_for_each_different_input(images, monkeypatch):
    read = []
    monkeypatch.setattr("showtell.backbones.joint.load_pixels", lambda source, how: read.append(how) or zeros)
    zeros = torch.zeros(3, 64, 64, dtype=torch.uint8)
    for names, count in ((ALIKE, 1), (UNLIKE, 2), ((*UNLIKE, "test_convnext"), 2)):
        read.clear()
        backbone = joined(names)
        own = backbone.split(backbone.pixels(images[0].path).unsqueeze(0))
        assert len(read) == count == len(backbone.inputs)
        assert [one.shape for one in own] == [(1, 3, 64, 64)] * len(names)


def test_each_network_gets_its_own_pixels_whatever_the_image_comes_as(images):
    backbone = joined(UNLIKE, size=None)
    content = images[0].path.read_bytes()
    own = backbone.split(backbone.pixels(io.BytesIO(content)).unsqueeze(0))
    for one, part in zip(own, backbone.parts, strict=True):
        assert torch.equal(one[0], part.pixels(content))
    assert torch.equal(backbone.pixels(images[0].path), backbone.pixels(content))


def test_an_image_that_cannot_be_read_is_named_once(images, store, tmp_path):
    backbone = joined(ALIKE)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    both = extract_features([*images, AnnotatedImage("broken.png", broken)], backbone, store)
    assert len(both) == 10
    assert [problem.where for problem in both.unreadable] == ["broken.png"]


GRIDS = (Grid(2, 3, 5), Grid(4, 4, 7))


def test_every_network_is_centred_and_scaled_for_itself():
    torch.manual_seed(0)
    small, large = torch.rand(8, 6, 5) * 0.01, torch.randn(8, 16, 7) * 1000 + 3000
    grid = torch.cat([F.pad(small, (0, 7)), F.pad(large, (5, 0))], 1)
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind="word", vocab_size=300, min_count=1)
    decoder = Captioner(
        DecoderConfig(tokenizer.vocab_size, 12, 8, 8, 8, grids=GRIDS), tokenizer, (4, 4)
    ).decoder
    decoder.fit_feature_scale(grid)
    standard = decoder.standardise(grid)
    for (cells, channels), own in zip(blocks(GRIDS), (small, large), strict=True):
        alone = Captioner(
            DecoderConfig(tokenizer.vocab_size, own.shape[2], 8, 8, 8), tokenizer, (1, 1)
        ).decoder
        alone.fit_feature_scale(own)
        part = standard[:, cells, channels]
        torch.testing.assert_close(part, alone.standardise(own))
        assert 0.5 < part.std() < 1.1
    assert not standard[:, :6, 5:].any() and not standard[:, 6:, :5].any()


def test_channels_side_by_side_have_a_scale_for_each_network():
    torch.manual_seed(0)
    grids = (Grid(2, 2, 3), Grid(2, 2, 4))
    parts = torch.randn(20, 4, 3), torch.randn(20, 4, 4) * 500
    tokenizer = CaptionTokenizer.train(CAPTIONS, kind="word", vocab_size=300, min_count=1)
    decoder = Captioner(
        DecoderConfig(tokenizer.vocab_size, 7, 8, 8, 8, grids=grids), tokenizer, (2, 2)
    ).decoder
    decoder.fit_feature_scale(torch.cat(parts, 2))
    standard = decoder.standardise(torch.cat(parts, 2))
    for own in standard.split([3, 4], 2):
        torch.testing.assert_close(own.std(), torch.tensor(1.0), rtol=0.03, atol=0)


def test_a_map_of_grids_of_different_sizes_keeps_its_sum_and_its_places():
    assert joint_shape(GRIDS) == (22, 12) and map_size(GRIDS) == (4, 4)
    torch.manual_seed(0)
    weights = torch.rand(5, 22).softmax(1)
    laid = as_map(weights, GRIDS)
    assert laid.shape == (5, 4, 4) and (laid >= 0).all()
    torch.testing.assert_close(laid.sum((1, 2)), torch.ones(5))
    one = torch.zeros(22)
    one[2] = 1.0  # of the first grid, the cell at the top right
    assert as_map(one, GRIDS)[:2, 2:].sum() > 0.99 and as_map(one, GRIDS)[2:].sum() == 0
    one = torch.zeros(22)
    one[6 + 4 * 3 + 1] = 1.0  # of the second grid, the fourth row
    assert as_map(one, GRIDS)[3, 1] == 1
    torch.testing.assert_close(join_maps([torch.full((2, 3), 1 / 6)] * 2 + [torch.zeros(7, 5)]).flatten(),
                               torch.full((35,), 2 / 35))  # fmt: skip


def test_maps_of_one_size_are_laid_as_they_are():
    weights = torch.rand(3, 6)
    grids = (Grid(2, 3, 5), Grid(2, 3, 4))
    assert torch.equal(as_map(weights, grids), weights.view(3, 2, 3))


def test_the_order_matters_and_is_recorded():
    first, second = joined(ALIKE).description, joined(ALIKE[::-1]).description
    assert first.architecture == "test_efficientnet + test_convnext"
    assert second.architecture == "test_convnext + test_efficientnet"
    assert first.weights != second.weights
    assert [one.architecture for one in first.parts] == list(ALIKE)


@pytest.mark.parametrize("names", [ALIKE, UNLIKE, ONE_INPUT])
@pytest.mark.parametrize("make", [captioner_of, classifier_of])
def test_a_model_folder_says_the_same_when_it_is_loaded(tmp_path, images, names, make):
    model = save_model(tmp_path, make(joined(names)))
    loaded = load_model(tmp_path)
    assert loaded.backbone.description == model.backbone.description
    paths = [image.path for image in images]
    before, after = model(paths), loaded(paths)
    assert [one.record() for one in after] == [one.record() for one in before]
    assert len({json.dumps(one.record()) for one in before}) == len(images), "they see what differs"
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert all(f"Backbone: {name}, weights from random, seed 0, input 64x64" in readme for name in names)


@pytest.mark.parametrize("number", [0, 1])
def test_weights_of_each_network_have_a_checksum(tmp_path, number):
    save_model(tmp_path, captioner_of(joined(ALIKE)))
    tensors = load_file(tmp_path / "model.safetensors")
    name = next(
        name for name in tensors if name.startswith(f"backbone.{number}.") and tensors[name].dim() > 1
    )
    tensors[name][0] += 1
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="backbone has the weights"):
        load_model(tmp_path)


def test_networks_that_are_swapped_are_refused():
    backbone = joined(("test_vit", "test_vit4"))
    state = backbone.network.state_dict()
    swapped = {f"{1 - int(name[0])}{name[1:]}": value for name, value in state.items()}
    assert restore_backbones(backbone.description, state).description == backbone.description
    with pytest.raises((WeightsError, RuntimeError)):
        restore_backbones(backbone.description, swapped)


@pytest.mark.parametrize(
    ("backbone", "weights", "expected"),
    [
        ("a,b", None, [("a", None), ("b", None)]),
        ("a,b", "x,y", [("a", "x"), ("b", "y")]),
        ("a, b", "x,", [("a", "x"), ("b", None)]),
        ("a,b", ",random", [("a", None), ("b", "random")]),
        (None, "x,y", [(None, "x"), (None, "y")]),
        ("a", "x", [("a", "x")]),
        (None, None, [(None, None)]),
    ],
)
def test_each_network_has_weights_of_its_own(backbone, weights, expected):
    assert TrainCaptioner(Path("x"), backbone=backbone, weights=weights).networks() == expected


def test_a_path_with_a_comma_is_one_path(tmp_path):
    folder = tmp_path / "weights, mine"
    folder.mkdir()
    assert TrainCaptioner(Path("x"), weights=str(folder)).networks() == [(None, str(folder))]


@pytest.mark.parametrize(("backbone", "weights"), [("a,b", "random"), ("a,b", "x,y,z"), ("a", "x,y")])
def test_a_wrong_count_of_weights_is_told(backbone, weights):
    with pytest.raises(
        ConfigError, match=r"names \d networks \(.*\), and --weights names those of \d"
    ) as caught:
        TrainCaptioner(Path("x"), backbone=backbone, weights=weights)
    assert "--weights PATH," in caught.value.hint


def test_what_cannot_be_joined_is_told():
    with pytest.raises(ConfigError, match="test_resnet is named twice"):
        joined(("test_resnet", "test_vit", "test_resnet"))
    keeping = "test_resnet", "mobilenetv2_100"  # which keep 0.95 and 0.875 of the shorter side
    parts = [load_backbone(name, "random", image_size=96, fit="crop") for name in keeping]
    with pytest.raises(ConfigError, match="crop images differently"):
        JointBackbone(parts)


def test_grad_cam_is_the_sum_of_the_maps_of_both():
    coarse, fine = (
        load_backbone("test_resnet", "random", image_size=64),
        load_backbone("test_byobnet", "random"),
    )
    backbone = JointBackbone([coarse, fine])
    assert [one.grid_size for one in backbone.description.parts] == [(2, 2), (5, 5)]
    torch.manual_seed(0)
    weight = torch.randn(3, backbone.description.pooled_dim)
    pixels = torch.randint(0, 256, (1, *pixel_shape(backbone)), dtype=torch.uint8)
    maps = []
    for number, (part, channels) in enumerate(zip(backbone.parts, (slice(0, 96), slice(96, None)))):
        own = torch.zeros_like(weight)
        own[:, channels] = weight[:, channels]
        found = grad_cam(backbone, lambda pooled, own=own: pooled @ own.T, pixels, 1)
        own_pixels = backbone.split(pixels)[number]
        alone = grad_cam(
            part, lambda pooled, c=channels: F.normalize(pooled, dim=1) @ weight[:, c].T, own_pixels, 1
        )
        torch.testing.assert_close(found, join_maps([alone, torch.zeros(5, 5)]))
        assert found.max() > 0, number
        maps.append(found)
    both = grad_cam(backbone, lambda pooled: pooled @ weight.T, pixels, 1)
    torch.testing.assert_close(both, maps[0] + maps[1])


def test_a_server_says_of_a_large_photo_what_the_model_says():
    """A JPEG is decoded at a fraction of its size, which depends on the input that asks for it."""
    model = classifier_of(JointBackbone([load_backbone("test_resnet", "random", image_size=32),
                                         load_backbone("test_vit", "random", image_size=256)]))  # fmt: skip
    content = encoded(draw(3, 1200), "JPEG", quality=95)
    with running({"both": model}) as (client, _):
        answer = client.post("/v1/predict", content=content)
    assert answer.status_code == 200, answer.text
    shares = answer.json()["results"][0]["classes"]
    assert shares == pytest.approx(dict(model(content).top()), abs=1e-6)


SETTINGS = ["--weights", "random,random", "--epochs", "1"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Data sets of captions and of classes, and a run on each by networks that take different pixels."""
    folder = tmp_path_factory.mktemp("여럿")
    write_captions_dataset(folder / "photos", language="en", count=40, seed=0)
    write_classes_dataset(folder / "classes", count=60, seed=0)
    small = settings_file(image_size=64, hidden_dim=16, scst_epochs=1, augmentations=1)
    both = ["--backbone", ",".join(UNLIKE), *SETTINGS, "--store", str(folder / "store")]
    photos = str(folder / "photos" / "captions.json")
    images = str(folder / "photos" / "images")
    train = ["train-captioner", photos, "--images", images, *both, "--out", str(folder / "captioner"), *small]
    assert cli.run(train) in ENDED
    small = settings_file(image_size=64, augmentations=1)
    classes = ["train-classifier", str(folder / "classes"), *both[:4], *both[6:]]
    assert cli.run([*classes, "--out", str(folder / "classifier"), *small]) == 0
    return folder


@pytest.mark.parametrize("kind", ["captioner", "classifier"])
def test_what_follows_a_training_works_on_its_run(home, kind, tmp_path, capsys):
    run = home / kind
    record = json.loads((run / "config.json").read_text("utf-8"))
    assert [part["architecture"] for part in record["backbone"]["parts"]] == list(UNLIKE)
    assert record["config"]["backbone"] == ",".join(UNLIKE)
    assert cli.run(["evaluate", str(run)]) == 0
    assert cli.run(["report", str(run)]) == 0
    page = (run / "report.html").read_text("utf-8")
    assert "test_resnet at 64 × 64 pixels and test_vit at 64 × 64 pixels" in page
    photo = next((home / "photos" / "images").iterdir())
    capsys.readouterr()
    plot = tmp_path / "why.png"
    assert cli.run(["predict", str(run), str(photo), "--save-plot", str(plot), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert plot.stat().st_size > 1000
    if kind == "captioner":
        for word in said["words"]:
            heat = np.array(word["attention"])
            assert heat.shape == (4, 4) and heat.sum() == pytest.approx(1, abs=1e-3)
    assert cli.run(["export", str(run), "--out", str(tmp_path / "onnx")]) == 2
    assert "take different pixels (64x64 bilinear, 64x64 bicubic)" in capsys.readouterr().err


def test_a_captioner_of_both_is_scored_on_cached_features_as_on_fresh_ones(home):
    lines = (home / "captioner" / "predictions-val.jsonl").read_text("utf-8").splitlines()
    model = load_model(home / "captioner")
    for line in map(json.loads, lines):
        assert model(home / "photos" / "images" / line["image"]).text == line["caption"]


def test_several_are_not_fine_tuned_under_a_classifier(home, tmp_path, capsys):
    train = ["train-classifier", str(home / "classes"), "--backbone", ",".join(UNLIKE), *SETTINGS]
    train += ["--out", str(tmp_path / "run"), "--fine-tune", "0.5", *settings_file(image_size=64)]
    assert cli.run([*train, "--store", str(home / "store")]) == 2
    said = f"--fine-tune of a classifier trains one backbone, and --backbone names 2 ({','.join(UNLIKE)})"
    assert said in capsys.readouterr().err


def test_extract_fills_the_space_of_each(home, tmp_path, capsys):
    extract = ["extract", str(home / "classes"), "--weights", "random,random", "--image-size", "64", "--json"]
    found = []
    for names in (",".join(UNLIKE), ",".join(UNLIKE[::-1])):
        assert cli.run([*extract, "--store", str(tmp_path), "--backbone", names]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["computed"] == 2 * found[0]["images"] and found[1]["computed"] == 0
    assert found[0]["space"].split(", ") == found[1]["space"].split(", ")[::-1]


@pytest.mark.parametrize(("names", "make"), [(ALIKE, classifier_of), (ONE_INPUT, captioner_of)])
def test_networks_of_one_input_are_exported(tmp_path, names, make):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    save_model(tmp_path / "run" / "model", make(joined(names)))
    assert cli.run(["export", str(tmp_path / "run"), "--num-images", "4"]) == 0  # which compares the answers
    about = json.loads((tmp_path / "run" / "onnx" / "model.json").read_text("utf-8"))
    assert about["backbone"] == " + ".join(names)
