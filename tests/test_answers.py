"""Answers are kept: whatever is killed, whoever else writes, and as a table that a training reads."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import draw
from showtell.console import Console
from showtell.data import answers
from showtell.data.annotated import read_annotated
from showtell.data.answers import ACCEPTED, MACHINE, PERSON, Answer, AnswerTable
from showtell.data.readers import read_dataset
from showtell.data.source import DataSource
from showtell.errors import DataError

WRITER = """
import sys
from pathlib import Path
from showtell.data.answers import Answer, AnswerTable
table = AnswerTable(Path(sys.argv[1]), "caption")
for number in range(int(sys.argv[2])):
    table.add([Answer(f"{sys.argv[3]}{number}.jpg", f'강아지가 "{number}", 달린다 ' + "x" * 200)])
    print(number, flush=True)
"""


def writer(path: Path, count: int, name: str = "a") -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path), str(count), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def table(tmp_path) -> AnswerTable:
    return AnswerTable(tmp_path / "captions.csv", "caption")


def test_what_is_added_is_read_again_as_it_was(table):
    said = [
        Answer("가방/한 장.jpg", 'A "red" dog, \n running;', PERSON, "2026-11-29T10:00:00Z"),
        Answer("b.jpg", "=2+3", MACHINE, "2026-11-29T10:00:01Z"),
    ]
    assert table.read() == []
    for one in said:
        table.add([one])
    assert [one.text for one in table.read()] == ['A "red" dog, running;', "=2+3"]
    assert [(one.image, one.who, one.time) for one in table.read()] == [
        (one.image, one.who, one.time) for one in said
    ]
    assert table.path.read_bytes().startswith(b"\xef\xbb\xbfimage,caption,who,time\n"), (
        "a spreadsheet opens it"
    )


def test_a_table_written_by_hand_keeps_its_columns_rows_and_delimiter(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("note;file_name;caption\n\nmine;a.jpg;a dog\nhers;b.jpg;a cat", encoding="utf-8")
    table = AnswerTable(path, "caption")
    table.add([Answer("c.jpg", "a bird", MACHINE, "2026-11-29T10:00:01Z")])
    assert path.read_text("utf-8-sig").splitlines() == [
        "note;file_name;caption;who;time",
        "mine;a.jpg;a dog;person;",
        "hers;b.jpg;a cat;person;",
        ";c.jpg;a bird;machine;2026-11-29T10:00:01Z",
    ]
    assert table.read()[0].more == {"note": "mine"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("image,caption\na.jpg,개\n".encode("cp949"), "is not UTF-8"),
        (b"image,text,extra\na.jpg,a,dog,runs\n", "row of 4 cells, 'a.jpg,a,dog,runs'; its header has 3"),
        (b"photo of,words\na.jpg,b\n", "has no column image"),
        ("image,caption\na.jpg,a dog\n".encode("utf-16-le"), "has no column image"),
    ],
)
def test_a_table_that_would_lose_something_is_refused_and_left_alone(table, content, words):
    table.path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        table.add([Answer("c.jpg", "a bird")])
    assert table.path.read_bytes() == content


@pytest.mark.parametrize("cut", [1, 5, 20, 60, 201])
def test_a_line_that_a_kill_has_cut_is_gone_and_the_others_are_there(table, cut):
    for name in "abc":
        table.add([Answer(f"{name}.jpg", "강아지가 달린다 " + "x" * 150, time="2026-11-29T10:00:01Z")])
    whole = table.path.read_bytes()
    start = whole.rindex(b"c.jpg")
    table.path.write_bytes(whole[: start + cut] if cut < len(whole) - start - 1 else whole[:-1])
    other = AnswerTable(table.path, "caption")
    names = {one.image for one in other.read()}
    assert names >= {"a.jpg", "b.jpg"}
    other.add([Answer("d.jpg", "a dog")])
    assert {one.image for one in other.read()} == names | {"d.jpg"}


@pytest.mark.parametrize("lost", [(0, 40), (30, 5), (9, 500)])
def test_of_a_line_whose_sector_was_lost_in_a_power_cut_the_others_are_there(table, lost):
    for name in "abc":
        table.add([Answer(f"{name}.jpg", "강아지가 달린다", time="2026-11-29T10:00:01Z")])
    whole = bytearray(table.path.read_bytes())
    start = whole.rindex(b"c.jpg") + lost[0]
    end = min(start + lost[1], len(whole))
    whole[start:end] = bytes(end - start)
    table.path.write_bytes(whole)
    other = AnswerTable(table.path, "caption")
    assert [one.image for one in other.read()] == ["a.jpg", "b.jpg"]
    other.add([Answer("d.jpg", "a dog")])
    assert [one.image for one in other.read()] == ["a.jpg", "b.jpg", "d.jpg"]
    assert b"\0" not in table.path.read_bytes()


def test_killed_at_any_moment_it_has_all_that_was_answered(tmp_path):
    for moment in (0, 3, 11):
        path = tmp_path / f"captions{moment}.csv"
        running = writer(path, 10_000)
        assert running.stdout is not None
        for _ in range(moment + 1):
            said = int(running.stdout.readline())
        running.send_signal(signal.SIGKILL)
        rest = running.stdout.read().split()
        running.wait()
        said = int(rest[-1]) if rest else said
        kept = [one.image for one in AnswerTable(path, "caption").read()]
        assert kept[: said + 1] == [f"a{number}.jpg" for number in range(said + 1)]
        assert len(kept) <= said + 2


def test_two_processes_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "captions.csv"
    running = [writer(path, 40, name) for name in "ab"]
    table = AnswerTable(path, "caption")
    for number in range(20):
        table.add([Answer(f"c{number}.jpg", "mine"), Answer(f"d{number}.jpg", "mine")])
        old = next(one for one in table.read() if one.image == f"c{number}.jpg")
        assert table.change(old, None)
        assert not table.change(old, None), "it is there no more"
    for one in running:
        one.communicate()
    expected = [
        f"{name}{number}.jpg" for name, count in (("a", 40), ("b", 40), ("d", 20)) for number in range(count)
    ]
    assert sorted(one.image for one in table.read()) == sorted(expected)


def test_two_tabs_of_one_process_wait_for_each_other(table):
    threads = [
        threading.Thread(target=lambda name=name: [table.add([Answer(f"{name}{n}", "x")]) for n in range(20)])
        for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(table.read()) == 40


def test_a_full_disk_is_said_and_leaves_the_table_as_it_was(table, monkeypatch):
    table.add([Answer("a.jpg", "a dog")])
    before = table.path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(answers.os, "fsync", full)
    with pytest.raises(DataError, match="the last answer is not kept: No space left on device"):
        table.add([Answer("b.jpg", "a cat")])
    with pytest.raises(DataError, match="No space left"):
        table.change(table.read()[0], None)
    assert table.path.read_bytes() == before
    monkeypatch.undo()
    table.add([Answer("b.jpg", "a cat")])
    assert len(table.read()) == 2


def test_whoever_holds_the_folder_too_long_is_named(table, monkeypatch):
    monkeypatch.setattr(answers, "_PATIENCE", 0.05)
    with answers.lock_folder(table.path.parent), pytest.raises(DataError, match="is not kept"):
        table.add([Answer("a.jpg", "a dog")])


def test_a_change_of_another_is_seen(table):
    states = [table.state()]
    table.add([Answer("a.jpg", "a dog")])
    states.append(table.state())
    AnswerTable(table.path, "caption").change(table.read()[0], Answer("a.jpg", "a cat"))
    states.append(table.state())
    assert len(set(states)) == 3


@pytest.mark.parametrize("column", ["caption", "label"])
def test_a_training_reads_the_table_without_what_nobody_accepted(tmp_path, column):
    for number in range(4):
        draw(number).save(tmp_path / f"{number}.png")
    table = AnswerTable(tmp_path / f"{column}s.csv", column)
    for number, who in enumerate([PERSON, MACHINE, ACCEPTED, PERSON]):
        table.add([Answer(f"{number}.png", f"said {number % 2}", who)])
    dataset = read_dataset(DataSource(tmp_path))
    assert [image.name for image in dataset.images] == ["0.png", "2.png", "3.png"]
    assert [one.where for one in dataset.problems if one.kind == "nobody accepted"] == [f"{table.path}:3"]


def test_a_column_who_of_other_words_is_nobodys_business(tmp_path):
    draw(1).save(tmp_path / "1.png")
    (tmp_path / "captions.csv").write_text("image,caption,who\n1.png,a dog runs,machine shop\n", "utf-8")
    assert len(read_dataset(DataSource(tmp_path)).images) == 1


def test_of_captions_and_labels_in_one_folder_each_training_takes_its_own(tmp_path):
    for number in range(4):
        draw(number).save(tmp_path / f"{number}.png")
        AnswerTable(tmp_path / "captions.csv", "caption").add(
            [Answer(f"{number}.png", f"a dog runs {number}")]
        )
        AnswerTable(tmp_path / "labels.csv", "label").add([Answer(f"{number}.png", "ab"[number % 2])])
    console = Console(quiet=True)
    assert all(one.captions for one in read_annotated(DataSource(tmp_path), "captions", console).images)
    assert read_annotated(DataSource(tmp_path), "labels", console).classes == ("a", "b")
