"""No message advises a command that answers with itself: what a message says to run is run.

A case provokes a message. Every ``showtell`` command that the message names is run, with the case's own
values for the words in capitals (DATA, RUN, DIR ...) that stand for what only the user knows. The answer must
be another one; and where the case says that the advice helps, the command must succeed. A command that is
advised with a word in capitals for which a case has no value fails the test: nobody could run it.
"""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conftest import draw, settings_file
from showtell import cli

SETTINGS = "--backbone test_resnet --weights random"
_COMMAND = re.compile(rf"showtell (?:{'|'.join(cli.COMMANDS)}|--help)\b[^\n;`]*")
_WORD = re.compile(r"[A-Z]{2,}")


@dataclass(frozen=True)
class Case:
    """What provokes a message.

    Attributes:
        command: As typed; ``{here}`` stands for the folder of the case.
        prepare: Makes what the command meets, in the folder of the case.
        fill: Values of the words in capitals of an advised command.
        helps: An advised command must succeed, not just answer something else.
        advises: The message must advise a command of showtell; else it may give none.
    """

    command: str
    prepare: Callable[[Path], None]
    fill: dict[str, str] = field(default_factory=dict)
    helps: bool = True
    advises: bool = False


def photos(folder: Path, count: int = 6, *, first: int = 0) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"photo_{number}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        draw(first + number).save(folder / name)
    return names


