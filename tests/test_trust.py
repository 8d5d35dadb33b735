"""The campaign of trust/: its parts are listed and import what exists; a find is told, kept, repeatable."""

import importlib
import json
import random
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from test_bench import imports

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "trust"))
import all as campaign_of_all  # noqa: E402
from campaign import Finding, Line, NotHere, run  # noqa: E402

PARTS = [ROOT / "trust" / f"{name}.py" for name in campaign_of_all.PARTS]


@pytest.mark.parametrize("script", sorted((ROOT / "trust").glob("*.py")), ids=lambda path: path.stem)
def test_a_part_imports_public_names_that_exist(script):
    for module, name in imports(script):
        if module.split(".")[0] == "showtell":
            assert not name.startswith("_"), f"{module}.{name} is private"
            found = hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}")
            assert found, f"{module} has no {name}"


def test_no_script_hides_a_module_of_python():
    names = {path.stem for path in (ROOT / "trust").glob("*.py")}
    assert not names & sys.stdlib_module_names


def test_every_script_with_lines_is_a_part_and_stands_in_the_table():
    table = (ROOT / "docs" / "trust.md").read_text("utf-8")
    with_lines = {path for path in (ROOT / "trust").glob("*.py") if "\nLINES" in path.read_text("utf-8")}
    assert with_lines == set(PARTS)
    for part in PARTS:
        assert f"| `{part.stem}` |" in table, f"docs/trust.md does not name {part.stem}"


@contextmanager
def dice(folder):
    assert not any(folder.iterdir())

    def attempt(chance: random.Random):
        value = chance.random()
        if value > 0.8:
            raise Finding(f"{value} in {folder}")
        return {"values": 1, "highest value": value, "lowest value": value}

    yield attempt


@contextmanager
def elsewhere(folder):
    raise NotHere("there is no such disk")
    yield


@contextmanager
def broken(folder):
    yield lambda chance: 1 / 0


def records(folder: Path) -> list[dict]:
    lines = (folder / "dice.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["figures"] for line in lines]


def test_a_find_is_told_kept_and_can_be_repeated_alone(tmp_path, capsys):
    lines = (Line("dice", dice), Line("a disk", elsewhere))
    arguments = ["--seed", "4", "--results", str(tmp_path)]
    assert run("dice", None, lines, ["--rounds", "40", *arguments]) == 1
    told = capsys.readouterr().out
    [found] = records(tmp_path)
    assert found["dice"]["rounds"] == 40 == found["dice"]["values"] + len(found["dice"]["findings"])
    assert 0 <= found["dice"]["lowest value"] < found["dice"]["highest value"] <= 0.8
    assert found["a disk"]["left_out"] == "left out: there is no such disk"
    first = found["dice"]["findings"][0]
    assert first["what"].endswith(" in FOLDER")
    assert f"--only 'dice' --seed 4 --first {first['round']} --rounds 1" in told
    again = ["--only", "dice", "--first", str(first["round"]), "--rounds", "1", *arguments]
    assert run("dice", None, lines, again) == 1
    assert records(tmp_path)[1]["dice"]["findings"] == [first]


def test_a_part_that_cannot_go_on_is_a_find_and_one_that_finds_nothing_ends_well(tmp_path):
    assert run("dice", None, (Line("broken", broken),), ["--short", "--results", str(tmp_path)]) == 1
    fair = ["--seed", "1", "--rounds", "1", "--results", str(tmp_path)]
    assert run("dice", None, (Line("dice", dice),), fair) == 0
    assert run("dice", None, (Line("dice", dice, short=0),), ["--short", "--results", str(tmp_path)]) == 0
    assert [sum(line["rounds"] for line in found.values()) for found in records(tmp_path)] == [1, 1, 0]


def test_kept_results_hold_no_paths():
    for file in (ROOT / "trust" / "results").glob("*.jsonl"):
        text = file.read_text("utf-8")
        assert not any(part in text for part in ("/home/", "/root/", "/work/", "/tmp/")), file.name
