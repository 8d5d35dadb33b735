"""What the hostile inputs of a file are read by, for mutations at random and for those guided by coverage."""

import contextlib
import io
from pathlib import Path


def read_answers(path: Path) -> None:
    """Read a table of captions, and add one, as ``teach`` does.

    Raises:
        AssertionError: Another answer is not what it was.
    """
    from showtell.data.answers import Answer, AnswerTable

    table = AnswerTable(path, "caption")
    before = table.read()
    table.add([Answer("new.png", "a new one")])
    *kept, new = table.read()
    if [one.text for one in kept] != [one.text for one in before] or new.image != "new.png":
        raise AssertionError("an answer is lost or changed by another one")


def read_settings(path: Path) -> None:
    """Parse a command line whose ``--config`` names a file."""
    from showtell.flags import parse

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            parse(["train-captioner", "data.csv", "--out", "run", "--config", str(path)])
        except SystemExit as error:
            if error.code != 2:
                raise
