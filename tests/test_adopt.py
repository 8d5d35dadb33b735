"""A space taken over into another: byte for byte, through kills, full disks and damage, linked or copied."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from showtell.console import Log
from showtell.store.adopt import adopt
from showtell.store.store import FeatureStore
from test_store import DESCRIPTION, assert_intact, child, finished, key_of, record_of

LINKED, COPIED = 0, 1 << 60
"""From which size a grid file is linked: from any, from none."""


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "저장소")


def worker(root: Path, numbers) -> Path:
    """Write a space as a worker does, and close it; return its folder."""
    space = FeatureStore(root).space(DESCRIPTION)
    space.put([record_of(n) for n in numbers])
    return space.folder


@pytest.mark.parametrize("link_from", [LINKED, COPIED])
def test_what_is_taken_over_is_equal_to_the_last_byte_and_its_folder_is_gone(store, tmp_path, link_from):
    folders = [worker(tmp_path / f"worker-{n}", range(n * 40, n * 40 + 50)) for n in range(3)]
    space = store.space(DESCRIPTION)
    space.put([record_of(n) for n in range(10)])
    adopted = [adopt(space, folder, Log(), link_from=link_from) for folder in folders]
    assert [one.records for one in adopted] == [40, 40, 40] and [one.known for one in adopted] == [10] * 3
    assert all((one.linked > 0) == (link_from == LINKED) for one in adopted)
    assert len(space) == 130 and not any(folder.exists() for folder in folders)
    assert_intact(space, range(130))
    assert space.missing([key_of(n) for n in (0, 129, 130)]) == [2]
    del space
    again = store.space(DESCRIPTION)  # in files of its own, and in another process
    assert_intact(again, range(130))
    finished(
        child("t.assert_intact(t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION), range(130))", store.root)
    )
    assert np.array_equal(
        again.get_pooled([key_of(n) for n in (3, 120)]), [record_of(3)[2], record_of(120)[2]]
    )


def test_a_linked_file_takes_no_room_twice_and_goes_on_into_a_third_space(store, tmp_path):
    folder = worker(tmp_path / "worker", range(100))
    before = (folder / "grid" / "data.mdb").stat().st_ino
    space = store.space(DESCRIPTION)
    adopt(space, folder, Log(), link_from=LINKED)
    assert space.grid_files.path(1).stat().st_ino == before
    space.put([record_of(n) for n in range(90, 110)])
    name = space.folder
    del space
    third = FeatureStore(tmp_path / "third").space(DESCRIPTION)
    adopted = adopt(third, name, Log(), link_from=LINKED)
    assert adopted.records == 110 and third.grid_files.numbers() == [0, 1, 2]
    assert third.grid_files.path(2).stat().st_ino == before
    assert_intact(third, range(110))


KILLED = """
from showtell.store import adopt
adopt._BATCH_BYTES = 100_000
space = t.FeatureStore(t.Path(argv[0])).space(t.DESCRIPTION)
print("open", flush=True)
adopt.adopt(space, t.Path(argv[1]), adopt.Console(quiet=True), link_from=int(argv[2]))
"""


@pytest.mark.parametrize("link_from", [LINKED, COPIED])
def test_kill_9_while_it_is_taken_over_loses_nothing_and_the_next_call_goes_on(store, tmp_path, link_from):
    folder = worker(tmp_path / "worker", range(600))
    counts = [0]
    for attempt in range(60):
        if not folder.exists():
            break
        process = child(KILLED, store.root, folder, link_from)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 * attempt)
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), err
        space = store.space(DESCRIPTION)
        counts.append(len(space))
        assert counts[-1] >= counts[-2]
        there = [n for n in range(600) if key_of(n) in space]
        assert len(there) == counts[-1]
        assert_intact(space, there)
        del space
    assert counts[-1] == 600 and len(set(counts)) > 2
    assert len(store.space(DESCRIPTION).grid_files.numbers()) == (2 if link_from == LINKED else 1)
