"""The labels that are given in teaching: kept, taken back, given in two places at once, and never lost."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from showtell.data.answers import ACCEPTED, PERSON
from showtell.errors import ConfigError, DataError
from showtell.teaching.labels import Labels, check_class


@pytest.fixture
def labels(tmp_path) -> Labels:
    return Labels(tmp_path / "labels.csv", {})


def texts(labels: Labels) -> dict[str, str]:
    return {name: answer.text for name, answer in labels.read().items()}


def test_undo_takes_back_what_its_own_tab_said_and_nothing_newer(labels):
    labels.give({"a.jpg": "ming", "b.jpg": "ming"}, ACCEPTED, "one")
    labels.give({"a.jpg": "레오"}, PERSON, "one")
    labels.give({"c.jpg": "zoe"}, PERSON, "other")
    assert texts(labels) == {"a.jpg": "레오", "b.jpg": "ming", "c.jpg": "zoe"}
    assert labels.undo("one") == ["a.jpg"]
    assert texts(labels) == {"a.jpg": "ming", "b.jpg": "ming", "c.jpg": "zoe"}
    assert labels.read()["a.jpg"].who == ACCEPTED
    labels.give({"b.jpg": "zoe"}, PERSON, "other")
    assert labels.undo("one") == ["a.jpg"], "the other tab has mended b.jpg since"
    assert texts(labels) == {"b.jpg": "zoe", "c.jpg": "zoe"}


def test_undo_goes_on_into_what_was_said_before_a_restart(tmp_path, labels):
    for name in ("a.jpg", "b.jpg"):
        labels.give({name: "ming"}, PERSON, "one")
    again = Labels(tmp_path / "labels.csv", {"old.jpg": "ming"})
    assert again.undo("two") == ["b.jpg"]
    assert again.undo("two") == ["a.jpg"]
    assert again.undo("two") == []


def test_a_new_name_of_a_class_may_join_another(labels):
    labels.give({"a.jpg": "ming", "b.jpg": "Ming", "c.jpg": "zoe"}, PERSON, "one")
    labels.rename("ming", "Ming")
    assert texts(labels) == {"a.jpg": "Ming", "b.jpg": "Ming", "c.jpg": "zoe"}


@pytest.mark.parametrize("name", ["", "  ", "=1+2", "@ming", "x" * 101, "a\x00b"])
def test_what_cannot_be_the_name_of_a_class(name):
    with pytest.raises(ConfigError):
        check_class(name)


def test_a_name_is_kept_in_one_form():
    assert check_class("  레오  2 ") == "레오 2"
    assert check_class("\u1105\u1166\u110b\u1169") == "레오"


def test_two_processes_on_one_folder_keep_each_others_answers(tmp_path):
    one, other = (Labels(tmp_path / "labels.csv", {"old.jpg": "zoe"}) for _ in range(2))
    threads = [
        threading.Thread(
            target=lambda labels=labels, tab=tab: [
                labels.give({f"{tab}{n}.jpg": "ming"}, PERSON, tab) for n in range(20)
            ]
        )
        for labels, tab in ((one, "a"), (other, "b"))
    ]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(one.read()) == len(other.read()) == 41
    other.give({"a0.jpg": "레오"}, PERSON, "b")
    assert texts(one)["a0.jpg"] == "레오"


def test_a_label_that_the_data_brings_untidily_is_corrected_like_any_other(tmp_path):
    labels = Labels(tmp_path / "labels.csv", {"a.jpg": "maine  coon", "b.jpg": "ming"})
    assert texts(labels) == {"a.jpg": "maine coon", "b.jpg": "ming"}
    labels.give({"a.jpg": "레오"}, PERSON, "tab")
    assert texts(labels) == texts(Labels(tmp_path / "labels.csv", {})) == {"a.jpg": "레오", "b.jpg": "ming"}


@pytest.mark.parametrize("change", ["give", "rename", "undo"])
def test_what_another_writes_in_the_last_moment_is_no_loss(labels, monkeypatch, change):
    """Between reading the table and changing it, somebody else has labelled an image."""
    labels.give({"a.jpg": "ming", "b.jpg": "ming"}, PERSON, "tab")
    other, write, moments = Labels(labels.table.path, {}), labels.table.change_all, [1]

    def interrupted(pairs):
        if moments.pop() if moments else 0:
            other.give({"b.jpg": "zoe"}, PERSON, "other")
        return write(pairs)

    monkeypatch.setattr(labels.table, "change_all", interrupted)
    if change == "give":
        labels.give({"a.jpg": "레오", "b.jpg": "레오"}, PERSON, "tab")
        assert texts(labels) == {"a.jpg": "레오", "b.jpg": "레오"}
    elif change == "rename":
        labels.rename("ming", "레오")
        assert texts(labels) == {"a.jpg": "레오", "b.jpg": "zoe"}
    else:
        assert labels.undo("tab") == ["a.jpg"]
        assert texts(labels) == {"b.jpg": "zoe"}


def test_a_table_that_never_rests_is_said(labels, monkeypatch):
    labels.give({"a.jpg": "ming"}, PERSON, "tab")
    monkeypatch.setattr(labels.table, "change_all", lambda pairs: False)
    with pytest.raises(DataError, match="written by another program all the time"):
        labels.give({"a.jpg": "레오"}, PERSON, "tab")


WRITER = """
import random, sys, time
from pathlib import Path
from showtell.teaching.labels import Labels
labels, numbers = Labels(Path(sys.argv[1]), {}), random.Random(int(sys.argv[2]))
while True:
    image, label = f"{sys.argv[3]}{numbers.randrange(30)}.jpg", numbers.choice(["ming", "레오"])
    print("try", image, label, flush=True)
    labels.give({image: label}, "person", "tab")
    print("kept", image, label, flush=True)
    time.sleep(0.002)
