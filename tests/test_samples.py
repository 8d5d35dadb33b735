"""Drawn scenes: what is held out, what is right, and that drawings are pure."""

import json
import math
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

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


def compositions(scene: Scene) -> set[tuple[object, str]]:
    """Pairs of colour and shape, and of a count above one and shape."""
    found: set[tuple[object, str]] = set()
    for group in scene.groups:
        found.add((group.colour, group.shape))
        if group.count > 1:
            found.add((group.count, group.shape))
    return found


def test_every_test_and_val_scene_shows_a_composition_that_train_never_shows():
    train = set().union(*(compositions(scene) for scene in make_scenes(5, 4000, "train")))
    assert all(compositions(scene) - train for scene in make_scenes(5, 1000, "test"))
    assert all(compositions(scene) - train for scene in make_scenes(5, 1000, "val"))


def test_val_and_test_hold_out_different_compositions():
    owners = {
        (count, colour, shape): held_out_in(Group(count, "big", colour, shape))
        for count in (1, 2, 3, 4)
        for colour in COLOURS
        for shape in SHAPES
    }
    pairs = Counter(owner for (count, _, _), split in owners.items() if count == 1 for owner in split)
    assert pairs == {"test": 6, "val": 6}
    assert all(split_of(scene) == "val" for scene in make_scenes(6, 300, "val"))
    mixed = Scene((Group(1, "big", "red", "square"), Group(1, "big", "red", "heart")), "above", 0)
    assert held_out_in(mixed.groups[0]) == {"test"}
    assert held_out_in(mixed.groups[1]) == {"val"}
    assert split_of(mixed) is None


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
    assert right_captions(Scene(pair, "above", 0), "en") == {
        "a big red circle above two small blue squares",
        "two small blue squares below a big red circle",
    }
    assert right_captions(Scene(pair, "left of", 0), "en") == {
        "a big red circle to the left of two small blue squares",
        "two small blue squares to the right of a big red circle",
    }
    assert right_captions(Scene((Group(3, "big", "green", "star"),), None, 0), "en") == {
        "three big green stars",
        "there are three big green stars",
    }


def test_captions_in_korean():
    pair = (Group(1, "big", "red", "circle"), Group(2, "small", "blue", "square"))
    assert right_captions(Scene(pair, "above", 0), "ko") == {
        "작은 파란 사각형 두 개 위에 큰 빨간 원",
        "큰 빨간 원 아래에 작은 파란 사각형 두 개",
    }
    assert right_captions(Scene((Group(3, "small", "green", "heart"),), None, 0), "ko") == {
        "작은 초록색 하트 세 개",
        "작은 초록색 하트가 세 개 있다",
    }
    assert "큰 노란 별이 하나 있다" in right_captions(
        Scene((Group(1, "big", "yellow", "star"),), None, 0), "ko"
    )


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
    assert is_right("There is  a big red circle.", scene, "en")
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
    picture = draw_scene(scene)
    assert picture.mode == "RGB"
    assert picture.size == (192, 192)
    assert picture.tobytes() == draw_scene(scene).tobytes()
    (placed,) = place_objects(scene)
    red, green, blue = picture.getpixel((int(placed.x * 192), int(placed.y * 192)))
    assert blue > 1.4 * green > 1.4 * red
    background = picture.getpixel((1, 1))
    assert min(background) > 160
    assert draw_scene(Scene(scene.groups, None, 78)).tobytes() != picture.tobytes()
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
        assert {sentence["raw"] for sentence in image["sentences"]} == right_captions(scene, "ko")
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
