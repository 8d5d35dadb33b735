"""Decoded images that are kept give the features that their files give, to the last bit, whatever happens."""

import errno
import os
import signal
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from conftest import draw, encoded
from showtell.backbones.weights import load_backbone
from showtell.console import Log
from showtell.data.augment import View
from showtell.data.images import load_pixels
from showtell.data.pixels.preprocessing import Preprocessing
from showtell.data.records import AnnotatedImage
from showtell.errors import StoreError
from showtell.extraction import decoded, executor
from showtell.extraction.command import extract
from showtell.extraction.decoded import decoded_pixels, kept_pixels
from showtell.extraction.extract import extract_features
from showtell.extraction.processes import ProcessExecutor
from showtell.extraction.settings import Extract
from showtell.store import kept_images
from showtell.store.command import list_store
from showtell.store.kept_images import NAME, KeptImages
from showtell.store.settings import Store
from showtell.store.store import FeatureStore, content_digest
from test_store import child, finished

NETWORK = {"name": "mobilenetv3_small_050", "weights": "random", "image_size": 32}
ORIENTATION = 0x0112


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


CONTENTS = {
    "phone": encoded(draw(1, 700).crop((0, 60, 700, 540)), "JPEG", exif=exif(6)),
    "small": encoded(draw(2, 90), "JPEG"),
    "progressive": encoded(draw(3, 333), "JPEG", progressive=True, exif=exif(3)),
    "grey": encoded(draw(4, 200).convert("L"), "JPEG"),
    "inks": encoded(draw(5, 300).convert("CMYK"), "JPEG"),
    "wide": encoded(draw(6, 600).crop((0, 0, 600, 70)), "JPEG"),
    "png": encoded(draw(7, 300), "PNG"),
    "webp": encoded(draw(8, 120), "WEBP"),
}


def preprocessing(size: int, fit: str = "stretch") -> Preprocessing:
    return Preprocessing(size, size, fit, 0.875, "bicubic", (0.5,) * 3, (0.5,) * 3)


@pytest.fixture
def images(tmp_path) -> list[AnnotatedImage]:
    """An image of each kind, an hour old: fresher ones are read again, since a write could go unseen."""
    found = []
    for name, content in CONTENTS.items():
        path = tmp_path / name
        path.write_bytes(content)
        os.utime(path, (time.time() - 3600,) * 2)
        found.append(AnnotatedImage(name, path))
    return found


def bytes_of(features) -> dict[str, bytes]:
    grid, pooled = features.grid(), features.pooled()
    return {name: grid[i].tobytes() + pooled[i].tobytes() for i, name in enumerate(features.names)}


def keeping(store: FeatureStore) -> FeatureStore:
    return FeatureStore(store.root, keep_images=True)


def nothing_is_read(monkeypatch) -> None:
    def refuse(*_, **__):
        raise AssertionError("an image was read")

    monkeypatch.setattr(executor, "read_content", refuse)
    monkeypatch.setattr(decoded, "decode", refuse)


@pytest.mark.parametrize("fit", ["stretch", "crop"])
@pytest.mark.parametrize("most", [decoded.MAX_BYTES, 0], ids=["the decode", "the input"])
@pytest.mark.parametrize("name", CONTENTS)
def test_what_was_kept_gives_the_pixels_of_the_file(tmp_path, monkeypatch, name, most, fit):
    monkeypatch.setattr(decoded, "MAX_BYTES", most)
    kept, content = KeptImages(tmp_path, keeping=True), CONTENTS[name]
    digest = content_digest(content)
    for size in (32, 40, 64, 100):
        how = preprocessing(size, fit)
        expected = load_pixels(content, how)
        first = decoded_pixels(content, digest, how, kept)
        again = kept_pixels(digest, how, kept)
        assert again is not None and again.shape == expected.shape
        assert (first == expected).all() and (again == expected).all()
    count = len(list(kept.files()))
    assert count == 4 if most == 0 else count < 4  # one decode serves several sizes
    assert kept_pixels(digest, preprocessing(33, fit), kept) is not None or most == 0


def test_another_network_another_size_and_a_view_read_no_file(images, store, tmp_path, monkeypatch):
    backbone, other = load_backbone(**NETWORK), load_backbone(**NETWORK, seed=1)
    larger, view = load_backbone(**NETWORK | {"image_size": 33}), View(1)
    asked = ((other, None), (larger, None), (backbone, view))
    plain = [extract_features(images, one, FeatureStore(tmp_path / "p"), view=seen) for one, seen in asked]
    first = extract_features(images, backbone, keeping(store))
    assert bytes_of(first) == bytes_of(extract_features(images, backbone, FeatureStore(tmp_path / "p")))
    nothing_is_read(monkeypatch)
    found = [extract_features(images, one, store, view=seen) for one, seen in asked]
    assert [one.computed for one in found] == [len(images)] * 3
    assert [bytes_of(one) for one in found] == [bytes_of(one) for one in plain]


def test_nothing_is_kept_unless_that_is_asked_for(images, store):
    extract_features(images, load_backbone(**NETWORK), store)
    assert list(store.kept.files()) == []


