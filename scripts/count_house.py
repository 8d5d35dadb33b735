"""Count what the house is measured by: files, lines, kinds, loose types, wide functions, circles of imports.

Run: python scripts/count_house.py
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "showtell").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MOST_PARAMETERS = 5
KIND_BRANCH = re.compile(
    r"isinstance\([^)]*(Captioner|Classifier|CaptionResult|ClassResult|TrainCaptioner|TrainClassifier)"
    r"|kind\s*(==|!=|in)\s*[(\"'](captioner|classifier)"
)


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Return the modules of the package that a file imports at its top, for type checking too."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            found |= names & modules
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
    return found - {module_of(path)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or by way of others."""

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        rest = [start]
        while rest:
            for other in graph.get(rest.pop(), set()) - seen:
                seen.add(other)
                rest.append(other)
        return seen

    reached = {module: reach(module) for module in graph}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(group) for group in groups)


def wide_functions(path: Path) -> Iterator[str]:
    """Yield the functions with more parameters than fit a glance; ``self`` and ``cls`` are not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            args = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(arg.arg not in ("self", "cls") for arg in args)
            if count > MOST_PARAMETERS:
                yield f"{module_of(path)}.{node.name} ({count})"


def lines_of(paths: list[Path]) -> int:
    """Return how many lines files have."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


def main() -> None:
    """Print the counts."""
    modules = {module_of(path) for path in SOURCES}
    graph = {module_of(path): imports_of(path, modules) for path in SOURCES}
    branches = [
        f"{module_of(path)}:{number}"
        for path in SOURCES
        if "kinds" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if KIND_BRANCH.search(line)
    ]
    loose = sum(
        len(re.findall(r"(dict|Mapping)\[str, Any\]", path.read_text(encoding="utf-8"))) for path in SOURCES
    )
    wide = [name for path in SOURCES for name in wide_functions(path)]
    source, tests = lines_of(SOURCES), lines_of(TESTS)
    print(f"files in src: {len(SOURCES)}, of which {sum(not p.stat().st_size for p in SOURCES)} are empty")
    print(f"lines in src: {source:,}; in tests: {tests:,} ({tests / source:.2f})")
    print(f"branches on kind outside kinds/: {len(branches)} {' '.join(branches)}")
    print(f"dict[str, Any]: {loose}")
    print(f"functions with more than {MOST_PARAMETERS} parameters: {len(wide)}")
    for name in wide:
        print(f"  {name}")
    print(f"circles of imports: {circles(graph) or 'none'}")


if __name__ == "__main__":
    main()
