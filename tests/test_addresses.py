"""Images on an object store: read where the user names one, once, and said where it cannot be reached."""

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from moto.server import ThreadedMotoServer

from showtell import DataSource, FeatureStore, addresses
from showtell.addresses import Address, to_path
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.images import read_content
from showtell.data.readers import read_dataset
from showtell.errors import DataError, ImageError
from showtell.extraction.extract import extract_features
from showtell.kinds.asked import find_images
from showtell.samples import write_classes_dataset


@pytest.fixture(scope="module")
def bucket():
    """Yield a client of a stand-in for S3 on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    named = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            named | {"AWS_SECRET_ACCESS_KEY": "key", "AWS_DEFAULT_REGION": "us-east-1"}
        ).items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="photos")
        yield client
    server.stop()


@pytest.fixture
def filled(bucket, tmp_path):
    """Fill the bucket with 12 class images, and return their folder on the disk."""
    folder = tmp_path / "here"
    write_classes_dataset(folder, language="ko", count=12, seed=3)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    for path in paths:
        bucket.upload_file(str(path), "photos", f"animals/{path.relative_to(folder)}")
    bucket.put_object(Bucket="photos", Key="animals/", Body=b"")  # as the console of S3 makes a folder
    yield folder
    for one in bucket.list_objects_v2(Bucket="photos")["Contents"]:
        bucket.delete_object(Bucket="photos", Key=one["Key"])


def counted(monkeypatch) -> list[str]:
    """Return a list that grows by each object that is read."""
    read: list[str] = []
    plain = Address.read_head

    def read_head(self, count):
        read.append(self.name)
        return plain(self, count)

    monkeypatch.setattr(Address, "read_head", read_head)
    return read


def test_class_folders_are_those_of_the_disk(bucket, filled):
    here = read_dataset(DataSource(filled))
    there = read_dataset(DataSource("s3://photos/animals"))
    assert [(one.name, one.label, one.split) for one in there.images] == [
        (one.name, one.label, one.split) for one in here.images
    ]
    assert any("s3://photos/animals" in note for note in there.notes), "the network is said"
    for a, b in zip(here.images, there.images):
        assert read_content(b.path) == a.path.read_bytes()


def test_features_are_equal_and_nothing_is_read_twice(bucket, filled, tmp_path, monkeypatch):
    backbone = load_backbone(name="mobilenetv3_small_050", weights="random", image_size=32)
    here = extract_features(read_dataset(DataSource(filled)).images, backbone, FeatureStore(tmp_path / "a"))
    store, read = FeatureStore(tmp_path / "b"), counted(monkeypatch)
    images = read_dataset(DataSource("s3://photos/animals")).images
    there = extract_features(images, backbone, store)
    names = [image.name for image in images]
    assert there.pooled(names).tobytes() == here.pooled(names).tobytes()
    assert len(read) == len(images)
    extract_features(read_dataset(DataSource("s3://photos/animals")).images, backbone, store)
    assert len(read) == len(images), "listed, and known by what the store says of it"
    changed = images[0]
    bucket.put_object(
        Bucket="photos", Key=str(changed.path)[len("s3://photos/") :], Body=images[1].path.read_bytes()
    )
    again = extract_features(read_dataset(DataSource("s3://photos/animals")).images, backbone, store)
    assert again.digests[changed.name] == again.digests[images[1].name], "another content is another image"


def test_a_table_here_names_images_there(bucket, filled, tmp_path):
    names = [str(path.relative_to(filled)) for path in sorted(filled.rglob("*.png"))][:4]
    table = tmp_path / "captions.csv"
    rows = [
        f"{names[0]},one",
        f"s3://photos/animals/{names[1]},two",
        f"s3://others/{names[2]},three",
        "../x.png,four",
    ]
    table.write_text("\n".join(["image,caption", *rows]), encoding="utf-8")
    found = read_dataset(DataSource(table, images="s3://photos/animals"))
    expected = {names[0]: ("one",), names[1]: ("two",), names[2]: ("three",)}  # by the end of its address
    assert {image.name: image.captions for image in found.images} == expected
    assert all(str(image.path).startswith("s3://photos/animals/") for image in found.images)
    assert any("../x.png" in problem.detail for problem in found.problems)


def test_a_table_beside_its_images_is_read_too(bucket, filled):
    names = [str(path.relative_to(filled)) for path in sorted(filled.rglob("*.png"))][:3]
    body = "\n".join(["image,caption", *(f"animals/{name},고양이 {i}" for i, name in enumerate(names))])
    bucket.put_object(Bucket="photos", Key="captions.csv", Body=body.encode())
    found = read_dataset(DataSource("s3://photos/captions.csv"))
    assert [image.captions for image in found.images] == [(f"고양이 {i}",) for i in range(3)]


def test_what_is_missing_is_named(bucket, filled):
    with pytest.raises(DataError, match="no file or folder s3://photos/nothing"):
        read_dataset(DataSource("s3://photos/nothing"))
    with pytest.raises(ImageError, match=r"s3://photos/animals/gone.png cannot be read: No such file"):
        read_content(to_path("s3://photos/animals/gone.png"))


def test_a_request_that_fails_is_tried_again(bucket, filled, monkeypatch):
    image = read_dataset(DataSource("s3://photos/animals")).images[0]
    failures = [OSError("reset"), TimeoutError("slow")]
    system = addresses._system("s3", "s3://photos")

    def cat_file(*args, **kwargs):
        if failures:
            raise failures.pop()
        return system.cat_file(*args, **kwargs)

    monkeypatch.setattr(addresses, "_system", lambda *_: SimpleNamespace(cat_file=cat_file))
    monkeypatch.setattr(addresses, "_PAUSE", 0.0)
    assert read_content(image.path)[:4] == b"\x89PNG"
    failures += [OSError("gone")] * 3
    # It says nothing of the image: the work stops, and does not call all others unreadable.
    with pytest.raises(DataError, match=r"cannot be reached: OSError: gone.\nWhat was done so far is kept"):
        read_content(image.path)


def test_an_address_is_a_path():
    path = to_path("s3://photos/a/b.jpg")
    assert (str(path), path.name, path.suffix, str(path.parent)) == (
        "s3://photos/a/b.jpg",
        "b.jpg",
        ".jpg",
        "s3://photos/a",
    )
    assert str(to_path(Path("s3://photos/a"))) == "s3://photos/a", "a path that lost its slash"
    assert (
        str(path / "c") == "s3://photos/a/b.jpg/c" and path.resolve() == path and os.fspath(path) == str(path)
    )
    assert Path("/work") / path == path and isinstance(Path("/work") / path, Address)
    assert isinstance(pickle.loads(pickle.dumps(path)), Address)  # noqa: S301 - between processes of one extraction
    for plain in ("C:/photos", "photos/s3:", "/s3:/x", "https://photos/a.jpg", "file:///a"):
        assert not isinstance(to_path(plain), Address), plain


def test_a_store_of_an_unknown_kind_is_named():
    with pytest.raises(DataError, match="ftq"):
        read_dataset(DataSource("ftq://photos/a"))


def test_what_is_to_be_predicted_is_found_by_address(bucket, filled):
    here = find_images([str(filled / "train")], Console(quiet=True))
    there = find_images(["s3://photos/animals/train"], Console(quiet=True))
    names = [str(path.relative_to(filled)) for path in here]
    assert [str(path) for path in there] == [f"s3://photos/animals/{name}" for name in names]
    assert find_images([str(there[0])], Console(quiet=True)) == there[:1]
    with pytest.raises(DataError, match=r"no image at s3://photos/animals/gone\.png"):
        find_images(["s3://photos/animals/gone.png"], Console(quiet=True))