@pytest.mark.skipif(os.name == "nt", reason="workers are forked")
def test_processes_keep_and_use_the_images_of_the_store(images, store, tmp_path):
    backbone, other = load_backbone(**NETWORK), load_backbone(**NETWORK, seed=1)
    plain = extract_features(images, other, FeatureStore(tmp_path / "p"))
    extract_features(images, backbone, keeping(store), executor=ProcessExecutor(2))
    assert len(list(store.kept.files())) == len(images)
    assert bytes_of(extract_features(images, other, store, executor=ProcessExecutor(2))) == bytes_of(plain)
    third = load_backbone(**NETWORK, seed=2)
    for path, _ in store.kept.files():  # all black, which shows that it is these that are used
        black, head = bytes(path.stat().st_size - 20), path.read_bytes()[:16]
        path.write_bytes(head + zlib.crc32(black).to_bytes(4, "little") + black)
    alike = bytes_of(extract_features(images, third, store, executor=ProcessExecutor(2)))
    assert len({*alike.values()}) == 1


@pytest.mark.parametrize("harm", ["empty", "cut off", "zeros", "a bit"])
def test_a_damaged_image_is_decoded_anew(images, store, tmp_path, harm):
    backbone, other = load_backbone(**NETWORK), load_backbone(**NETWORK, seed=1)
    plain = extract_features(images, other, FeatureStore(tmp_path / "p"))
    extract_features(images, backbone, keeping(store))
    for path, _ in store.kept.files():
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        harmed = {"empty": b"", "cut off": content[:-1], "zeros": bytes(len(content)), "a bit": content}
        path.write_bytes(harmed[harm])
    assert bytes_of(extract_features(images, other, store)) == bytes_of(plain)
    assert list(store.kept.files()) == []  # not kept again, as nobody asked


WRITER = """
import numpy as np
from showtell.store.kept_images import KeptImages
kept = KeptImages(t.Path(argv[0]))
for n in range(200):
    pixels = np.full((300, 200, 3), n, np.uint8)
    kept.put(bytes([n]) * 32, "form", pixels, (600, 400))
    print(n, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no signals to kill with")
def test_kill_9_among_several_writers_leaves_whole_images_only(tmp_path):
    kept = KeptImages(tmp_path / "kept")
    for lines in (1, 7, 30):
        writers = [child(WRITER, kept.root) for _ in range(2)]
        for _ in range(lines):
            writers[0].stdout.readline()
        writers[0].send_signal(signal.SIGKILL)
        writers[0].communicate()
        for n in range(200):
            found = kept.get(bytes([n]) * 32, "form")
            assert found is None or (found.full == (600, 400) and (found.pixels == n).all())
        writers[1].kill()
        writers[1].communicate()
    finished(child(WRITER, kept.root))
    assert len(list(kept.files())) == 200 and all(kept.is_sound(path) for path, _ in kept.files())
    assert not list(kept.root.rglob("*.partial"))


def test_a_full_disk_is_said_and_leaves_nothing_half(images, store, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kept_images, "write_atomic", full)
    with pytest.raises(StoreError, match=r"cannot be kept in .*No space left"):
        extract_features(images, load_backbone(**NETWORK), keeping(store))
    assert list(store.kept.files()) == []


def test_the_command_forecasts_what_it_keeps(images, store, capsys, caplog):
    caplog.set_level("INFO")
    folder = images[0].path.parent
    for image in images:
        image.path.rename(image.path.with_suffix(f".{image.name}.jpg"))
    extract(Extract(folder, **_typed(), keep_images=True, store=store.root))
    size = sum(status.st_size for _, status in store.kept.files())
    assert size > 0
    assert "decoded images about" in caplog.text


def _typed() -> dict[str, object]:
    return {"backbone": NETWORK["name"], "weights": NETWORK["weights"], "image_size": 32}


def test_the_store_lists_verifies_limits_and_removes_them(images, store):
    extract_features(images, load_backbone(**NETWORK), keeping(store))
    *spaces, row = list_store(Store(store=store.root))
    size = sum(status.st_size for _, status in store.kept.files())
    assert (row["space"], row["records"], row["bytes"]) == (NAME, len(images), size) and len(spaces) == 1
    files = sorted(store.kept.files(), key=lambda one: one[1].st_size)
    files[0][0].write_bytes(b"")
    *_, row = list_store(Store(store=store.root, verify=True))
    assert row["records"] == len(images) - 1 and row["done"].damaged == [files[0][0].name]
    oldest = files[1][0]
    os.utime(oldest, (1, 1))
    total = sum(one["bytes"] for one in list_store(Store(store=store.root)))
    rows = list_store(Store(store=store.root, limit=f"{total - 1}"))
    assert not oldest.exists() and rows[-1]["records"] == len(images) - 2  # only as many as it takes
    assert len(list_store(Store(store=store.root, remove=NAME))) == 1
    assert list(store.kept.files()) == []
    assert list_store(Store(store=store.root, limit="0")) == []


def test_a_merged_store_brings_them(images, store, tmp_path):
    extract_features(images, load_backbone(**NETWORK), keeping(store))
    other = FeatureStore(tmp_path / "other")
    list_store(Store(store=other.root, merge=store.root), Log())
    assert {path.name for path, _ in other.kept.files()} == {path.name for path, _ in store.kept.files()}
    assert all(other.kept.is_sound(path) for path, _ in other.kept.files())
    assert np.array_equal(*(one.kept.merge(store.kept) for one in (other, other)))
