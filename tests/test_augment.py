"""Views: pure functions of content, number and settings, and in the limits that they state."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import draw
from showtell.backbones.weights import load_backbone
from showtell.data.augment import Augmentation, View
from showtell.data.images import Preprocessing, load_pixels
from showtell.data.records import AnnotatedImage
from showtell.extraction.extract import extract_features

NOTHING = Augmentation(flip=0, crop=1, shear=0, zoom=0, shift=0, brightness=0)
SIZE = Preprocessing(64, 96, "stretch", 1.0, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def pixels() -> torch.Tensor:
    return load_pixels(draw(3), SIZE)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one.float() - other.float()).abs().mean().item()


def test_a_view_is_a_function_of_content_number_and_settings(pixels):
    view = View(1).apply(pixels, b"content")
    assert torch.equal(view, View(1).apply(pixels.clone(), b"content"))
    for other in (
        View(2).apply(pixels, b"content"),
        View(1).apply(pixels, b"another"),
        View(1, Augmentation(zoom=0.3)).apply(pixels, b"content"),
    ):
        assert apart(view, other) > 1
    torch.manual_seed(5)
    np.random.seed(5)
    assert torch.equal(view, View(1).apply(pixels, b"content"))


def test_every_setting_is_in_the_name():
    names = {View(1, replace(Augmentation(), **change)).name for change in (
        {}, {"flip": 0.1}, {"crop": 0.5}, {"shear": 1.0}, {"zoom": 0.5}, {"shift": 0.5}, {"brightness": 0.5},
        {"recipe": "other"},
    )}  # fmt: skip
    assert len(names | {View(2).name}) == 9


def test_shape_and_type_stay(pixels):
    view = View(7).apply(pixels, b"x")
    assert view.shape == pixels.shape
    assert view.dtype == torch.uint8


def test_no_change_is_no_change(pixels):
    assert apart(View(1, NOTHING).apply(pixels, b"x"), pixels) < 0.5


def test_a_flip_is_a_flip(pixels):
    flipped = View(1, replace(NOTHING, flip=1.0)).apply(pixels, b"x")
    assert apart(flipped, pixels.flip(-1)) < 0.5
    assert apart(flipped, pixels) > 1


def test_brightness_moves_the_mean_within_its_limit():
    grey = torch.full((3, 64, 64), 100, dtype=torch.uint8)
    means = [
        View(n, replace(NOTHING, brightness=0.2)).apply(grey, b"x").float().mean().item() for n in range(40)
    ]
    assert 79 <= min(means) < 90 < 110 < max(means) <= 121


def test_edges_are_mirrored_and_never_black():
    white = torch.full((3, 64, 64), 255, dtype=torch.uint8)
    wild = replace(NOTHING, shear=20, zoom=0.3, shift=0.15)
    assert min(View(n, wild).apply(white, b"x").min().item() for n in range(30)) == 255


def test_views_are_kept_in_the_store_beside_the_plain_image(images_folder, store):
    backbone = load_backbone("test_resnet", "random", image_size=64)
    images = [AnnotatedImage(path.name, path) for path in sorted(images_folder.iterdir())]
    plain = extract_features(images, backbone, store)
    one, two = (extract_features(images, backbone, store, view=View(number)) for number in (1, 2))
    again = extract_features(images, backbone, store, view=View(1))
    assert (plain.computed, one.computed, two.computed, again.computed) == (10, 10, 10, 0)
    assert one.space.id == plain.space.id
    name = images[0].name
    assert len({plain.key(name), one.key(name), two.key(name)}) == 3
    features = [part.pooled([name]) for part in (plain, one, two, again)]
    assert not np.array_equal(features[0], features[1])
    assert np.array_equal(features[1], features[3])
    # The features are those of the view that `apply` gives.
    content = images[0].path.read_bytes()
    view = View(2).apply(load_pixels(content, backbone.preprocessing), plain.digests[name])
    fresh = backbone(view.unsqueeze(0))[1].numpy()
    np.testing.assert_allclose(features[2].astype(np.float32), fresh.astype(np.float32), rtol=1e-2, atol=1e-2)
