"""What is written on a watched video: captions under it, bars of classes, within frames of any size."""

import warnings

import numpy as np
import pytest

from conftest import draw
from showtell.report.fonts import MissingGlyphWarning
from showtell.video.banner import INK, Banner


def test_a_caption_stands_under_the_image_and_leaves_it_alone():
    pixels = np.asarray(draw(1, 480))
    banner = Banner(480, 480, under=True)
    said = banner.draw(pixels, "빨간 동그라미 두 개")
    assert np.array_equal(said[:480], pixels)
    assert said.shape == banner.draw(pixels, "").shape == banner.draw(pixels, "a " * 300).shape
    assert not np.array_equal(said, banner.draw(pixels, "파란 동그라미 두 개"))
    assert (said[-1] == np.array([int(INK[i : i + 2], 16) for i in (1, 3, 5)])).all()


def test_hangul_is_drawn_in_either_normal_form_without_a_warning():
    pixels = np.zeros((480, 640, 3), np.uint8)
    banner = Banner(640, 480, under=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MissingGlyphWarning)
        drawn = [banner.draw(pixels, {name: 1.0}) for name in ("레오", "레오", "리오")]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_a_longer_bar_is_a_likelier_class():
    pixels = np.full((480, 640, 3), 90, np.uint8)
    banner = Banner(640, 480, under=False)
    orange = np.array([255, 157, 77])
    lengths = []
    for share in (0.6, 0.8, 1.0):
        drawn = banner.draw(pixels, {"a": share, "b": 1 - share}).astype(int)
        lengths.append(int((np.abs(drawn - orange).sum(2) < 12).sum(1).max()))
    assert lengths[0] > 0
    assert lengths == pytest.approx([lengths[2] * share for share in (0.6, 0.8, 1.0)], abs=3)


@pytest.mark.parametrize(("width", "height"), [(160, 120), (641, 481), (720, 1280), (1920, 1080), (50, 400)])
def test_words_stay_within_frames_of_any_size(width, height):
    pixels = np.full((height, width, 3), 90, np.uint8)
    found = {"a name that is longer than any bar could be " * 3: 0.9, "나": 0.1}
    for under, said in ((False, found), (True, "a caption that goes on and on " * 20)):
        drawn = Banner(width, height, under=under).draw(pixels, said, "1 frames/s")
        assert drawn.shape[0] % 2 == drawn.shape[1] % 2 == 0
        times = max(1, drawn.shape[1] // width)
        edge = drawn[:, width * times - 1]
        assert {tuple(pixel) for pixel in edge} <= {
            (90, 90, 90),
            (0x16, 0x15, 0x13),
        }  # nothing runs out of it
