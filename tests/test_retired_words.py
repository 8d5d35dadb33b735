"""No retired name stands in the code, and no retired word in a page, a help text or a message."""

import io
import re
import tokenize
from pathlib import Path

import pytest

import showtell

ROOT = Path(showtell.__file__).parent
TESTS = Path(__file__).parent
GLOSSARY = (TESTS.parent / "docs" / "glossary.md").read_text(encoding="utf-8")
LISTED = re.search(r"## Retired words\n.*?```text\n(.*?)```", GLOSSARY, re.DOTALL)
WORDS = {line.split(" -> ")[0] for line in LISTED[1].splitlines()}
"""Old names of the glossary, such as ``seals``, ``--fit`` or ``showtell look``."""
NAMES = {"told", "looked", "looking"}
"""Retired as identifiers; prose needs the words."""
PAGES = sorted([*ROOT.rglob("*.html"), *ROOT.rglob("*.js"), *(TESTS / "golden" / "help").glob("*.txt")])


def retired_in(text: str, words: set[str]) -> list[str]:
    """Return the words that stand in a text by themselves."""
    return sorted(word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text))


def retired_in_code(source: str, words: set[str], names: set[str]) -> list[str]:
    """Return where retired names are tokens of a source, and where retired words stand in its strings."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in words | names:
            found.append(f"{token.start[0]}: {token.string}")
        elif token.type == tokenize.STRING:
            found += [f"{token.start[0]}: {word!r} in a text" for word in retired_in(token.string, words)]
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_retired_word_is_in_the_code(path):
    assert retired_in_code(path.read_text(encoding="utf-8"), WORDS, NAMES) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_retired_word_is_in_a_page_or_a_help_text(path):
    assert retired_in(path.read_text(encoding="utf-8"), WORDS) == []


def test_the_check_sees_retired_words():
    source = (
        'told = 1\nself.seals()\n"""Run showtell look DATA."""\nhint = f"Leave --fit out, {name}"\n# told\n'
    )
    seen = retired_in_code(source, {"showtell look", "--fit", "seals"}, {"told"})
    assert seen == ["1: told", "2: seals", "3: 'showtell look' in a text", "4: '--fit' in a text"]
    assert retired_in_code('"what is told"\nuntold = "--fit-to"\n', {"--fit"}, {"told"}) == []
    assert len(WORDS) > 10
