"""The feature store keeps what it was given: through kills, full disks, rivals, forks and growth."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from showtell.errors import StoreError
from showtell.store.description import canonical_description, description_difference, settle_description
from showtell.store.store import (
    FeatureStore,
    content_digest,
    default_root,
    record_key,
)

L, D = 4, 512
DESCRIPTION = {
    "dtype": "float16",
    "grid_shape": [L, D],
    "pooled_dim": D,
    "weights": "sha256:1",
    "view": "그대로",
}
POOLED_ONLY = {"dtype": "float32", "grid_shape": None, "pooled_dim": 8, "weights": "sha256:2"}


def key_of(number: int) -> bytes:
    return content_digest(b"image %d" % number)


def record_of(number: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Make the one record that belongs to a number, so that any process can check any other's."""
    random_ = np.random.default_rng(number)
    return (
        key_of(number),
        random_.standard_normal((L, D)).astype(np.float16),
        random_.standard_normal(D).astype(np.float16),
    )


def assert_intact(space, numbers) -> None:
    numbers = list(numbers)
    grid, pooled = space.get([key_of(number) for number in numbers])
    for i, number in enumerate(numbers):
        _, expected_grid, expected_pooled = record_of(number)
        assert grid[i].tobytes() == expected_grid.tobytes()
        assert pooled[i].tobytes() == expected_pooled.tobytes()


def child(code: str, *arguments: object, **options) -> subprocess.Popen:
    """Start Python on ``code``, which finds this module as ``t`` and its arguments in ``argv``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [Path(__file__).parent, *sys.path]))}
    program = "import sys; argv = sys.argv[1:]; import test_store as t\n" + code
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def finished(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "저장소")


# --- what goes in comes out -----------------------------------------------------------------------------


def test_records_come_back_bit_for_bit_in_the_order_asked(store):
    space = store.space(DESCRIPTION)
    assert space.put(record_of(n) for n in range(20)) == 20
    assert_intact(space, [3, 19, 0, 3])
    assert len(space) == 20
    assert space.record_bytes == (L * D + D) * 2


def test_views_lie_in_the_memory_map_and_cannot_be_written(store):
    space = store.space(DESCRIPTION)
    space.put([record_of(1)])
    with space.reading() as reader:
        (grid, pooled), (again, _) = reader.view(key_of(1)), reader.view(key_of(1))
        assert grid.ctypes.data == again.ctypes.data
        assert not grid.flags.owndata and not grid.flags.writeable and not pooled.flags.writeable
        assert grid.tobytes() == record_of(1)[1].tobytes()


def test_a_space_without_a_grid(store):
    space = store.space(POOLED_ONLY)
    pooled = np.arange(8, dtype=np.float32)
    space.put([(key_of(1), None, pooled)])
    grid, read = space.get([key_of(1)])
    assert grid is None
    np.testing.assert_array_equal(read[0], pooled)
    np.testing.assert_array_equal(space.get_pooled([key_of(1)])[0], pooled)
    with space.reading() as reader:
        assert reader.view(key_of(1))[0] is None


def test_missing_gives_positions_in_order(store):
    space = store.space(DESCRIPTION)
    space.put(record_of(n) for n in (1, 3, 5))
    assert space.missing([key_of(n) for n in range(7)]) == [0, 2, 4, 6]
    assert key_of(3) in space and key_of(4) not in space
    with pytest.raises(StoreError, match="no record"):
        space.get([key_of(1), key_of(2)])


def test_a_view_of_an_image_is_a_record_of_its_own(store):
    space = store.space(DESCRIPTION)
    _, grid, pooled = record_of(1)
    digest = content_digest(b"a")
    space.put([(record_key(digest), grid, pooled), (record_key(digest, "flip"), grid * 2, pooled * 2)])
    assert record_key(digest) == digest
    np.testing.assert_array_equal(space.get_pooled([record_key(digest, "flip")])[0], pooled * 2)
    assert record_key(digest, "flip seed=1") not in space


def test_the_first_record_stays_unless_told_otherwise(store):
    space = store.space(DESCRIPTION)
    key, grid, pooled = record_of(1)
    space.put([(key, grid, pooled)])
    assert space.put([(key, grid * 2, pooled * 2)]) == 0
    assert_intact(space, [1])
    assert space.put([(key, grid * 2, pooled * 2)], overwrite=True) == 1
    np.testing.assert_array_equal(space.get([key])[0][0], grid * 2)


@pytest.mark.parametrize("bad", ["overflow", "minus", "nan", "shape", "no grid"])
def test_a_bad_record_is_refused_and_its_batch_with_it(store, bad):
    space = store.space(DESCRIPTION)
    key, grid, pooled = record_of(2)
    wide = grid.astype(np.float32)
    wide[0, 0] = {"overflow": 70_000.0, "nan": np.nan, "minus": -70_000.0}.get(bad, 0.0)
    broken = {"shape": grid[:, :-1], "no grid": None}.get(bad, wide)
    with pytest.raises(StoreError, match=key.hex()[:12]):
        space.put([record_of(1), (key, broken, pooled)])
    assert len(space) == 0


# --- what a space is ------------------------------------------------------------------------------------


def test_a_description_names_one_space_however_it_is_written(store):
    one = store.space(DESCRIPTION)
    assert store.space(dict(reversed(DESCRIPTION.items())) | {"grid_shape": (L, D)}).id == one.id
    for change in ({"weights": "sha256:3"}, {"dtype": "float32"}, {"resize": "bicubic"}):
        assert store.space({**DESCRIPTION, **change}).id != one.id
    written = json.loads((store.root / one.id / "space.json").read_text("utf-8"))
    assert written == DESCRIPTION


def test_an_edited_description_is_refused_with_both_values(store):
    name = store.space(DESCRIPTION).id
    path = store.root / name / "space.json"
    path.write_text(path.read_text("utf-8").replace("sha256:1", "sha256:9"), "utf-8")
    with pytest.raises(StoreError) as caught:
        store.space(DESCRIPTION)
    assert "sha256:9" in caught.value.what and "sha256:1" in caught.value.what and name in caught.value.run


def test_of_two_descriptions_only_what_differs_is_said():
    one = {"weights": "a", "preprocessing": {"height": 32, "fit": "whole"}, "grid_shape": [4, 6]}
    other = {"weights": "a", "preprocessing": {"height": 64, "fit": "whole"}, "grid_shape": [4, 6], "new": 1}
    assert description_difference(one, other) == (
        "new is None there, 1 here; preprocessing.height is 32 there, 64 here"
    )
    assert description_difference(one, one) == ""


def test_a_description_must_tell_the_length_of_a_record(store):
    with pytest.raises(StoreError, match="pooled_dim"):
        store.space({"dtype": "float16", "grid_shape": None})
    with pytest.raises(StoreError, match="int8"):
        store.space({**DESCRIPTION, "dtype": "int8"})


# --- death, rivals, full disks --------------------------------------------------------------------------

WRITE_FOREVER = """
space = t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION)
start = len(space)
while True:
    space.put([t.record_of(n) for n in range(start, start + 16)])
    start += 16
    print(start, flush=True)
