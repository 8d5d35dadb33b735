"""Whoever carries out an extraction, the store holds the same bytes, whatever becomes of the workers."""

import contextlib
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from conftest import draw, encoded
from flaky import Full, Poisoned, Troubled, Weighed
from showtell.backbones.weights import load_backbone
from showtell.data.augment import View
from showtell.data.records import AnnotatedImage
from showtell.errors import ConfigError, MissingExtraError, WorkerError
from showtell.extraction import ray_data
from showtell.extraction.extract import extract_features
from showtell.extraction.processes import ProcessExecutor
from showtell.extraction.ray_data import RayExecutor
from showtell.extraction.settings import Extract
from showtell.extraction.worker import Job, Keys, Worker
from showtell.files import take_lock
from showtell.store.kept_images import KeptImages
from showtell.store.store import FeatureStore

NETWORK = {"name": "mobilenetv3_small_050", "weights": "random", "image_size": 32}
TYPED = ["--backbone", "mobilenetv3_small_050", "--weights", "random", "--image-size", "32"]
LONG_AGO = time.time() - 3600
pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no signals to kill with")


@pytest.fixture(scope="session")
def cluster():
    """Ray on this machine, as the command line starts it, with two cores whatever there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # its workers import this folder's files
        with ray_data._cluster(None, cores=2):
            import ray  # not before: Ray decides where to listen when it is imported

            yield ray.is_initialized()


@pytest.fixture(autouse=True, scope="module")
def loaded(context):
    """Let the server that forks workers load what all tests need, not only what workers do."""
    forkserver.ensure_running()


@pytest.fixture(params=["processes", "ray"])
def kind(request):
    if request.param == "ray":
        request.getfixturevalue("cluster")
    return {"processes": ProcessExecutor, "ray": RayExecutor}[request.param]


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(**NETWORK)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[AnnotatedImage]:
    """65 images, copies among them, and some that cannot be read."""
    folder = tmp_path_factory.mktemp("사진")
    contents = [encoded(draw(number, 40), "PNG") for number in range(60)]
    contents += [contents[3], b"", b"<html>404</html>", contents[5][:200], contents[7]]
    images = []
    for number, content in enumerate(random.Random(1).sample(contents, len(contents))):
        path = folder / f"그림 {number:03d}.png"
        path.write_bytes(content)
        os.utime(path, (LONG_AGO, LONG_AGO))
        images.append(AnnotatedImage(path.name, path))
    return [*images, AnnotatedImage("missing", folder / "none.png")]


@pytest.fixture(scope="module")
def plain(images, backbone, tmp_path_factory):
    return extract_features(images, backbone, FeatureStore(tmp_path_factory.mktemp("plain")))


def records(result) -> dict[bytes, bytes]:
    """Return every record of a space, as bytes."""
    keys = list(result.space)
    grid, pooled = result.space.get(keys)
    return {key: grid[i].tobytes() + pooled[i].tobytes() for i, key in enumerate(keys)}


def same(result, plain) -> bool:
    """Whether a store holds what threads write, and the same is said of every image."""
    return (
        records(result) == records(plain)
        and list(result.digests.items()) == list(plain.digests.items())
        and result.unreadable == plain.unreadable
    )


def jobs_left(store: FeatureStore) -> list[Path]:
    return list(store.root.glob("jobs/*/*"))


def test_bit_for_bit_what_threads_write(images, plain, backbone, store):
    result = extract_features(images, backbone, store, executor=ProcessExecutor(2))
    assert same(result, plain)
    assert result.computed == plain.computed == 60
    assert jobs_left(store) == []
    assert extract_features(images, backbone, store, executor=ProcessExecutor(2)).computed == 0


def test_bit_for_bit_in_random_views_too(images, backbone, store, tmp_path):
    some, view = images[:20], View(1)
    expected = extract_features(some, backbone, FeatureStore(tmp_path / "plain"), view=view)
    assert same(extract_features(some, backbone, store, view=view, executor=ProcessExecutor(2)), expected)


def test_a_network_in_int8_is_calibrated_once_and_for_all_workers(images, store, tmp_path):
    low = load_backbone(**NETWORK, engine="onnxruntime", precision="int8")
    result = extract_features(images[:40], low, store, executor=ProcessExecutor(2))
    assert len(list(store.root.rglob("network.onnx"))) == 1
    threads = FeatureStore(tmp_path / "threads")
    shutil.copy(result.space.folder / "network.onnx", threads.space(low.description.for_store()).folder)
    assert same(extract_features(images[:40], low, threads), result)


def test_what_was_moved_is_recognised_by_workers(images, plain, backbone, store, tmp_path):
    extract_features(images, backbone, store)
    moved = tmp_path / "moved"
    moved.mkdir()
    renamed = []
    for image in images[:30]:
        path = moved / f"neu {image.name}"
        path.write_bytes(image.path.read_bytes())
        renamed.append(AnnotatedImage(path.name, path))
    fresh = AnnotatedImage("fresh", moved / "fresh.png")
    fresh.path.write_bytes(encoded(draw(999, 40), "PNG"))
    result = extract_features([*renamed, fresh], backbone, store, executor=ProcessExecutor(1))
    assert result.computed == 1
    assert len(result.space) == len(plain.space) + 1


def test_workers_that_hang_or_are_killed_change_nothing(kind, images, plain, backbone, store, monkeypatch):
    monkeypatch.setattr(kind, "worker", Troubled)
    assert same(extract_features(images, backbone, store, executor=kind(2)), plain)
    assert (store.root / "hung").exists() and (store.root / "killed").exists()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the allocator of glibc is tuned")
def test_workers_keep_the_memory_that_they_free(kind, images, backbone, store, monkeypatch):
    monkeypatch.setattr(kind, "worker", Weighed)
    extract_features(images, backbone, store, executor=kind(1))
    faults = [int(line) for line in (store.root / "faults").read_text().split()]
    assert statistics.median(faults) < 400  # of 4,096; the heap may grow now and then


def test_a_full_disk_of_one_worker_ends_it_and_loses_nothing(
    kind, images, plain, backbone, store, monkeypatch
):
    monkeypatch.setattr(kind, "worker", Full)
    with pytest.raises(WorkerError, match="the disk is full") as caught:
        extract_features(images, backbone, store, executor=kind(1))
    assert caught.value.hint == "free some space"
    assert len(jobs_left(store)) == 1
    again = extract_features(images, backbone, store)  # by threads: whoever comes next takes it over
    assert 0 < again.computed < plain.computed
    assert same(again, plain)
    assert jobs_left(store) == []


def test_images_over_which_workers_always_die_are_named(images, backbone, store, monkeypatch):
    monkeypatch.setattr(ProcessExecutor, "worker", Poisoned)
    with pytest.raises(WorkerError, match=r"died 2 times over 2 images, .*000\.png to .*001\.png"):
        extract_features(images[:2], backbone, store, executor=ProcessExecutor(1))


def start(kind: str, folder: Path, store: FeatureStore) -> subprocess.Popen:
    """Start the command in a process of its own, with slow workers; wait until one has written something."""
    typed = ["extract", str(folder), *TYPED, "--store", str(store.root), "--executor", kind, "--workers", "1"]
    driver = subprocess.Popen(
        [sys.executable, "-c", f"import flaky; flaky.run_slowly({typed})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 150
    while not (store.root / "written").exists():
        if driver.poll() is not None or time.monotonic() > until:
            driver.kill()
            pytest.fail(driver.communicate()[0])
        time.sleep(0.02)
    return driver


@pytest.mark.parametrize("kind", ["processes", "ray"])
def test_a_driver_that_is_killed_leaves_what_is_finished(kind, images, plain, backbone, store):
    folder = images[0].path.parent
    driver = start(kind, folder, store)
    try:
        job = jobs_left(store)[0]
        with pytest.raises(BlockingIOError):
            take_lock(job / "lock")
        assert extract_features(images[:3], backbone, store).computed > 0  # by another, meanwhile
        assert job.exists(), "the job is under way"
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    result = extract_features(images, backbone, store)
    assert result.computed < plain.computed - 3
    assert same(result, plain)
    assert jobs_left(store) == []


def test_ctrl_c_ends_the_workers_too(images, backbone, store):
    driver = start("processes", images[0].path.parent, store)
    worker = int((store.root / "written").read_text())
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    said = driver.communicate(timeout=60)[0]
    assert driver.returncode == 130, said
    assert "run it again to go on" in said and "Traceback" not in said
    until = time.monotonic() + 10
    while is_alive(worker):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert 0 < extract_features(images, backbone, store).computed < 60


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2][:3]


def test_a_cluster_of_ours_listens_on_this_machine_only(cluster):
    """Of all that pytest has started, nothing waits for anybody from elsewhere; and no usage is told."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    ours = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= more
    sockets = set()
    for process in ours:
        for entry in Path(f"/proc/{process}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(str(entry.readlink()))
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                listening.append(fields[1].partition(":")[0])
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    import ray

    assert listening and set(listening) <= loopback
    assert os.environ.get("RAY_USAGE_STATS_ENABLED") is None, "set for the start alone"
    enabled = ray.get(ray.remote(lambda: os.environ["RAY_USAGE_STATS_ENABLED"]).remote())
    assert enabled == "0"


def test_more_workers_than_cores_are_refused(images, backbone, store, cluster):
    with pytest.raises(ConfigError, match="3 workers of 0 GPUs do not fit into the cluster of 2 cores"):
        extract_features(images, backbone, store, executor=RayExecutor(3))
    with pytest.raises(ConfigError, match=r"2 workers of 0\.5 GPUs"):
        extract_features(images, backbone, store, executor=RayExecutor(2, gpus_per_worker=0.5))


def test_a_worker_that_does_not_see_the_store_says_so(tmp_path, backbone):
    nowhere = tmp_path / "elsewhere"
    described, kept = backbone.description.for_store(), KeptImages(tmp_path / "kept")
    job = Job(nowhere, tmp_path, backbone.spec, described, tmp_path, kept, None, "cpu")
    answer = Worker(job, "0")({"number": [0], "path": [b"a.png"]})
    assert answer["number"] == [-1] and f"There is no {nowhere} on the machine" in answer["reason"][0]
    assert not nowhere.exists()


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr(ray_data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError) as caught:
        Extract(Path("x"), executor="ray").build_executor()
    assert caught.value.run == "pip install 'showtell[ray]'"


def test_settings_of_ray_are_refused_without_it():
    with pytest.raises(ConfigError, match="--executor is threads"):
        Extract(Path("x"), ray_address="auto")
    with pytest.raises(ConfigError, match="--workers 0 is out of range"):
        Extract(Path("x"), workers=0)


def test_keys_in_a_file_are_found_and_others_are_not(tmp_path):
    chance = random.Random(3)
    keys = sorted(chance.randbytes(30) + bytes(chance.randrange(3)) for _ in range(500))
    keys = sorted({key.ljust(32, b"\0") for key in keys})
    (tmp_path / "known").write_bytes(b"".join(keys))
    found = Keys(tmp_path / "known", 32)
    assert all(key in found for key in keys)
    assert not any(chance.randbytes(32) in found for _ in range(500))
    assert bytes(32) not in found and b"\xff" * 32 not in found
