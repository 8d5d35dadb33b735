"""The words of every error that the package makes: one that comes, goes or says something else is seen.

Read from the source, so that it does not matter which errors a test provokes. Make the list anew where a
change is meant: SHOWTELL_GOLDEN=write python -m pytest tests/test_golden_messages.py
"""

import ast
import os
from pathlib import Path

import showtell
from showtell import errors

GOLDEN = Path(__file__).parent / "golden" / "messages.txt"
ROOT = Path(showtell.__file__).parent
KINDS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
}


def words_of(node: ast.expr) -> str:
    """Return a text of the source, with {} for what is put into it."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(words_of(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return words_of(left) + words_of(right)
        case ast.IfExp(body=body, orelse=other):
            return f"[{words_of(body)} | {words_of(other)}]"
    return "{}"


def messages_of(source: str) -> list[str]:
    """Return a line for each error that is made: its kind, and what it says in up to three parts."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            found.append(
                f"{node.func.id}: " + " / ".join(words_of(part).replace("\n", "\\n") for part in parts)
            )
    return found


def test_the_words_of_errors_are_what_they_were():
    sources = (path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py"))
    found = "\n".join(sorted(line for source in sources for line in messages_of(source))) + "\n"
    if os.environ.get("SHOWTELL_GOLDEN") == "write":
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_a_changed_word_is_seen():
    source = "raise DataError(f'{path} is no table.', hint='Name one.')"
    assert messages_of(source) == ["DataError: {} is no table. / Name one."]
    assert messages_of(source) != messages_of(source.replace("Name one", "Name another"))
