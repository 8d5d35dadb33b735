"""docs/reference.md names what the package offers, all of it and nothing else, and its examples run."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import showtell
from test_readme import environment, lay_desk

ROOT = Path(__file__).parents[1]
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(\w+)` \| (.+) \|$", REFERENCE, re.MULTILINE)
EXAMPLES = re.findall(r"```python\n(.*?)```", REFERENCE, re.DOTALL)


def test_every_public_name_stands_there_once_with_its_meaning():
    assert sorted(name for name, _ in ROWS) == sorted(showtell.__all__)
    assert all(meaning.strip() for _, meaning in ROWS)


def test_no_other_name_stands_there():
    written = set(re.findall(r"showtell\.(\w+)", REFERENCE))
    assert len(written) > 10 and written <= set(showtell.__all__)


@pytest.mark.parametrize("name", sorted(set(showtell.__all__) - {"__version__"}))
def test_every_public_name_has_a_docstring_of_its_own(name):
    found = getattr(showtell, name)
    own = inspect.getdoc(found)
    assert own and own.splitlines()[0].endswith(".")
    if inspect.isclass(found):
        assert found.__dict__["__doc__"] and not own.startswith(f"{name}("), "dataclasses make one up"


@pytest.mark.timeout(240)
def test_the_examples_run(tmp_path):
    # Training comes first here, since the other examples use the run that it leaves.
    desk = lay_desk(tmp_path)
    training = next(example for example in EXAMPLES if "train_captioner" in example)
    rest = [example.replace("runs/mine", "runs/again") for example in EXAMPLES if example != training]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join([training, *rest])],
        cwd=desk,
        env=environment(desk) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert len(rest) == 3 and done.returncode == 0, done.stderr
    assert "missing.png" in done.stdout, "an image that cannot be read is named"
    for written in ("why.png", "views.png", "inspect.html"):
        assert (desk / written).stat().st_size > 1000
