"""The help of every command as it stands: a flag that comes, goes or says something else is seen.

Make it anew where a change is meant: SHOWTELL_GOLDEN=write python -m pytest tests/test_golden_help.py
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from showtell.commands import COMMANDS

GOLDEN = Path(__file__).parent / "golden" / "help"
CALLS = {"showtell": ["--help"], **{name: [name, "--help"] for name in COMMANDS if name != "preview"}}
CALLS |= {f"preview-{what}": ["preview", what, "--help"] for what in ("augment", "normalize", "tokens")}


def help_of(arguments: list[str]) -> str:
    """Return the help as a narrow terminal without colours shows it, its frames left out."""
    lines = (re.sub(r"^[│|+╭╰]|[│|+╮╯]$", "", line).rstrip(" ─-") for line in shown(arguments, columns=100))
    return "\n".join(line for line in lines if line.strip()) + "\n"


def shown(arguments: list[str], *, columns: int) -> list[str]:
    """Return the lines of the help in a terminal without colours."""
    plain = {"COLUMNS": str(columns), "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "showtell", *arguments]
    done = subprocess.run(
        command, capture_output=True, check=True, env=os.environ | plain, encoding="utf-8", timeout=60
    )
    return done.stdout.splitlines()


def test_a_terminal_of_hardly_any_columns_gets_the_help_of_a_narrow_one():
    assert shown(["predict", "--help"], columns=1) == shown(["predict", "--help"], columns=40)


@pytest.mark.parametrize("name", CALLS)
def test_the_help_is_what_it_was(name):
    path, found = GOLDEN / f"{name}.txt", help_of(CALLS[name])
    if os.environ.get("SHOWTELL_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert found == path.read_text(encoding="utf-8")
