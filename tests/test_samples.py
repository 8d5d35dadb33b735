"""Drawn scenes: what is held out, what is right, and that drawings are pure."""

import json
import math
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from showtell.samples import (
    Group,
    Scene,
    class_name,
    draw_scene,
    held_out_in,
    is_right,
    make_scenes,
    place_objects,
    right_captions,
    split_of,
    write_captions,
    write_captions_dataset,
    write_classes_dataset,
)
from showtell.samples.scenes import COLOURS, SHAPES, SIZES

BACKBONE = Path(__file__).parents[1] / "src/showtell/backbones/small_backbone"
WORDS = (*COLOURS, *SHAPES)


PAIRS = {
    "test": {("red", "square"), ("yellow", "star"), ("blue", "diamond")},
    "val": {("red", "heart"), ("yellow", "circle"), ("blue", "triangle")},
}
TRIPLES = {
    "test": {
        (2, "orange", "star"),
        (2, "blue", "circle"),
        (3, "yellow", "square"),
        (3, "purple", "heart"),
        (4, "red", "triangle"),
        (4, "green", "diamond"),
    },
    "val": {
        (2, "orange", "circle"),
        (2, "blue", "star"),
        (3, "yellow", "heart"),
        (3, "purple", "square"),
        (4, "red", "diamond"),
        (4, "green", "triangle"),
    },
}


def compositions(scene: Scene) -> set[tuple[object, ...]]:
    """Pairs of colour and shape, and triples of a count above one, colour and shape."""
    found: set[tuple[object, ...]] = set()
    for group in scene.groups:
        found.add((group.colour, group.shape))
        if group.count > 1:
            found.add((group.count, group.colour, group.shape))
    return found


def test_every_test_and_val_scene_shows_a_composition_that_train_never_shows():
    train = set().union(*(compositions(scene) for scene in make_scenes(5, 6000, "train")))
    for split in ("test", "val"):
        held_out = PAIRS[split] | TRIPLES[split]
        assert not held_out & train
        scenes = make_scenes(5, 600, split)
        assert all(compositions(scene) & held_out for scene in scenes)
        assert held_out <= set().union(*(compositions(scene) for scene in scenes))


def test_what_is_held_out_is_what_is_documented():
    for split in ("test", "val"):
        groups = [
            Group(count, "big", colour, shape)
            for count in (1, 2, 3, 4)
            for colour in COLOURS
            for shape in SHAPES
            if split in held_out_in(Group(count, "small", colour, shape))
        ]
        pairs = {(group.colour, group.shape) for group in groups if group.count == 1}
        assert pairs == PAIRS[split]
        triples = {(group.count, group.colour, group.shape) for group in groups if group.count > 1}
        assert {triple for triple in triples if triple[1:] not in pairs} == TRIPLES[split]
    mixed = Scene((Group(1, "big", "red", "square"), Group(1, "big", "yellow", "circle")), "above", 0)
    assert split_of(mixed) is None


def test_train_shows_every_shape_in_five_colours_and_every_count():
    groups = [group for scene in make_scenes(1, 1500, "train") for group in scene.groups]
    for shape in SHAPES:
        assert len({group.colour for group in groups if group.shape == shape}) == 5
        assert {group.count for group in groups if group.shape == shape} == {1, 2, 3, 4}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_word_of_val_and_test_occurs_in_train(language):
    def words(split, count):
        return {
            word
            for scene in make_scenes(1, count, split)
            for caption in write_captions(scene, language)
            for word in caption.split()
        }

    train = words("train", 1000)
    assert words("val", 500) <= train
    assert words("test", 500) <= train


def test_scenes_do_not_change_when_more_are_asked_for():
    assert make_scenes(3, 50, "test")[:20] == make_scenes(3, 20, "test")
    assert make_scenes(4, 20, "test") != make_scenes(3, 20, "test")


