"""Scenes: told at any number of them, never whole classes; by time of taking; by the groups of the data."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from conftest import draw
from showtell.data.groups import (
    BURST_SECONDS,
    Groups,
    Taken,
    bursts_by_time,
    find_groups,
    similarity_of,
    time_of_taking,
)
from showtell.data.near_duplicates import Similarity, near_duplicate_groups
from showtell.data.records import AnnotatedImage
from showtell.data.scenes import COPY, NEAR_DUPLICATE, Pixels, feature_similarity, pixel_similarity


def bursts(scenes: int, frames: int, loose: float = 0.3, seed: int = 0, dim: int = 64, mean: float = 1.0):
    """Features of frames about their scenes' middles, which share a mean; and hashes that agree with them."""
    random = np.random.default_rng(seed)
    middles = mean * np.ones(dim) + random.normal(size=(scenes, dim))
    vectors = np.repeat(middles, frames, 0) + loose * random.normal(size=(scenes * frames, dim))
    hashes = np.sign(np.repeat(random.normal(size=(scenes, 480)), frames, 0)) * (
        random.random((scenes * frames, 480)) < 0.8
    )
    return vectors.astype(np.float32), hashes.astype(np.float32)


def grouped(vectors: np.ndarray, hashes: np.ndarray) -> list[list[str]]:
    similarity = feature_similarity(
        vectors, lambda places: Pixels(hashes[list(places)], hashes[list(places)]), "features"
    )
    names = [str(number) for number in range(len(vectors))]
    return near_duplicate_groups(names, similarity.vectors, threshold=similarity.threshold)


@pytest.mark.parametrize("mean", [0.0, 1.0, 2.0])
@pytest.mark.parametrize(("scenes", "frames"), [(2, 12), (2, 500), (3, 5), (5, 12), (10, 12), (40, 12)])
def test_bursts_are_told_at_any_number_of_scenes(scenes: int, frames: int, mean: float):
    vectors, hashes = bursts(scenes, frames, mean=mean)
    expected = [[str(s * frames + f) for f in range(frames)] for s in range(scenes)]
    assert grouped(vectors, hashes) == expected


@pytest.mark.parametrize("alone", [10, 60, 400])
def test_bursts_among_single_photos_are_told(alone: int):
    vectors, hashes = bursts(5, 12, loose=0.15)
    others, other_hashes = bursts(alone, 1, seed=1)
    found = grouped(np.concatenate([vectors, others]), np.concatenate([hashes, other_hashes]))
    assert found == [[str(s * 12 + f) for f in range(12)] for s in range(5)]


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_classes_are_not_taken_for_scenes(classes: int):
    """Images of one class are alike in features; their pixels are no more alike than those of others."""
    random = np.random.default_rng(classes)
    vectors, _ = bursts(classes, 30, loose=0.3)
    hashes = random.choice([-1.0, 0.0, 1.0], size=(classes * 30, 480)).astype(np.float32)
    assert grouped(vectors, hashes) == []


@pytest.mark.parametrize("mean", [3.0, 10.0])
def test_where_features_find_all_alike_pixels_tell(mean: float):
    random = np.random.default_rng(0)
    vectors = (mean * np.ones(64) + random.normal(size=(60, 64))).astype(np.float32)
    _, hashes = bursts(5, 12)
    assert grouped(vectors, hashes) == [[str(s * 12 + f) for f in range(12)] for s in range(5)]
    different = random.choice([-1.0, 0.0, 1.0], size=(60, 480)).astype(np.float32)
    assert grouped(vectors, different) == []


def test_chains_tell_nothing():
    """A continuum, in which everything is near its neighbour, is no scene."""
    angles = np.linspace(0, np.pi / 2, 300)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    similarity = feature_similarity(
        ring, lambda places: Pixels(ring[list(places)], ring[list(places)]), "features"
    )
    assert (similarity.threshold, similarity.informative) == (COPY, False)
    assert not pixel_similarity(Pixels(ring, ring)).informative


def test_ordinary_photos_keep_the_measured_threshold():
    vectors, hashes = bursts(500, 1)
    similarity = feature_similarity(
        vectors, lambda places: Pixels(hashes[list(places)], hashes[list(places)]), "features"
    )
    assert similarity.threshold == NEAR_DUPLICATE


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_image_is_no_fault(count: int):
    vectors, hashes = bursts(1, 2)
    similarity = feature_similarity(
        vectors[:count], lambda places: Pixels(hashes[list(places)], hashes[list(places)]), "features"
    )
    assert len(similarity.vectors) == count


# --- time of taking


def photo(path: Path, number: int, moment: str | None, subsec: str = "", model: str = "A1") -> AnnotatedImage:
    image = draw(number, 64)
    exif = Image.Exif()
    exif[0x0110] = model
    if moment is not None:
        exif.get_ifd(0x8769)[0x9003] = moment
        exif.get_ifd(0x8769)[0x9291] = subsec
    image.save(path, exif=exif)
    return AnnotatedImage(path.name, path)


