"""No retired name stands in the code, and no retired word in a help text or a message."""

import io
import re
import tokenize
from pathlib import Path

import pytest

import showtell

ROOT = Path(showtell.__file__).parent
GLOSSARY = Path(__file__).parents[1] / "docs" / "glossary.md"
AS_NAMES = {"told", "seals", "looked", "looking", "would_do", "for_use", "as_used", "quantise_looking"}
"""Retired as identifiers; some of them are words that prose still needs."""


def retired() -> set[str]:
    """Return the old names of the glossary, such as ``seals``, ``--fit`` or ``showtell look``."""
    if not GLOSSARY.exists():
        return set()
    listed = re.search(r"## Retired words\n.*?```text\n(.*?)```", GLOSSARY.read_text("utf-8"), re.DOTALL)
    return {line.split(" -> ")[0] for line in listed[1].splitlines()}


def found_in(source: str, words: set[str], names: set[str]) -> list[str]:
    """Return where retired names are tokens of a source, and where retired words stand in its strings."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.NAME and token.string in words | names:
            found.append(f"{line}: {token.string}")
        elif token.type == tokenize.STRING:
            parts = {
                word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", token.string)
            }
            found += [f"{line}: {word!r} in a text" for word in sorted(parts)]
    return found


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_no_retired_word_is_in_the_code(path):
    assert found_in(path.read_text(encoding="utf-8"), retired(), AS_NAMES) == []


def test_the_check_sees_retired_words():
    source = (
        'told = 1\nself.seals()\n"""Run showtell look DATA."""\nhint = f"Leave --fit out, {name}"\n# told\n'
    )
    seen = found_in(source, {"showtell look", "--fit"}, {"told", "seals"})
    assert seen == ["1: told", "2: seals", "3: 'showtell look' in a text", "4: '--fit' in a text"]
    assert found_in('"what is told"\nuntold = "--fit-to"\n', {"--fit"}, {"told"}) == []