"""


def test_kill_9_loses_no_finished_batch_and_serves_no_half_written_one(store):
    random_ = random.Random(0)
    promised = 0
    for _ in range(6):
        process = child(WRITE_FOREVER, store.root)
        assert process.stdout is not None
        lines = [process.stdout.readline()]  # killed only once it writes
        time.sleep(random_.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].split()
        promised = int(lines[-1])
        space = store.space(DESCRIPTION)
        count = len(space)
        assert count >= promised and count % 16 == 0
        assert_intact(space, range(count))
        assert space.missing([key_of(n) for n in range(count + 16)]) == list(range(count, count + 16))
        del space
    assert promised >= 6 * 16


def test_what_a_killed_writer_left_is_not_served_and_is_replaced(store):
    space = store.space(DESCRIPTION)
    space.grid_files[0].write(lambda transaction: transaction.put(key_of(1), b"grids are committed first"))
    assert key_of(1) not in space and len(space) == 0
    assert space.put([record_of(1)]) == 1
    assert_intact(space, [1])


WRITE_RANGE = """
space = t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION)
for start in range(int(argv[1]), int(argv[2]), 10):
    space.put([t.record_of(n) for n in range(start, start + 10)])
"""


def test_two_processes_write_the_same_and_different_records(store):
    rivals = [child(WRITE_RANGE, store.root, *span) for span in ((0, 200), (100, 300))]
    for rival in rivals:
        finished(rival)
    space = store.space(DESCRIPTION)
    assert len(space) == 300
    assert_intact(space, range(300))


FILL = """
import resource
space = t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION)
space.put([t.record_of(n) for n in range(50)])
size = (t.Path(argv[0]) / space.id / "grid" / "data.mdb").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + int(argv[1]), resource.RLIM_INFINITY))
try:
    space.put([t.record_of(n) for n in range(50, 150)])