def test_captions_in_english():
    pair = (Group(1, "big", "red", "circle"), Group(2, "small", "blue", "square"))
    assert write_captions(Scene(pair, "above", 0), "en") == (
        "two small blue squares below a big red circle",
        "a big red circle above two small blue squares",
    )
    assert write_captions(Scene(pair[::-1], "left of", 0), "en") == (
        "two small blue squares to the left of a big red circle",
        "a big red circle to the right of two small blue squares",
    )
    alone = Scene((Group(3, "big", "green", "star"),), None, 0)
    assert write_captions(alone, "en") == ("three big green stars",)


def test_captions_in_korean():
    pair = (Group(1, "big", "red", "circle"), Group(2, "small", "blue", "square"))
    assert write_captions(Scene(pair, "above", 0), "ko") == (
        "큰 빨간 원 아래에 작은 파란 사각형 두 개",
        "작은 파란 사각형 두 개 위에 큰 빨간 원",
    )
    assert write_captions(Scene(pair[::-1], "left of", 0), "ko") == (
        "큰 빨간 원 왼쪽에 작은 파란 사각형 두 개",
        "작은 파란 사각형 두 개 오른쪽에 큰 빨간 원",
    )
    assert write_captions(Scene((Group(3, "small", "green", "heart"),), None, 0), "ko") == (
        "작은 초록색 하트 세 개",
    )
    assert write_captions(Scene((Group(1, "big", "yellow", "star"),), None, 0), "ko") == ("큰 노란 별 하나",)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_caption_decides_the_scene(language):
    """Two scenes that share a right caption show the same thing, so a wrong word is never right."""
    meaning: dict[str, tuple[object, ...]] = {}
    for scene in make_scenes(9, 3000, "train") + make_scenes(9, 1000, "test"):
        for caption in write_captions(scene, language):
            assert meaning.setdefault(caption, (scene.groups, scene.relation)) == (
                scene.groups,
                scene.relation,
            )


def test_right_forgives_case_blanks_full_stop_and_decomposed_hangul():
    scene = Scene((Group(1, "big", "red", "circle"),), None, 0)
    assert is_right("A big  red circle.", scene, "en")
    assert is_right(unicodedata.normalize("NFD", "큰 빨간 원 하나"), scene, "ko")
    assert not is_right("a red circle", scene, "en")
    assert not is_right("two big red circles", scene, "en")
    assert not is_right("", scene, "en")


def test_objects_lie_inside_apart_and_as_the_relation_says():
    for scene in make_scenes(2, 1500, "train"):
        objects = place_objects(scene)
        assert len(objects) == sum(group.count for group in scene.groups)
        for place, one in enumerate(objects):
            assert one.radius < min(one.x, one.y, 1 - one.x, 1 - one.y)
            for other in objects[:place]:
                assert math.dist((one.x, one.y), (other.x, other.y)) > one.radius + other.radius
        if scene.relation is None:
            continue
        first = [one for one in objects if one.group == scene.groups[0]]
        second = [one for one in objects if one.group == scene.groups[1]]
        axis = "y" if scene.relation == "above" else "x"
        other_axis = "x" if axis == "y" else "y"

        def middle(group, name):
            return sum(getattr(one, name) for one in group) / len(group)

        assert max(getattr(one, axis) for one in first) < 0.5 < min(getattr(one, axis) for one in second)
        along = middle(second, axis) - middle(first, axis)
        assert along > abs(middle(second, other_axis) - middle(first, other_axis))


def test_a_drawing_is_pure_and_shows_the_colour_at_the_place():
    scene = Scene((Group(1, "big", "blue", "square"),), None, 77)
    image = draw_scene(scene)
    assert image.mode == "RGB"
    assert image.size == (192, 192)
    assert image.tobytes() == draw_scene(scene).tobytes()
    (placed,) = place_objects(scene)
    red, green, blue = image.getpixel((int(placed.x * 192), int(placed.y * 192)))
    assert blue > 1.4 * green > 1.4 * red
    background = image.getpixel((1, 1))
    assert min(background) > 160
    assert draw_scene(Scene(scene.groups, None, 78)).tobytes() != image.tobytes()
    assert draw_scene(scene, 64).size == (64, 64)


