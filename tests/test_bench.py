"""Scripts of bench/ import what exists, keep their figures, and stand in the table of docs/benchmarks.md."""

import argparse
import ast
import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "bench").glob("*.py"))


def imports(script: Path) -> list[tuple[str, str]]:
    """Return the names that a script takes from the package, wherever it does so."""
    nodes = ast.walk(ast.parse(script.read_text("utf-8")))
    found = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return [(node.module or "", name.name) for node in found for name in node.names]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_bench_imports_public_names_that_exist(script):
    taken = [(module, name) for module, name in imports(script) if module.split(".")[0] == "showtell"]
    for module, name in taken:
        assert not name.startswith("_"), f"{module}.{name} is private"
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_every_bench_is_in_the_table():
    table = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for script in SCRIPTS:
        assert script.name in table, f"docs/benchmarks.md does not name {script.name}"


def test_a_record_is_a_line_without_paths(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    record = importlib.import_module("record")
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--python")
    parser.add_argument("--sizes", nargs="+", type=int)
    record.add_results(parser)
    arguments = ["--photos", "/home/me/photos", "--python", "/home/me/bin/python", "--sizes", "1", "2"]
    options = parser.parse_args([*arguments, "--results", str(tmp_path / "results")])
    for seconds in (1.23456789, 2.0):
        record.record("start", {"predict_s": seconds}, options)
    text = (tmp_path / "results" / "start.jsonl").read_text("utf-8")
    assert "/home/me" not in text
    assert str(tmp_path) not in text
    first, second = map(json.loads, text.splitlines())
    assert first["figures"] == {"predict_s": 1.23457}
    assert first["settings"] == {"sizes": [1, 2]}
    assert second["figures"] == {"predict_s": 2.0}
    assert {"date", "code", "machine", "threads", "load", "versions", "seconds"} <= first.keys()


def test_kept_results_hold_no_paths():
    for file in (ROOT / "bench" / "results").glob("*.jsonl"):
        text = file.read_text("utf-8")
        assert not any(part in text for part in ("/home/", "/root/", "/work/", "/tmp/")), file.name
        assert all(json.loads(line)["figures"] for line in text.splitlines())
