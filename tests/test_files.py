"""Files are written whole or not at all, and locks are held by one."""

import errno
import os
import subprocess
import sys
import threading
import time

import pytest

from showtell import files
from showtell.errors import StoreError
from showtell.files import lock_folder, new_folder, take_lock, write_atomic
from showtell.store.store import FeatureStore

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_text_and_bytes_are_written_as_they_are(tmp_path):
    path = tmp_path / "고양이[1].txt"
    write_atomic(path, "한글\nand\r\n")
    assert path.read_bytes() == "한글\nand\r\n".encode()
    write_atomic(path, b"\x00\xff", durable=True)
    assert path.read_bytes() == b"\x00\xff"
    assert names(tmp_path) == [path.name]


def test_a_file_gets_the_usual_rights(tmp_path):
    write_atomic(tmp_path / "ours", "x")
    (tmp_path / "usual").write_text("x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_name_that_is_no_utf8_is_kept_on_request(tmp_path):
    path = tmp_path / "record"
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "caf\udce9")
    assert names(tmp_path) == []
    write_atomic(path, "caf\udce9", errors="surrogateescape")
    assert path.read_bytes() == b"caf\xe9"


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch, error):
    path = tmp_path / "record.json"
    write_atomic(path, "old")

    def fail(_):
        raise error

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(type(error)):
        write_atomic(path, "new", durable=True)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["record.json"]


@posix
def test_a_killed_writer_leaves_the_old_content_and_its_rest_is_removed(tmp_path):
    path = tmp_path / "record.json"
    write_atomic(path, "old")
    program = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from showtell.files import write_atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(Path(sys.argv[1]), 'new', durable=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run([sys.executable, "-c", program, path], env=environment, check=False)
    assert child.returncode < 0
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    write_atomic(path, "newer")
    assert names(tmp_path) == ["record.json"]


def test_what_may_be_at_work_is_left_alone(tmp_path):
    path = tmp_path / "record.json"
    ours, elsewhere = tmp_path / files._partial(path).name, tmp_path / ".record.json.other-host.1.2.partial"
    foreign = tmp_path / ".record.jsonl.other-host.1.2.partial"
    for partial in (ours, elsewhere, foreign):
        partial.mkdir()
    ours.rename(ours.with_name(ours.name.replace(".partial", "0.partial")))  # another thread's
    write_atomic(path, "new")
    assert len(names(tmp_path)) == 4
    for partial in tmp_path.glob(".*"):
        os.utime(partial, (time.time() - 2 * files._STALE,) * 2)
    write_atomic(path, "newer")
    assert sorted(names(tmp_path)) == [".record.jsonl.other-host.1.2.partial", "record.json"]


def test_many_writers_at_once_leave_one_whole_content(tmp_path):
    path, contents = tmp_path / "record", [letter * 200_000 for letter in "abcdefgh"]
    problems = []

    def write(content):
        for _ in range(10):
            write_atomic(path, content)
            if path.read_text() not in contents:
                problems.append(content)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert names(tmp_path) == ["record"]


def test_a_folder_appears_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()  # an empty one is no hindrance
    with new_folder(folder) as partial:
        (partial / "a").write_text("a")
        assert not any(folder.iterdir())
    assert names(tmp_path) == ["model"]
    assert (folder / "a").read_text() == "a"


def test_a_folder_that_failed_does_not_appear(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "model") as partial:
        (partial / "a").write_text("a")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_folder_that_another_has_filled_meanwhile_stays(tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(OSError), new_folder(folder) as partial:
        (partial / "a").write_text("ours")
        folder.mkdir()
        (folder / "a").write_text("theirs")
    assert names(tmp_path) == ["model"]
    assert (folder / "a").read_text() == "theirs"


@posix
def test_a_folder_is_held_by_one(tmp_path):
    with lock_folder(tmp_path), pytest.raises(BlockingIOError), lock_folder(tmp_path):
        pass
    with lock_folder(tmp_path):
        pass
    assert names(tmp_path) == []


@posix
def test_an_error_inside_lets_go_and_is_passed_on(tmp_path):
    with pytest.raises(BlockingIOError, match="inside"), lock_folder(tmp_path):
        raise BlockingIOError("inside")
    with lock_folder(tmp_path):
        pass


@posix
def test_a_disk_without_locks_is_no_reason_to_stop(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with lock_folder(tmp_path):
        pass
    os.close(take_lock(tmp_path / "answers.csv", needed=False))
    with pytest.raises(OSError, match="no locks"):
        take_lock(tmp_path / "space.lock")
    described = {"dtype": "float32", "grid_shape": None, "pooled_dim": 4}
    with pytest.raises(StoreError) as caught:
        FeatureStore(tmp_path / "store").space(described)
    assert "no file locks" in caught.value.hint and "SHOWTELL_STORE" in caught.value.hint


@posix
def test_shared_locks_share_and_exclusive_ones_do_not(tmp_path):
    path = tmp_path / "space.lock"
    first, second = take_lock(path, shared=True), take_lock(path, shared=True)
    with pytest.raises(BlockingIOError):
        take_lock(path)
    os.close(first)
    os.close(second)
    alone = take_lock(path)
    waited = []
    thread = threading.Thread(target=lambda: waited.append(take_lock(path, shared=True)))
    thread.start()
    assert waited == []
    os.close(alone)
    thread.join(10)
    os.close(*waited)