def test_the_captions_data_set_brings_its_splits_and_is_reproducible(tmp_path: Path):
    scenes = write_captions_dataset(tmp_path / "a", language="ko", count=60, seed=8)
    write_captions_dataset(tmp_path / "b", language="ko", count=60, seed=8)
    table = json.loads((tmp_path / "a/captions.json").read_text(encoding="utf-8"))
    assert Counter(image["split"] for image in table["images"]) == {"train": 48, "val": 5, "test": 7}
    assert [image["filename"] for image in table["images"]] == list(scenes)
    for image in table["images"]:
        scene = scenes[image["filename"]]
        assert split_of(scene) == image["split"]
        captions = [sentence["raw"] for sentence in image["sentences"]]
        assert set(captions) <= right_captions(scene, "ko")
        assert len(captions) == (1 if image["split"] == "train" else len(right_captions(scene, "ko")))
        drawn = tmp_path / "a" / image["filepath"] / image["filename"]
        assert drawn.read_bytes() == (tmp_path / "b/images" / image["filename"]).read_bytes()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_class_folders_are_named_after_the_shapes(tmp_path: Path, language):
    scenes = write_classes_dataset(tmp_path, count=80, seed=3, language=language)
    on_disk = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert on_disk == set(scenes)
    for name, scene in scenes.items():
        split, label, _ = name.split("/")
        assert split == split_of(scene)
        assert label == class_name(scene.groups[0].shape, language)
    assert {name.split("/")[1] for name in scenes} == {class_name(shape, language) for shape in SHAPES}


def test_sizes_are_told_apart_by_eye():
    radii = {
        size: [
            one.radius
            for look in range(100)
            for one in place_objects(Scene((Group(2, size, "red", "star"),), None, look))
        ]
        for size in SIZES
    }
    assert min(radii["big"]) > 1.4 * max(radii["small"])


def test_the_shipped_backbone_reads_unseen_compositions_by_a_linear_map():
    """How many of each colour and shape, from the mean of the grid, fitted on train, asked on test."""
    network = timm.create_model(f"local-dir:{BACKBONE}", pretrained=True).eval()
    config = network.pretrained_cfg

    def look(scenes):
        pixels = np.stack([np.asarray(draw_scene(scene, config["input_size"][-1])) for scene in scenes])
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        mean, std = (torch.tensor(config[name]).view(3, 1, 1) for name in ("mean", "std"))
        with torch.inference_mode():
            grid = network.forward_features((images - mean) / std)
        assert grid.shape[1:] == (80, 8, 8)
        counts = [
            [
                sum(group.count * (word in (group.colour, group.shape)) for group in scene.groups)
                for word in WORDS
            ]
            for scene in scenes
        ]
        pooled = grid.mean(dim=(2, 3))
        return torch.cat([pooled, torch.ones(len(scenes), 1)], 1), torch.tensor(counts, dtype=torch.float32)

    features, counts = look(make_scenes(11, 400, "train"))
    ridge = torch.linalg.solve(features.T @ features + 1e-3 * torch.eye(81), features.T @ counts)
    features, counts = look(make_scenes(11, 100, "test"))
    right = ((features @ ridge).round() == counts).float().mean()
    assert right > 0.93


def test_the_shipped_backbone_is_small_half_precision_and_keeps_no_path():
    weights = load_file(BACKBONE / "model.safetensors")
    assert (BACKBONE / "model.safetensors").stat().st_size < 500_000
    assert {value.dtype for value in weights.values()} == {torch.float16, torch.int64}
    config = json.loads((BACKBONE / "config.json").read_text(encoding="utf-8"))
    assert set(config) == {"architecture", "num_classes", "num_features", "model_args", "pretrained_cfg"}
    assert "/" not in json.dumps(config)