"""


def writing(code: str, *arguments: object, stdout=subprocess.PIPE) -> subprocess.Popen:
    """Start a process that gives labels and says which were kept."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=stdout, env=environment
    )


def update(expected: dict[str, str], said: list[bytes], found: dict[str, str]) -> None:
    """Take in what a killed process said it had kept, and the answer that it was killed with."""
    lines = [line.decode().split() for line in said if line.endswith(b"\n")]
    assert all(len(line) == 3 for line in lines)
    expected |= {image: label for what, image, label in lines if what == "kept"}
    what, image, label = lines[-1]
    if what == "try" and found.get(image) == label:  # on the disk, and killed before it could say so
        expected[image] = label


def test_killed_at_thirty_moments_nothing_that_was_kept_is_lost_here_or_by_another_process(tmp_path):
    path, heard, numbers = tmp_path / "labels.csv", tmp_path / "other.txt", random.Random(7)
    expected: dict[str, str] = {}
    with heard.open("wb") as file, writing(WRITER, path, 99, "other-", stdout=file) as other:
        for moment in range(30):
            with writing(WRITER, path, moment, "") as process:
                said = [process.stdout.readline()]  # it has begun
                time.sleep(numbers.uniform(0, 0.03))
                process.send_signal(signal.SIGKILL)
                said += process.stdout.readlines()
            found = {name: text for name, text in texts(Labels(path, {})).items() if name[0] != "o"}
            update(expected, said, found)
            assert found == expected
        assert other.poll() is None
        other.send_signal(signal.SIGKILL)
    found = texts(Labels(path, {}))
    update(expected, heard.read_bytes().splitlines(keepends=True), found)
    assert found == expected
    assert len([name for name in expected if name[0] == "o"]) == 30


LIMITED = """
import resource, sys
from pathlib import Path
from showtell.errors import DataError
from showtell.teaching.labels import Labels
labels, most = Labels(Path(sys.argv[1]), {}), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
for number in range(40):
    try:
        labels.give({f"{number}.jpg": "레오"}, "person", "tab")
        print("kept", number, flush=True)
    except DataError as error:
        assert "not kept" in str(error), error
        print("refused", number, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no size of files")
@pytest.mark.parametrize("most", [400, 411, 423])
def test_where_the_system_writes_only_part_of_an_answer_none_of_it_stays(tmp_path, most):
    path = tmp_path / "labels.csv"
    with writing(LIMITED, path, most) as process:
        said = [line.decode().split() for line in process.stdout]
    assert process.returncode == 0
    kept = [number for what, number in said if what == "kept"]
    assert 0 < len(kept) < len(said) == 40
    assert path.stat().st_size <= most
    assert path.read_bytes().endswith(b"\n")
    assert texts(Labels(path, {})) == {f"{number}.jpg": "레오" for number in kept}


def test_a_full_disk_is_said_and_what_was_kept_stays(labels, monkeypatch):
    labels.give({"a.jpg": "ming"}, PERSON, "one")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left"):
            labels.give({"b.jpg": "ming"}, PERSON, "one")
        with pytest.raises(DataError, match="No space left"):
            labels.give({"a.jpg": "레오"}, PERSON, "one")
    assert texts(labels) == {"a.jpg": "ming"}
    labels.give({"b.jpg": "ming"}, PERSON, "one")
    assert labels.undo("one") == ["b.jpg"], "what was not kept is not there to be taken back"
