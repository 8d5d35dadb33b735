"""The house keeps its order: no import goes up, no file is a drawer, no light room is heavy."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import showtell

ROOT = Path(showtell.__file__).parent

# A module imports only from its own room and from rooms above it in this list, and a room at the edge from no
# other edge. Against the list of the design: `settings` and `console` came in, `runtime` stands beside them,
# and `report` stands above `kinds`, which draw with it. `serving` stands above the edges: the page of
# `teaching` has its server, its guards and its looks; and `searching` above it, whose demo finds images.
CORE = [
    "errors",
    "addresses",
    "files",
    "process",
    "settings",
    "notebook",
    "console",
    "runtime",
    "data",
    "samples",
    "text",
    "store",
    "backbones",
    "engines",
    "extraction",
    "models",
    "evaluation",
    "runs",
    "report",
    "training",
    "kinds",
    "searching",
    "serving",
]
EDGES = [
    "inspection",
    "previews",
    "comparison",
    "onnx_export",
    "hub",
    "video",
    "teaching",
    "quickstart",
    "lessons",
]
ROOMS = [*CORE, *EDGES, "commands", "flags", "cli", "__main__"]
LIGHT = [
    "errors",
    "files",
    "process",
    "notebook",
    "console",
    "commands",
    "cli",
    "data.records",
    "text.words",
    "text.tokenizer",
    "store.store",
    "backbones.description",
    "extraction.settings",
    "evaluation.caption_scores",
]
DRAWERS = {"utils", "util", "common", "helpers", "helper", "core", "misc", "shared"}
LINES = 320
LONGER: dict[str, int] = {}
SOURCES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room_of(module: str) -> str:
    """Return the room of ``showtell.room.file``; the package itself has none."""
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    """Return every module of the package that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "showtell"}


def arrows_up(sources: dict[str, set[str]]) -> list[str]:
    """Return the imports that go up the list of rooms."""
    wrong = []
    for room, imported in sources.items():
        for module in imported:
            other = room_of(module)
            goes_up = other in ROOMS and ROOMS.index(other) > ROOMS.index(room)
            if goes_up or (room in EDGES and other in EDGES and other != room):
                wrong.append(f"{room} imports {module}")
    return sorted(wrong)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_import_goes_up(path):
    room = room_of("showtell." + path.relative_to(ROOT).parts[0].removesuffix(".py"))
    if room == "__init__":
        pytest.skip("the package's own door opens to every room")
    assert room in ROOMS, f"{room} is a room without a place in the order"
    assert arrows_up({room: imports_of(path)}) == []


def test_the_check_sees_arrows_that_go_up():
    assert arrows_up({"data": {"showtell.extraction.extract.extract_features"}}) != []
    assert arrows_up({"report": {"showtell.kinds.predict.predict"}}) != []
    assert arrows_up({"hub": {"showtell.kinds.predict.predict", "showtell.errors.DataError"}}) == []
    assert arrows_up({"hub": {"showtell.video.live.live"}}) != [], "a room at the edge knows no other"
    assert any(imports_of(path) for path in SOURCES)


def test_each_room_has_its_line_in_the_architecture():
    text = (ROOT.parents[1] / "docs" / "architecture.md").read_text("utf-8")
    rooms = re.findall(r"^\| `(\w+)`", text.partition("## The rooms")[2], re.M)
    assert [room for room in CORE if room not in rooms] == []


def test_nothing_is_a_drawer_for_everything():
    assert not [name_of(path) for path in ROOT.rglob("*") if path.stem.strip("_").lower() in DRAWERS]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_have_one_subject(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGER.get(name_of(path), LINES)


def test_light_rooms_import_no_torch():
    """One process imports them one by one, and says after which torch was there."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module('showtell.' + name)\n"
        "    heavy = {'torch', 'timm', 'torchvision', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, *LIGHT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr


TRAINING = ["kinds.captioner.train", "kinds.classifier.train"]


@pytest.mark.parametrize("module", TRAINING)
def test_training_is_imported_without_drawing(module):
    """Reports and boards draw; training does not need that. The Hub's client is loaded by timm itself."""
    program = (
        "import importlib, sys\n"
        "importlib.import_module('showtell.' + sys.argv[1])\n"
        "drawing = {'matplotlib', 'jinja2', 'tensorboard'} & set(sys.modules)\n"
        "assert not drawing, drawing\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", program, module],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr


def modules_at_the_top(path: Path) -> set[str]:
    """Return the modules of the package that a file imports outside of functions, for type checking too."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules that import themselves by way of others."""
    found = []
    for start in graph:
        seen: set[str] = set()
        rest = [start]
        while rest:
            more = (graph.get(rest.pop(), set()) & graph.keys()) - seen
            seen |= more
            rest += more
        if start in seen:
            found.append(start)
    return sorted(found)


def test_no_modules_import_each_other():
    names = {
        ".".join(["showtell", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in SOURCES
    }
    graph = {name: modules_at_the_top(path) - {name} for name, path in names.items()}
    assert circles(graph) == []


def test_the_check_sees_circles():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}
    assert circles(graph) == ["a", "b", "c"]
    assert modules_at_the_top(ROOT / "kinds" / "kind.py") >= {"showtell.kinds.model.Model"}


def test_no_library_code_prints():
    printing = [
        name_of(path)
        for path in SOURCES
        if path.name != "cli.py" and path.parent.name != "texts"  # of lessons, which readers run themselves
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_no_pickle_is_written_or_read():
    calls = {"torch.load", "torch.save", "pickle.load", "pickle.loads", "pickle.dump", "pickle.dumps"}
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls
    ]
    assert found == []