except t.StoreError as error:
    print(error)
t.assert_intact(space, range(50))
assert len(space) == 50
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
space.put([t.record_of(n) for n in range(50, 150)])
t.assert_intact(space, range(150))
"""


@pytest.mark.skipif(os.name == "nt", reason="limits on file sizes are POSIX")
@pytest.mark.parametrize("room", [0, 5_000, 100_000])
def test_a_full_disk_is_named_loses_nothing_and_writing_goes_on(store, room):
    message = finished(child(FILL, store.root, room))
    assert str(store.root) in message and "MB free" in message and "Nothing stored before is lost" in message
    assert_intact(store.space(DESCRIPTION), range(150))


@pytest.mark.parametrize("part", ["grid", "pooled"])
def test_a_file_that_lost_its_end_is_refused_not_touched(store, part):
    space = store.space(DESCRIPTION)
    space.put(record_of(n) for n in range(50))
    name = space.id
    del space
    data = store.root / name / part / "data.mdb"
    with data.open("r+b") as file:
        file.truncate(data.stat().st_size // 2)
    with pytest.raises(StoreError, match="cut off"):
        store.space(DESCRIPTION)
    assert part == "grid" or "cut off" in (store.spaces()[0].problem or "")
    data.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match=name):
        store.space(DESCRIPTION)
    store.remove(name)
    assert len(store.space(DESCRIPTION)) == 0


def test_a_record_of_the_wrong_length_is_refused(store):
    space = store.space(DESCRIPTION)
    space.put([record_of(1)])
    space.grid_files[0].write(lambda transaction: transaction.put(key_of(1), b"short"))
    with pytest.raises(StoreError, match=f"5 bytes instead of {L * D * 2}"):
        space.get([key_of(1)])


# --- one process, many users ----------------------------------------------------------------------------


def test_the_map_grows_under_readers_and_in_every_process(store):
    space = store.space(DESCRIPTION, map_size=256 * 1024)
    space.put([record_of(0)])
    waiting = child(
        """
