"""Which content a file has is remembered, and only trusted while the file is as it was."""

import os
import time
from pathlib import Path

import pytest

from showtell.store.store import FeatureStore, FileStamp, content_digest


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "저장소")


def settled(path: Path, content: bytes, *, age: float = 60.0) -> FileStamp:
    path.write_bytes(content)
    when = time.time_ns() - int(age * 1e9)
    os.utime(path, ns=(when, when))
    return FileStamp.of(path)


@pytest.mark.parametrize("name", ["고양이 사진.jpg", "a" * 200 + ".jpg", "/".join(["deep" * 40] * 5)])
def test_a_known_file_is_recognised(store, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = settled(path, b"one")
    assert store.digest_of(stamp) is None
    assert store.remember_digests([(stamp, content_digest(b"one"))]) == 1
    assert FeatureStore(store.root).digest_of(FileStamp.of(path)) == content_digest(b"one")


@pytest.mark.parametrize("change", ["size", "mtime", "unpacked over"])
def test_a_changed_file_is_not_trusted(store, tmp_path, change):
    path = tmp_path / "a.jpg"
    stamp = settled(path, b"one")
    store.remember_digests([(stamp, content_digest(b"one"))])
    if change == "size":
        path.write_bytes(b"three")
        os.utime(path, ns=(stamp.mtime_ns, stamp.mtime_ns))
    elif change == "mtime":
        os.utime(path, ns=(stamp.mtime_ns + 1_000_000, stamp.mtime_ns + 1_000_000))
    else:  # an archive that sets times, as reproducible ones do, and an image of the same size
        time.sleep(0.02)
        path.write_bytes(b"two")
        os.utime(path, ns=(stamp.mtime_ns, stamp.mtime_ns))
    assert store.digest_of(FileStamp.of(path)) is None


def test_a_file_written_just_before_it_was_seen_is_read_again(store, tmp_path):
    fresh = settled(tmp_path / "a.jpg", b"one", age=1.0)
    future = settled(tmp_path / "b.jpg", b"one", age=-3600.0)
    assert store.remember_digests([(fresh, content_digest(b"one")), (future, content_digest(b"one"))]) == 0
    assert store.digest_of(fresh) is None and store.digest_of(future) is None
