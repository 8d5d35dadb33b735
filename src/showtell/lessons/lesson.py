"""The lessons that the package brings: ``showtell lesson`` lists them, ``showtell lesson 6`` copies one."""

import re
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from showtell.console import Console, Log
from showtell.errors import ConfigError
from showtell.lessons.settings import Lesson
from showtell.runs.records import JsonObject

_TITLE = re.compile(r"^# # (\d+)\. (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class LessonFile:
    """A lesson: a Python script whose cells begin with ``# %%``.

    Attributes:
        number: From 1.
        title: What it is about, in a line.
        name: Of its file.
        text: The whole script.
    """

    number: int
    title: str
    name: str
    text: str


@dataclass(frozen=True)
class Lessons:
    """What ``showtell lesson`` returns.

    Attributes:
        lessons: All of them, or the one that was copied.
        copy: Where that one is now; None where they were listed.
    """

    lessons: tuple[LessonFile, ...]
    copy: Path | None = None

    def record(self) -> JsonObject:
        """Return what a script reads: number, title and file of each, and where the copy is."""
        listed = [{key: value for key, value in asdict(one).items() if key != "text"} for one in self.lessons]
        return {"lessons": listed, "copy": None if self.copy is None else str(self.copy)}


def all_lessons() -> tuple[LessonFile, ...]:
    """Return the lessons in order."""
    found = []
    for file in (resources.files("showtell") / "lessons" / "texts").iterdir():
        if file.name.endswith(".py"):
            text = file.read_text(encoding="utf-8")
            title = _TITLE.search(text)
            assert title, f"{file.name} has no title"
            found.append(LessonFile(int(title[1]), title[2], file.name, text))
    return tuple(sorted(found, key=lambda lesson: lesson.number))


def lesson(config: Lesson, console: Console | None = None) -> Lessons:
    """List the lessons, or copy one into the current folder.

    Args:
        config: Which one; none to list them.
        console: Where to say it; None for the log of ``showtell``.

    Returns:
        The lessons, and where the copy is.

    Raises:
        ConfigError: There is no such lesson, or a file of its name is here already.
    """
    console = console or Log()
    lessons = all_lessons()
    if config.number is None:
        for one in lessons:
            console.say(f"{one.number}  {one.title}")
        console.say("\nCopy one into this folder: showtell lesson 1")
        return Lessons(lessons)
    chosen = next((one for one in lessons if one.number == config.number), None)
    if chosen is None:
        raise ConfigError(
            f"There is no lesson {config.number}.",
            hint=f"Expected a number from 1 to {len(lessons)}.",
            run="showtell lesson",
        )
    copy = Path(chosen.name)
    try:
        with copy.open("x", encoding="utf-8") as file:
            file.write(chosen.text)
    except FileExistsError as error:
        raise ConfigError(
            f"{copy} is here already, and may hold your changes, so it is kept.",
            hint="Rename it, or go to another folder.",
        ) from error
    console.say(
        f"{copy}: {chosen.title}\n"
        f"  Terminal  python {copy}; its figure is saved beside it\n"
        f"  VS Code   open it, and press Run Cell above a cell (extensions Python and Jupyter)\n"
        f"  Jupyter   pip install 'showtell[lessons]', then jupytext --to ipynb {copy}\n"
        "At its end is a question: write your answer instead of None, and run it again"
    )
    return Lessons((chosen,), copy)