def table(
    write: Callable[[str], str], *, images: str = "images", encoding: str = "utf-8", text: str = "a dog"
):
    """Return what makes six images and a table of them, whose names are written in a way."""

    def prepare(here: Path) -> None:
        rows = [f"{write(name)},{text} {number}" for number, name in enumerate(photos(here / images))]
        (here / "data").mkdir()
        (here / "data" / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n", encoding)

    return prepare


def labels(here: Path) -> None:
    for number, name in enumerate(("red", "blue")):
        photos(here / "data" / name, first=100 * number)


def plain(here: Path) -> None:
    photos(here / "data")


def other(here: Path) -> None:
    run_of("classifier")(here)
    for number in range(2):
        photos(here / "other" / str(number), first=100 * number)


def nothing(here: Path) -> None:
    (here / "data").mkdir()


def run_of(kind: str) -> Callable[[Path], None]:
    """Return what copies a run, and its data, which then is no more where it was."""

    def prepare(here: Path) -> None:
        home = RUNS[kind]
        shutil.copytree(home, here / "home")
        record = here / "home" / "run" / "config.json"
        record.write_text(
            record.read_text("utf-8").replace(json.dumps(str(home)), '"/no/such/folder"'), "utf-8"
        )
        (here / "home" / "data").rename(here / "moved")

    return prepare


def unscored(here: Path) -> None:
    shutil.copytree(RUNS["classifier"], here / "home")
    for path in (here / "home" / "run").glob("evaluation-*.json"):
        path.unlink()


RUNS: dict[str, Path] = {}
"""Folders with a trained run and its data, by kind."""
INSPECT = "inspect {here}/data --out {here}/inspect.html"
CASES = {
    "a table without its images": Case(
        "inspect {here}/data/captions.csv --out {here}/inspect.html",
        table(str, images="elsewhere/photos"),
        {"DIR": "{here}/elsewhere"},
        advises=True,
    ),
    "a folder of a table without its images": Case(
        INSPECT, table(str, images="elsewhere/photos"), {"DIR": "{here}/elsewhere"}, advises=True
    ),
    "addresses": Case(INSPECT, table("https://host.invalid/photos/{}".format), {"DIR": "{here}/images"}),
    "addresses with their images": Case(
        f"{INSPECT} --images {{here}}/none", table("https://host.invalid/{}".format), {"DIR": "{here}/images"}
    ),
    "names of another machine": Case(
        INSPECT, table("/home/somebody/photos/{}".format, images="elsewhere"), {"DIR": "{here}/elsewhere"}
    ),
    "names of a Windows machine": Case(
        INSPECT, table(r"C:\Users\me\photos\{}".format, images="elsewhere"), {"DIR": "{here}/elsewhere"}
    ),
    "names that lead out": Case(
        INSPECT, table("../../elsewhere/{}".format, images="elsewhere"), {"DIR": "{here}/elsewhere"}
    ),
    "a missing folder of images": Case(
        f"{INSPECT} --images {{here}}/none", table(str), {"DIR": "{here}/images"}
    ),
    "another encoding": Case(
        "inspect {here}/data/captions.csv --out {here}/inspect.html --images {here}/images",
        table(str, encoding="cp949", text="빨간 동그라미"),
    ),
    "an encoding that is none": Case(
        "inspect {here}/data/captions.csv --images {here}/images --encoding klingon", table(str), helps=False
    ),
    "no data": Case(INSPECT, lambda here: None),
    "an empty folder": Case(INSPECT, nothing),
    "images without words": Case("train-captioner {here}/data --out {here}/run", plain),
    "classes for a captioner": Case(
        f"train-captioner {{here}}/data --out {{here}}/run {SETTINGS}", labels, {"RUN": "{here}/new"}
    ),
    "captions for a classifier": Case(
        f"train-classifier {{here}}/data --images {{here}}/images --out {{here}}/run {SETTINGS}", table(str)
    ),
    "a format that is none": Case(f"{INSPECT} --format klingon", table(str)),
    "no run": Case(
        "predict {here}/data {here}/data/photo_0.jpg",
        plain,
        {"DATA": "{here}/data", "RUN": "{here}/new"},
        helps=False,
    ),
    "a run that is not there": Case(
        "evaluate {here}/nowhere", plain, {"DATA": "{here}/data", "RUN": "{here}/new"}, helps=False
    ),
    "no image": Case("predict {here}/nowhere", plain, {"RUN": "{here}", "PICTURE": "x.jpg"}, helps=False),
    "no such command": Case("inspekt {here}/data", plain),
    "a store without the space": Case("store --store {here}/store --remove nothing", nothing),
    "a report of what was not scored": Case("report {here}/home/run", unscored, advises=True),
    "a report of a split that was not scored": Case(
        "report {here}/home/run --split test", unscored, advises=True
    ),
    **{
        f"{command} of a {kind} whose data was moved": Case(
            f"{command} {{here}}/home/run", run_of(kind), {"DATA": "{here}/moved"}, advises=True
        )
        for command in ("evaluate", "report")
        for kind in ("captioner", "classifier")
    },
    "a report of other data": Case("report {here}/home/run {here}/other", other, advises=True),
}


@pytest.fixture(scope="module", autouse=True)
def runs(tmp_path_factory) -> None:
    """Train a run of each kind."""
    for kind in ("captioner", "classifier"):
        home = tmp_path_factory.mktemp(kind)
        names = photos(home / "data", 30) if kind == "captioner" else []
        rows = [f"{name},an image of {number % 5} things" for number, name in enumerate(names)]
        if kind == "captioner":
            (home / "data" / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n", "utf-8")
        else:
            for place in range(30):
                (home / "data" / str(place % 2)).mkdir(parents=True, exist_ok=True)
                draw(place + 1000).save(home / "data" / str(place % 2) / f"{place}.png")
        rare = " ".join(settings_file(image_size=64, hidden_dim=16, scst_epochs=0))
        plain = " ".join(settings_file(image_size=64))
        small = f"--epochs 2 {rare}" if kind == "captioner" else f"--head linear {plain}"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(home)
            assert cli.run(f"train-{kind} data --out run --store store {SETTINGS} {small}".split()) in (0, 3)
        RUNS[kind] = home


def answer(arguments: list[str], capsys) -> tuple[int, str]:
    """Run a command; return its status and what it said."""
    capsys.readouterr()
    try:
        status = cli.run(arguments)
    except SystemExit as ended:  # the parser of flags ends by itself
        status = int(ended.code or 0)
    printed = capsys.readouterr()
    return status, printed.err or printed.out


def advised(message: str, values: dict[str, str]) -> list[list[str]]:
    """Return the commands of showtell that a message advises, without the program's name."""
    found = []
    for command in _COMMAND.findall(message):
        words = [values.get(word, word) for word in shlex.split(command.rstrip(" .,:)"))[1:]]
        unknown = [word for word in words if _WORD.fullmatch(word)]
        assert not unknown, f"{command!r}: what stands for {', '.join(unknown)}?"
        found.append(words)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_message_advises_is_not_answered_with_itself(case, tmp_path, capsys, monkeypatch):
    here = tmp_path / "여기 it is"  # a path that must be quoted
    here.mkdir()
    case.prepare(here)
    monkeypatch.chdir(tmp_path)
    typed = [part.format(here=here) for part in case.command.split()]
    status, message = answer(typed, capsys)
    commands = advised(message, {word: value.format(here=here) for word, value in case.fill.items()})
    if status == 0 and not case.advises:
        return  # it needs no advice: what was an error once is read by now
    assert status == 2, message
    assert "Traceback" not in message
    assert commands or not case.advises, f"nothing is advised:\n{message}"
    for command in commands:
        then, said = answer(command, capsys)
        assert said != message, f"showtell {shlex.join(command)} answers with the message that advised it"
        assert then == 0 or not case.helps, f"showtell {shlex.join(command)} does not help:\n{said}"
        assert then in (0, 2)


def test_the_check_sees_an_advice_that_answers_with_itself(tmp_path, capsys, monkeypatch):
    circle = "showtell: It cannot be read.\nRun: showtell inspect {} --images .\n"

    def inspect(arguments: list[str]) -> int:
        print(circle.format(shlex.quote(arguments[1])), file=sys.stderr)
        return 2

    monkeypatch.setattr(cli, "run", inspect)
    with pytest.raises(AssertionError, match="answers with the message"):
        test_what_a_message_advises_is_not_answered_with_itself(
            Case(INSPECT, nothing), tmp_path, capsys, monkeypatch
        )
    with pytest.raises(AssertionError, match="what stands for DIR"):
        advised("Run: showtell inspect x --images DIR", {})
    assert advised("Try `showtell inspect x` or showtell predict 'a b' c; thanks", {}) == [
        ["inspect", "x"],
        ["predict", "a b", "c"],
    ]
