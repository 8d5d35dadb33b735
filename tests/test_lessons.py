"""The lessons run, as scripts and as notebooks, are found and copied; wrong answers get a friendly reply."""

import gzip
import os
import re
import subprocess
import sys
from importlib import resources

import jupytext
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from PIL import Image

import showtell
from showtell.console import Console
from showtell.errors import ConfigError
from showtell.lessons.lesson import LessonFile, all_lessons
from showtell.lessons.questions import check

LESSONS = all_lessons()
NAMES = [lesson.name for lesson in LESSONS]


def cells(lesson: LessonFile) -> list[tuple[str, str]]:
    """Return the kind and text of each cell as jupytext reads them."""
    return [(cell.cell_type, cell.source) for cell in jupytext.reads(lesson.text, fmt="py:percent").cells]


def run(command: list[str], folder) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CACHE_HOME": str(folder)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )


def test_there_are_eight_in_order():
    assert [lesson.number for lesson in LESSONS] == list(range(1, 9))
    assert all(lesson.name.startswith(f"lesson_{lesson.number}_") for lesson in LESSONS)


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_it_runs_draws_its_figure_and_checks_its_answer(lesson, tmp_path):
    (tmp_path / lesson.name).write_text(lesson.text, encoding="utf-8")
    done = run([sys.executable, lesson.name], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "The answer is" in done.stdout
    figure = tmp_path / lesson.name.replace(".py", ".png")
    assert f"Figure: {figure}" in done.stdout
    with Image.open(figure) as drawn:
        assert min(drawn.size) > 300 and np.asarray(drawn.convert("L")).std() > 5


@pytest.mark.parametrize("lesson", LESSONS, ids=NAMES)
def test_it_is_a_notebook_in_english_and_korean(lesson):
    read = cells(lesson)
    prose = [text for kind, text in read if kind == "markdown"]
    assert len(prose) >= 5 and len(read) > len(prose) + 4
    for text in prose:
        assert re.search("[a-z]{3}", text) and re.search("[가-힣]", text), text
    assert "answer = None" in read[-1][1], "the reader answers in the last cell"
    assert "question" in read[-2][1] and "질문" in read[-2][1]


def test_it_runs_in_a_notebook_and_shows_its_figure_there(tmp_path):
    kernel, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    messages: list[dict] = []
    try:
        for kind, text in cells(LESSONS[0]):
            if kind == "code":
                reply = client.execute_interactive(text, timeout=60, output_hook=messages.append)
                assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    shown = [one["content"]["data"] for one in messages if one["msg_type"] == "display_data"]
    assert any("image/png" in data for data in shown)
    said = "".join(one["content"]["text"] for one in messages if one["msg_type"] == "stream")
    assert "Write your answer instead of None" in said and "The answer is" not in said
    assert list(tmp_path.iterdir()) == [], "a notebook writes no figure"


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ("Shirt ", "Right, shirt!"),
        ("bag", "Not yet: bag. 아직 아닙니다. Bags have handles."),
        ("boot", "Not yet: boot."),
        (None, "The answer is shirt. Of course."),
    ],
)
def test_the_reply_to_a_word(answer, reply):
    assert check(answer, "shirt", why="Of course.", hints={"bag": "Bags have handles."}).startswith(reply)


@pytest.mark.parametrize(
    ("answer", "right"), [(0.61, True), (0.6, True), (0.7, False), (1, False), ("0.6", True)]
)
def test_the_reply_to_a_number(answer, right):
    assert check(answer, 0.6, within=0.02, why="").startswith("Right" if right else "Not yet")


def test_one_is_copied_and_never_over_another_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = showtell.lesson(showtell.Lesson(6), Console(quiet=True))
    copy = tmp_path / "lesson_6_attention.py"
    assert found.record() == {
        "lessons": [{"number": 6, "title": "Attention in sixty lines", "name": copy.name}],
        "copy": copy.name,
    }
    assert copy.read_text(encoding="utf-8") == LESSONS[5].text
    copy.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is here already"):
        showtell.lesson(showtell.Lesson(6), Console(quiet=True))
    assert copy.read_text(encoding="utf-8") == "mine"
    with pytest.raises(ConfigError, match=r"no lesson 9.\nExpected a number from 1 to 8"):
        showtell.lesson(showtell.Lesson(9), Console(quiet=True))


def test_they_are_listed(capsys):
    found = showtell.lesson(showtell.Lesson(), Console())
    listed = capsys.readouterr().err
    assert all(f"{lesson.number}  {lesson.title}" in listed for lesson in LESSONS)
    assert found.copy is None and len(found.lessons) == 8


def test_the_sheet_of_clothes_has_its_labels_and_its_licence():
    folder = resources.files("showtell") / "lessons" / "fashion"
    with (folder / "sheet.png").open("rb") as file, Image.open(file) as sheet:
        assert sheet.size == (1400, 1400) and sheet.mode == "L"
    labels = (folder / "labels.txt").read_text(encoding="utf-8").split()
    counts = {digit: "".join(labels[:40]).count(digit) for digit in "0123456789"}
    assert set(counts.values()) == {200} and len("".join(labels)) == 2500
    assert "Zalando SE" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_lesson_2_reads_the_files_of_the_full_data_set(tmp_path):
    program = LESSONS[1].text.split("images, labels, train_count = ")[0]
    chance = np.random.default_rng(0)
    for part, count in (("train", 5), ("t10k", 3)):
        pixels = chance.integers(0, 256, (count, 28, 28), np.uint8)
        content = b"\x00\x00\x08\x03" + np.array([count, 28, 28], ">i4").tobytes() + pixels.tobytes()
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
        labels = b"\x00\x00\x08\x01" + np.array([count], ">i4").tobytes() + bytes(range(count))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    names: dict = {}
    exec(program, names)
    images, labels, train_count = names["read_idx"](tmp_path)
    assert images.shape == (8, 28, 28) and train_count == 5
    assert labels.tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert (images[5:] == pixels).all()
