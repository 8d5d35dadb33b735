"""An image is looked at once: found again by name or by content, whatever was stopped, cut off or moved."""

import contextlib
import os
import random
import shutil
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import draw, encoded
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.images import load_pixels
from showtell.data.records import AnnotatedImage
from showtell.errors import StoreError
from showtell.extraction import executor, extract
from showtell.extraction.executor import BATCH_SIZE
from showtell.extraction.extract import extract_features
from showtell.extraction.threads import ThreadExecutor
from showtell.store.space import FeatureSpace
from showtell.store.store import FeatureStore

NETWORK = {"name": "mobilenetv3_small_050", "weights": "random", "image_size": 32}
LONG_AGO = time.time() - 3600


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(**NETWORK)


@pytest.fixture(scope="module")
def drawn() -> list[bytes]:
    return [encoded(draw(number, 48), "PNG") for number in range(80)]


def write(folder: Path, contents, first: int = 0) -> list[AnnotatedImage]:
    """Write images that are an hour old: fresher ones are read again, since a write could go unseen."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number, content in enumerate(contents, first):
        path = folder / f"그림 {number:03d}.png"
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        images.append(AnnotatedImage(path.name, path))
    return images


def features_of(result) -> dict[str, bytes]:
    """Return the features of each image as bytes."""
    names = sorted(result.digests)
    grid, pooled = result.grid(names), result.pooled(names)
    return {name: grid[i].tobytes() + pooled[i].tobytes() for i, name in enumerate(names)}


def reads(monkeypatch) -> list[Path]:
    """Note every image that is read from here on."""
    seen: list[Path] = []
    read = executor.read_content
    monkeypatch.setattr(executor, "read_content", lambda path: (seen.append(path), read(path))[1])
    return seen


def test_features_are_those_of_the_backbone(tmp_path, store, backbone, drawn):
    images = write(tmp_path, drawn[:BATCH_SIZE])
    result = extract_features(images, backbone, store)
    grid, pooled = backbone(torch.stack([load_pixels(p.path, backbone.preprocessing) for p in images]))
    assert result.grid(images).tobytes() == grid.numpy().tobytes()
    assert result.pooled(images).tobytes() == pooled.numpy().tobytes()
    assert result.computed == BATCH_SIZE
    assert len({*features_of(result).values()}) == BATCH_SIZE  # none stands for another


def test_company_does_not_change_features(tmp_path, store, backbone, drawn):
    """Alone, in a full batch, first or last: to the last bit the same."""
    images = write(tmp_path / "p", drawn[:40])
    together = features_of(extract_features(images, backbone, store))
    shuffled = random.Random(1).sample(images, 40)
    other = FeatureStore(tmp_path / "other")
    assert features_of(extract_features(shuffled, backbone, other)) == together
    single = FeatureStore(tmp_path / "single")
    for image in images[:3]:
        alone = features_of(extract_features([image], backbone, single))
        assert alone[image.name] == together[image.name]


def test_workers_do_not_change_anything(tmp_path, store, backbone, drawn):
    images = write(tmp_path / "p", drawn[:40])
    one = extract_features(images, backbone, store, executor=ThreadExecutor(1))
    many = extract_features(images, backbone, FeatureStore(tmp_path / "b"), executor=ThreadExecutor(9))
    assert features_of(one) == features_of(many)
    assert list(one.digests) == list(many.digests)


def test_a_second_run_reads_no_image(tmp_path, store, backbone, drawn, monkeypatch):
    images = write(tmp_path / "p", drawn[:10])
    first = features_of(extract_features(images, backbone, store))
    seen = reads(monkeypatch)
    again = extract_features(images, backbone, store)
    assert seen == []
    assert again.computed == 0
    assert features_of(again) == first


def test_another_network_reads_again_but_leaves_the_first_alone(tmp_path, store, backbone, drawn):
    images = write(tmp_path / "p", drawn[:5])
    first = extract_features(images, backbone, store)
    before = features_of(first)
    other = extract_features(images, load_backbone(**NETWORK, seed=1), store)
    assert other.computed == 5
    assert other.space.id != first.space.id
    assert features_of(first) == before != features_of(other)


def test_lower_precision_is_a_space_of_its_own_with_nearly_the_same_features(
    tmp_path, store, backbone, drawn
):
    images = write(tmp_path / "photos", drawn[:40])
    low = load_backbone(**NETWORK, precision="bfloat16")
    full, rough = (extract_features(images, one, store) for one in (backbone, low))
    assert rough.computed == len(images) and rough.space.id != full.space.id
    assert low.description.weights == backbone.description.weights
    one, other = (part.pooled(images).astype(np.float32) for part in (full, rough))
    cosines = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert cosines.min() > 0.99 and not np.array_equal(one, other)
    alone = extract_features(images[:1], low, FeatureStore(tmp_path / "another"))
    assert features_of(alone).items() <= features_of(rough).items()


def test_a_processor_without_the_precision_is_told_of(tmp_path, store, drawn, monkeypatch, capsys):
    images = write(tmp_path / "photos", drawn[:2])
    low = load_backbone(**NETWORK, precision="bfloat16")
    for has, first in ((True, 0), (False, 1)):
        monkeypatch.setattr(extract, "has_fast_bfloat16", lambda device, has=has: has)
        extract_features(images[first : first + 1], low, store, console=Console())
        assert ("--precision float32 is faster" in capsys.readouterr().err) is not has


def test_renamed_moved_and_copied_files_are_recognised(tmp_path, store, backbone, drawn):
    images = write(tmp_path / "p", drawn[:6])
    before = features_of(extract_features(images, backbone, store))
    moved = []
    for number, image in enumerate(images):
        path = tmp_path / "새 폴더" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        image.path.rename(path)
        moved.append(AnnotatedImage(path.name, path))
    after = extract_features(moved, backbone, store)
    assert after.computed == 0
    assert list(features_of(after).values()) == list(before.values())


def test_a_changed_file_is_looked_at_again(tmp_path, store, backbone, drawn):
    images = write(tmp_path / "p", drawn[:4])
    before = features_of(extract_features(images, backbone, store))
    images[2].path.write_bytes(drawn[9])
    after = extract_features(images, backbone, store)
    assert after.computed == 1
    changed = features_of(after)
    assert [name for name in before if changed[name] != before[name]] == [images[2].name]


def test_a_file_changed_within_its_second_is_not_mistaken(tmp_path, store, backbone, drawn):
    """Same name, same size, written twice at once: the content decides."""
    one, other = (encoded(draw(n, 16), "BMP") for n in (1, 2))
    assert len(one) == len(other)
    path = tmp_path / "a.bmp"
    path.write_bytes(one)
    first = features_of(extract_features([AnnotatedImage("a", path)], backbone, store))
    stamp = path.stat()
    path.write_bytes(other)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert features_of(extract_features([AnnotatedImage("a", path)], backbone, store)) != first


def test_unreadable_images_are_named_and_the_others_unaffected(tmp_path, store, backbone, drawn):
    good = write(tmp_path / "p", drawn[:40])
    clean = features_of(extract_features(good, backbone, FeatureStore(tmp_path / "clean")))
    bad = write(tmp_path / "bad", [b"", b"<html>404</html>", drawn[50][:300], b"version https://git-lfs"])
    bad = [AnnotatedImage(f"나쁜 {i}", image.path) for i, image in enumerate(bad)]
    bad += [AnnotatedImage("missing", tmp_path / "no.png"), AnnotatedImage("folder", tmp_path)]
    mixed = random.Random(2).sample(good + bad, len(good) + len(bad))
    result = extract_features(mixed, backbone, store)
    assert features_of(result) == clean
    reasons = {problem.where: problem.detail for problem in result.unreadable}
    assert reasons.keys() == {image.name for image in bad}
    words = ("empty", "web page", "cannot be decoded", "LFS", "No such file", "directory")
    assert all(word in reasons[image.name] for word, image in zip(words, bad))
    again = extract_features(mixed, backbone, store)  # named in every run, not only in the first
    assert again.computed == 0
    assert {problem.where for problem in again.unreadable} == reasons.keys()


def test_duplicates_are_looked_at_once_near_and_far(tmp_path, store, backbone, drawn):
    contents = [*drawn[:3], drawn[0], *drawn[3:70], drawn[1]]
    images = write(tmp_path / "p", contents)
    result = extract_features(images, backbone, store)
    assert result.computed == 70 == len(result.space)
    assert len(result.digests) == 72
    features = features_of(result)
    assert features[images[0].name] == features[images[3].name]
    assert features[images[1].name] == features[images[-1].name]
    unique = extract_features(write(tmp_path / "q", drawn[:70]), backbone, FeatureStore(tmp_path / "u"))
    assert {*features_of(unique).values()} == {*features.values()}


def test_no_room_is_said_before_anything_is_read(tmp_path, store, backbone, drawn, monkeypatch):
    images = write(tmp_path / "p", drawn[:5])
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(extract.shutil, "disk_usage", lambda path: usage)
    seen = reads(monkeypatch)
    with pytest.raises(StoreError, match=r"5 images take .* has 1\.0 kB free") as caught:
        extract_features(images, backbone, store)
    assert "--store" in caught.value.hint
    assert seen == []
    monkeypatch.undo()
    assert extract_features(images, backbone, store).computed == 5


def test_a_failing_write_surfaces_and_loses_no_earlier_batch(tmp_path, store, backbone, drawn, monkeypatch):
    images = write(tmp_path / "p", drawn)
    put = FeatureSpace.put
    calls = []

    def failing(self, items, **options):
        calls.append(1)
        if len(calls) == 2:
            raise StoreError("the disk is full")
        return put(self, items, **options)

    monkeypatch.setattr(FeatureSpace, "put", failing)
    with pytest.raises(StoreError, match="disk is full"):
        extract_features(images, backbone, store)
    monkeypatch.undo()
    result = extract_features(images, backbone, store)
    assert result.computed == len(images) - BATCH_SIZE


def test_nothing_to_do_is_no_error(store, backbone):
    result = extract_features([], backbone, store)
    assert result.computed == 0 == len(result)


def extract_slowly(tell: Connection, images: list[AnnotatedImage], root: Path) -> None:
    """Extract in batches of 4, telling of every image that is read."""
    read = executor.read_content
    executor.BATCH_SIZE = 4
    executor.read_content = lambda path: (tell.send(path), time.sleep(0.002), read(path))[2]
    extract_features(images, load_backbone(**NETWORK), FeatureStore(root), executor=ThreadExecutor(2))


def killed_after(reads: int, images: list[AnnotatedImage], root: Path) -> None:
    """Extract in a process of its own, and kill that process once it has read so many images."""
    hear, tell = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=extract_slowly, args=(tell, images, root))
    process.start()
    tell.close()
    with hear, contextlib.suppress(EOFError):
        for _ in range(reads):
            hear.recv()
        process.kill()
    process.join()


def test_killed_again_and_again_it_ends_as_if_undisturbed(tmp_path, backbone, drawn, monkeypatch):
    monkeypatch.setattr(executor, "BATCH_SIZE", 4)
    images = write(tmp_path / "p", drawn)
    whole = features_of(
        extract_features(images, backbone, FeatureStore(tmp_path / "whole"), executor=ThreadExecutor(2))
    )
    root = tmp_path / "killed"
    chance = random.Random(7)
    kept = []
    for _ in range(4):  # at most 12 are read ahead of the three batches that are looked at or wait for it
        killed_after(chance.randint(29, 38), images, root)
        kept.append(len(FeatureStore(root).space(backbone.description.for_store())))
    assert kept == sorted(kept)
    assert 0 < kept[0] < len(images), kept
    result = extract_features(images, backbone, FeatureStore(root), executor=ThreadExecutor(2))
    assert result.computed == len(images) - kept[-1]
    assert features_of(result) == whole