space = t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION, map_size=256 * 1024)
t.assert_intact(space, [0])
print("opened", flush=True)
sys.stdin.readline()
t.assert_intact(space, range(400))
space.put([t.record_of(n) for n in range(400, 420)])
""",
        store.root, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == "opened\n"
    stop, failures = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                assert_intact(space, range(0, len(space), 7))
            except Exception as error:
                failures.append(error)
                return

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for start in range(0, 400, 20):
        space.put(record_of(n) for n in range(start, start + 20))
    stop.set()
    for reader in readers:
        reader.join()
    assert not failures
    waiting.communicate("go\n", timeout=60)
    assert waiting.returncode == 0
    assert_intact(space, range(420))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_a_forked_child_reads_and_writes_on_its_own(store):
    space = store.space(DESCRIPTION)
    space.put(record_of(n) for n in range(10))

    def work(queue) -> None:
        assert_intact(space, range(10))
        queue.put(space.put(record_of(n) for n in range(10, 20)))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=work, args=(queue,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    space.put(record_of(n) for n in range(20, 30))
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert sorted(queue.get(timeout=5) for _ in workers) == [0, 10]
    assert_intact(space, range(30))


def test_two_handles_of_one_space_share_what_they_hold(store):
    one, two = store.space(DESCRIPTION), FeatureStore(store.root).space(DESCRIPTION)
    one.put([record_of(1)])
    assert_intact(two, [1])
    del one
    assert_intact(two, [1])


def test_opening_and_looking_up_do_not_grow_with_the_number_of_records(store):
    description = {**POOLED_ONLY, "pooled_dim": 1}
    space = store.space(description)
    one = np.ones(1, np.float32)
    keys = [key_of(n) for n in range(200_000)]

    def seconds_per_lookup(space) -> float:
        times = []
        for _ in range(5):
            started = time.perf_counter()
            assert space.missing(keys[:1000]) == []
            times.append(time.perf_counter() - started)
        return min(times) / 1000

    space.put((key, None, one) for key in keys[:1000])
    few = seconds_per_lookup(space)
    for start in range(1000, len(keys), 40_000):
        space.put((key, None, one) for key in keys[start : start + 40_000])
    assert len(space) == len(keys)
    assert seconds_per_lookup(space) < 10 * few + 5e-6
    del space
    started = time.process_time()
    assert len(store.space(description)) == len(keys)
    assert time.process_time() - started < 0.5


# --- what is in it, and out with it ---------------------------------------------------------------------


def test_spaces_are_listed_and_removal_gives_the_room_back(store):
    kept, doomed = store.space(POOLED_ONLY), store.space(DESCRIPTION)
    doomed.put(record_of(n) for n in range(30))
    kept.put([(key_of(1), None, np.ones(8))])
    name = doomed.id
    listed = {info.id: info for info in store.spaces()}
    assert listed[name].records == 30 and listed[name].description == DESCRIPTION
    assert listed[name].bytes >= 30 * doomed.record_bytes
    assert abs(listed[name].last_used - time.time()) < 60
    del doomed
    assert store.remove(name) >= 30 * L * D * 2
    assert [info.id for info in store.spaces()] == [kept.id]
    assert not list(store.root.glob(f"*{name}*/*"))
    assert key_of(1) in kept
    assert len(store.space(DESCRIPTION)) == 0


def test_a_space_in_use_is_not_removed(store):
    space = store.space(DESCRIPTION)
    space.put([record_of(1)])
    name = space.id
    with pytest.raises(StoreError, match="open in this or another process"):
        store.remove(name)
    del space
    user = child(
        "space = t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION); print('open', flush=True); input()",
        store.root, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert user.stdout is not None
    user.stdout.readline()
    with pytest.raises(StoreError, match="open in this or another process"):
        store.remove(name)
    user.kill()
    user.wait()
    store.remove(name)
    assert store.spaces() == []


@pytest.mark.parametrize("name", ["0123456789abcdef", "..", "images", "", "../저장소"])
def test_only_a_space_can_be_removed(store, name):
    store.remember_digests([])
    store.space(DESCRIPTION).put([record_of(1)])
    with pytest.raises(StoreError, match="no space"):
        store.remove(name)
    assert store.spaces()[0].records == 1


# --- where it lies --------------------------------------------------------------------------------------


def test_the_root_is_the_named_folder_or_a_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SHOWTELL_STORE", str(tmp_path / "x"))
    assert default_root() == tmp_path / "x"
    monkeypatch.delenv("SHOWTELL_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "showtell" / "features"


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="file"):
        FeatureStore(tmp_path / "file" / "store").space(DESCRIPTION)
    with pytest.raises(StoreError, match="file"):
        FeatureStore(tmp_path / "file" / "store").remember_digests([])


def test_the_store_needs_no_torch():
    finished(child("assert 'torch' not in sys.modules"))


@pytest.mark.parametrize("order", ["as given", "by key"])
def test_the_order_of_a_file_is_told_by_a_few_of_its_records(store, order):
    space = store.space({"dtype": "float32", "grid_shape": [64, 64], "pooled_dim": 4})
    keys = [content_digest(b"%d" % number) for number in range(300)]
    written = keys if order == "as given" else sorted(keys)
    for key in written:
        space.put([(key, np.ones((64, 64)), np.ones(4))])
    found = space.in_file_order(keys)
    assert [keys[position] for position in found] == written


def test_many_describe_a_new_space_at_the_same_moment(tmp_path):
    """One description is kept, nobody fails, and nothing is left over."""
    canonical, description = canonical_description(DESCRIPTION)
    for number in range(20):
        folder = tmp_path / str(number) / "space"
        folder.parent.mkdir()
        start, failed = threading.Barrier(8), []

        def describe(folder=folder, start=start, failed=failed) -> None:
            start.wait()
            try:
                settle_description(folder, canonical, description)
            except (StoreError, OSError) as error:
                failed.append(str(error))

        threads = [threading.Thread(target=describe) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert failed == []
        assert [path.name for path in folder.parent.iterdir()] == ["space"]
        assert (folder / "space.json").read_bytes() == canonical
