"""What a reader reported, as findings: how much each kind of problem weighs, and what to do about it."""

from collections import defaultdict
from collections.abc import Iterable

from showtell.data.records import Problem
from showtell.inspection.check import Finding, Level

_READER_ADVICE: dict[str, tuple[Level, str]] = {
    "missing picture": ("wrong", "Put the pictures where the table says, or name their folder by --images."),
    "two labels": ("wrong", "Keep the right row. Until then the picture is left out."),
    "two splits": (
        "wrong",
        "Keep one row; until then the picture counts for the earlier of train, val, test.",
    ),
    "outside the picture folder": (
        "wrong",
        "Copy the files into the folder; links out of it are not followed.",
    ),
    "ambiguous name": ("wrong", "Write the names with their folders, so that each is one file."),
    "table left out": ("mind", "Nothing, if it is a list without answers, as competitions have them."),
    "missing caption": ("mind", "Write the captions, or remove the rows."),
    "missing label": ("mind", "Write the labels, or remove the rows."),
    "address": ("wrong", "Download them first: addresses are never fetched."),
    "dangling link": ("mind", "Mend or remove the link."),
    "link inside": (
        "mind",
        "Nothing, if the class or split of the folder that it leads to is the right one.",
    ),
    "link as text": (
        "wrong",
        "Copy what it leads to: links were lost when the data was packed or checked out.",
    ),
    "system folder": ("note", "Nothing: it is left out."),
    "made by showtell": ("note", "Nothing: it is left out."),
    "not a file": ("mind", "Remove it: it is no picture."),
    "unlabelled picture": ("note", "Nothing: they can be predicted, but not learnt from."),
    "picture outside a split folder": ("note", "Nothing, if they are unlabelled: they can be predicted."),
    "two files of one name": ("mind", "Remove one of the two files: their names look the same."),
    "name differs in case": ("note", "Nothing here; where capitals count, the names should be equal."),
    "repeated row": ("note", "Nothing: it counts once."),
    "hidden file": ("note", "Nothing: they are left out."),
    "not a picture": ("note", "Nothing: they are left out."),
    "empty class folder": ("mind", "Put pictures in, or remove the folder."),
    "picture without captions": ("mind", "Write captions for them, or remove them."),
    "picture without label": ("mind", "Add them to the table, or remove them."),
    "unclosed quote": ("mind", "Close the quotation mark: the rest of the row was read as one text."),
}


def check_reading(problems: Iterable[Problem]) -> list[Finding]:
    """Turn what the reader reported into findings, one a kind."""
    kinds: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        kinds[problem.kind].append(problem)
    otherwise: tuple[Level, str] = ("mind", "Mend the places named; until then they are left out.")
    found = []
    for kind, same in kinds.items():
        level, advice = _READER_ADVICE.get(kind, otherwise)
        places = tuple(f"{problem.where}: {problem.detail}" for problem in same)
        found.append(Finding(kind, level, len(same), f"{len(same):,} x {kind}", advice, places))
    return found