def exif_of(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.info["exif"]


def test_the_time_of_taking_is_read_with_its_fraction(tmp_path):
    photo(tmp_path / "a.jpg", 0, "2024:05:06 07:08:09", "250")
    photo(tmp_path / "b.jpg", 0, "2024:05:06 07:08:10")
    first, second = (time_of_taking(tmp_path / name) for name in ("a.jpg", "b.jpg"))
    assert first is not None
    assert second is not None
    assert first.camera == second.camera == "A1"
    assert second.seconds - first.seconds == pytest.approx(0.75)


def test_the_time_of_a_heic_is_read_as_well(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    photo(tmp_path / "a.jpg", 0, "2024:05:06 07:08:09", "250")
    heif.from_pillow(draw(0)).save(tmp_path / "a.heic", exif=exif_of(tmp_path / "a.jpg"))
    assert time_of_taking(tmp_path / "a.heic") == time_of_taking(tmp_path / "a.jpg") is not None


@pytest.mark.parametrize("place", [33, -12])  # before the pixels, and behind them
def test_the_time_of_a_png_is_read_without_its_pixels(tmp_path, recwarn, place):
    photo(tmp_path / "a.jpg", 0, "2024:05:06 07:08:09")
    exif = b"eXIf" + exif_of(tmp_path / "a.jpg").removeprefix(b"Exif\0\0")
    draw(0).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    block = (len(exif) - 4).to_bytes(4, "big") + exif + crc32(exif).to_bytes(4, "big")
    content = content[:place] + block + content[place:]
    # A width and height at which Pillow warns, and more than its pixels are there for.
    header = b"IHDR" + (12_000).to_bytes(4, "big") * 2 + content[24:29]
    content = content[:12] + header + crc32(header).to_bytes(4, "big") + content[33:]
    (tmp_path / "a.png").write_bytes(content)
    assert time_of_taking(tmp_path / "a.png") == time_of_taking(tmp_path / "a.jpg") is not None
    assert not recwarn.list


@pytest.mark.parametrize("moment", [None, "0000:00:00 00:00:00", "yesterday", ""])
def test_no_time_is_no_fault(tmp_path, moment):
    photo(tmp_path / "a.jpg", 0, moment)
    assert time_of_taking(tmp_path / "a.jpg") is None
    (tmp_path / "no.jpg").write_bytes(b"nothing")
    assert time_of_taking(tmp_path / "no.jpg") is None
    assert time_of_taking(tmp_path / "absent.jpg") is None


def pairs(taken: list[Taken | None], cosines: float, informative: bool = True) -> list[tuple[int, int]]:
    """Find bursts among photos of which each two have one cosine."""
    basis = np.eye(len(taken), dtype=np.float32) * (1 - cosines) ** 0.5
    vectors = np.concatenate([basis, np.full((len(taken), 1), cosines**0.5, np.float32)], 1)
    return bursts_by_time(taken, Similarity("features", vectors, NEAR_DUPLICATE, informative))


def test_one_camera_within_seconds_and_alike_is_a_burst():
    near, far = BURST_SECONDS, BURST_SECONDS + 0.1
    taken = [Taken("A", 0), Taken("A", near), Taken("A", near + far), Taken("B", 0), None]
    assert pairs(taken, 0.75) == [(0, 1)]
    assert pairs(taken, 0.6) == []
    assert pairs(taken, 0.1, informative=False) == [(0, 1)]


def test_a_clock_that_stands_still_tells_nothing():
    assert len(pairs([Taken("A", 5.0)] * 20, 0.8)) == 190
    assert pairs([Taken("A", 5.0)] * 100, 0.8) == []


def test_groups_join_features_time_copies_and_the_data(tmp_path):
    images = [
        photo(tmp_path / "0.jpg", 0, "2024:05:06 07:08:09"),
        photo(tmp_path / "1.jpg", 1, "2024:05:06 07:08:11"),
        *(photo(tmp_path / f"{number}.jpg", number, None) for number in range(2, 9)),
    ]
    images[4] = AnnotatedImage("4.jpg", tmp_path / "4.jpg", group="patient 1")
    images[5] = AnnotatedImage("5.jpg", tmp_path / "5.jpg", group="patient 1")
    vectors = np.eye(9, 16, dtype=np.float32)
    vectors[:, 15] = 1.7  # cosines of 0.74: alike, but no near-duplicates
    vectors[2] = vectors[3]
    digests = {image.name: image.name.encode() for image in images}
    digests["7.jpg"] = digests["6.jpg"]
    similarity = Similarity("features", vectors, NEAR_DUPLICATE)
    found = find_groups(images, digests, similarity)
    together = [group for group in found.members() if len(group) > 1]
    assert together == [["0.jpg", "1.jpg"], ["2.jpg", "3.jpg"], ["4.jpg", "5.jpg"], ["6.jpg", "7.jpg"]]
    assert found.count == 5
    assert "9 images are 5 groups" in found.sentence()
    assert "time of taking" in found.criteria
    assert Groups({"a": 0, "b": 1}, "features").sentence() == ""


def test_frames_that_the_package_draws_are_scenes_by_their_pixels(tmp_path):
    """Even where the features are noise: files, hashes and groups together."""
    images = []
    random = np.random.default_rng(0)
    for scene in range(5):
        base = np.asarray(draw(scene, 96), float)
        for frame in range(6):
            pixels = np.roll(base, random.integers(-1, 2, 2), (0, 1)) * random.uniform(0.9, 1.1)
            path = tmp_path / f"{scene}_{frame}.png"
            Image.fromarray((pixels + random.normal(0, 3, base.shape)).clip(0, 255).astype(np.uint8)).save(
                path
            )
            images.append(AnnotatedImage(path.name, path))
    vectors = (5 + random.normal(size=(30, 64))).astype(np.float32)
    similarity = similarity_of(images, vectors, "features")
    found = find_groups(images, {}, similarity)
    assert found.by == "colours and outlines"
    assert [{name[0] for name in group} for group in found.members()] == [{str(s)} for s in range(5)]
