"""Write the pages of the reference that follow from the code: commands, names, a run's folder, the HTTP API.

Run: python scripts/write_reference.py FOLDER

Nothing is written by hand here that the code says itself: docstrings, types, defaults and the OpenAPI schema.
"""

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import showtell
from markdown_parts import heading, table
from showtell.commands import COMMANDS, find
from showtell.data.images import ImageLike
from showtell.flags import variants_of
from write_http_reference import http_page

HELPS = Path(__file__).parents[1] / "tests" / "golden" / "help"
DIRECTIVE = re.compile(r":(?:func|class|meth|mod):`~?(.+?)`")
RECORDS = {
    "config.json": "runs.records.RunRecord",
    "images.jsonl": "runs.records.ImageRecord",
    "learning-rate.json": "runs.records.RangeTestRecord",
    "evaluation-SPLIT.json of a captioner": "kinds.captioner.evaluation.CaptionEvaluationRecord",
    "evaluation-SPLIT.json of a classifier": "kinds.classifier.evaluation.ClassEvaluationRecord",
    "model/config.json of a captioner": "kinds.captioner.model.CaptionerConfig",
    "model/config.json of a classifier": "kinds.classifier.model.ClassifierConfig",
}
"""The typed files of a run; the fields of what they hold follow from there."""
FIELDS = ("field", "type", "default", "meaning")
INSIDE = {
    *(
        "build",
        "files",
        "identity",
        "known_answer",
        "for_graphs",
        "graphs",
        "has_scores",
        "words",
        "card",
        "draw",
    ),
    *("claim", "start", "save_evaluation", "warn_of_learnt", "remember_digests", "adopt_known_files", "key"),
}
"""What the package's own rooms call of public classes, and no reader of this page."""
FILES = {
    "config.json": "what was run: settings, resolved numbers, backbone, data, versions",
    "images.jsonl": "split, SHA-256, label, group and leak of every image",
    "metrics.jsonl": "loss and learning rate of every step, scores of every validation",
    "checkpoints/": "the last one, with all that an exact resume needs, and the best one",
    "model/": "`config.json`, `model.safetensors`, `README.md`, `tokenizer.json`: all that `predict` needs",
    "evaluation-SPLIT.json": "scores of a split with their intervals",
    "predictions-SPLIT.jsonl": "what the model said of each image of a split",
    "learning-rate.json": "the range test of `--find-lr`, with `learning-rate.png`",
    "report.html, figures/": "the page of the run, offline",
}


def field_docs(kind: type) -> dict[str, str]:
    """Return what the source says of each field: the text below it, or its line under ``Attributes``."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__[:-1]):
        found |= attributes(inspect.getdoc(one) or "") if one.__module__.startswith("showtell") else {}
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        except (OSError, TypeError):
            continue
        body = tree.body if isinstance(tree, ast.ClassDef) else []
        for statement, after in pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(after, ast.Expr):
                found[ast.unparse(statement.target)] = str(ast.literal_eval(after.value))
    return found


def attributes(doc: str) -> dict[str, str]:
    """Return the entries of the ``Attributes`` section of a docstring."""
    section = doc.partition("Attributes:\n")[2].split("\n\n")[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def type_of(annotation: object) -> str:
    """Return a type as people write it: no modules, no marks for the parser of flags, aliases by name."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = text.replace("numpy.ndarray[tuple[typing.Any, ...], numpy.dtype[typing.Any]]", "numpy.ndarray")
    text = text.replace(type_text(ImageLike), "ImageLike").replace("~", "")
    text = re.sub(r"\b(?:showtell|pathlib|collections\.abc|typing|os|PIL|torch\._\w+)(?:\.\w+)*\.", "", text)
    text = re.sub(r"\bOptional\[([^\[\]]*(?:\[[^\[\]]*\])?)\]", r"\1 | None", text)
    return re.sub(r"\bUnion\[([^\[\]]*), ([^\[\]]*(?:\[[^\[\]]*\])?)\]", r"\1 | \2", text)


def type_text(annotation: object) -> str:
    """Return a type as the standard library writes it."""
    return inspect.formatannotation(annotation)


def hints_of(found: Any) -> dict[str, Any]:
    """Return the types of fields or parameters; as they are written where they name what is not imported."""
    try:
        return get_type_hints(found)
    except NameError:
        return dict(getattr(found, "__annotations__", {}))


def default_of(field: Any) -> str:
    """Return the default of a field as Python, or nothing where there is none to speak of."""
    if field.default in (dataclasses.MISSING, None, ""):
        return ""
    value = field.default
    return f"`{str(value) if isinstance(value, Path) else value!r}`"


def field_rows(kind: type) -> list[tuple[object, ...]]:
    """Return a row per field of a dataclass: name, type, default, meaning."""
    docs, hints = field_docs(kind), hints_of(kind)
    return [
        (
            f"`{one.name}`",
            f"`{type_of(hints[one.name])}`",
            default_of(one),
            docs.get(one.name, "").replace("``", "`"),
        )
        for one in dataclasses.fields(kind)
        if not one.name.startswith("_")
    ]


def prose(doc: str) -> str:
    """Return a docstring of Google's style as Markdown: sections as lists, examples as code."""
    doc = DIRECTIVE.sub(r"`\1`", doc).replace("``", "`")
    parts = re.split(r"^(Args|Returns|Raises|Yields|Attributes|Example|Source):\n", doc, flags=re.MULTILINE)
    out = [parts[0].strip()]
    for title, body in zip(parts[1::2], parts[2::2]):
        body, text = textwrap.dedent(body).rstrip(), ""
        if title == "Example":
            text = f"```pycon\n{body}\n```"
        elif title in ("Returns", "Yields", "Source"):
            text = f"**{title}**: {' '.join(body.split())}"
        else:
            entries = re.findall(r"^([\w.*]+): (.*(?:\n .*)*)", body, re.MULTILINE)
            lines = (f"- `{name}`: {' '.join(said.split())}" for name, said in entries)
            text = f"**{title}**\n\n" + "\n".join(lines)
        out.append(text)
    return "\n\n".join(out) + "\n"


def signature(name: str, found: Any) -> str:
    """Return how a name is called, with its types, one parameter a line where they are many."""
    called, hints = inspect.signature(found), hints_of(found)
    parameters = [
        one.replace(annotation=Shown(type_of(hints[one.name])) if one.name in hints else one.empty)
        for one in called.parameters.values()
        if one.name not in ("self", "cls")
    ]
    answer = f" -> {type_of(hints['return'])}" if "return" in hints else ""
    line = f"{called.replace(parameters=parameters, return_annotation=called.empty)}{answer}"
    if len(line) + len(name) > 90 and parameters:
        line = "(\n    " + ",\n    ".join(map(str, parameters)) + f",\n){answer}"
    return f"```text\n{name}{line}\n```\n"


class Shown(str):
    """An annotation that is written as it stands, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def members(kind: type) -> Iterator[str]:
    """Yield the documented methods and properties of a class that are its own or its public parents'."""
    seen = set()
    for one in kind.__mro__:
        if not one.__module__.startswith("showtell"):
            continue
        for name, member in vars(one).items():
            plain = getattr(member, "__func__", getattr(member, "fget", member))
            doc = inspect.getdoc(plain)
            hidden = (name.startswith("_") and name != "__call__") or name in INSIDE
            if name in seen or hidden or not inspect.isfunction(plain) or not doc:
                continue
            seen.add(name)
            if isinstance(member, property):
                answer = type_of(hints_of(plain).get("return", ""))
                said = f"`{answer}`. {prose(doc)}"
            else:
                said = f"{signature(name, plain)}\n{prose(doc)}"
            yield heading(4, f".{name}", f"{kind.__name__}.{name}", said)


def python_page() -> str:
    """Return the page of the public names."""
    out = [
        "# Python names\n\nEvery public name of `showtell`, from its docstring. "
        "The same by subject, with examples: [Python API](../reference.md).\n",
    ]
    names = [name for name in showtell.__all__ if name != "__version__"]
    classes = [name for name in names if inspect.isclass(getattr(showtell, name))]
    settings = [name for name in classes if getattr(showtell, name).__module__.endswith("settings")]
    out.append("## Functions\n")
    for name in (name for name in names if name not in classes):
        found = getattr(showtell, name)
        said = f"{signature(name, found)}\n{prose(inspect.getdoc(found) or '')}"
        out.append(heading(3, name, name, said))
    out.append("## Classes\n")
    for name in (name for name in classes if name not in settings):
        found = getattr(showtell, name)
        doc = inspect.getdoc(found) or ""
        if dataclasses.is_dataclass(found):  # its fields stand in a table, with those of its parents
            doc = re.sub(r"Attributes:\n(?: .*\n?)+", "", doc)
        out.append(heading(3, name, name, prose(doc)))
        if dataclasses.is_dataclass(found):
            out.append(table(FIELDS, field_rows(found)))
        out += members(found)
    out.append("## Settings\n\nFrozen dataclasses; a field is a flag, or stands in a `--config` file.\n")
    for name in settings:
        out.append(heading(3, name, name, table(FIELDS, field_rows(getattr(showtell, name)))))
    return "\n".join(out)


def commands_page() -> str:
    """Return the page of the commands, from their help as a test holds it."""
    out = [
        "# Commands\n\n`showtell COMMAND --help` says the same. Exit status: 0 well, 1 a fault of showtell, "
        "2 what the user can mend, 3 a training whose model is not known to have learnt, 130 Ctrl-C. "
        "Settings without a flag: [settings](../settings.md).\n"
    ]
    for name, command in COMMANDS.items():
        variants = variants_of(find(command.settings))
        for called in [f"{name} {variant}" for variant in variants] or [name]:
            text = (HELPS / f"{called.replace(' ', '-')}.txt").read_text(encoding="utf-8")
            out += [command_section(called, text)]
    return "\n".join(out)


def command_section(called: str, text: str) -> str:
    """Return a command's usage, what it does, examples and its flags, from its help."""
    usage, _, rest = text.partition("\n")
    about, _, options = rest.partition("─ ")
    said, *examples = about.split("Example: ")
    rows: list[tuple[object, ...]] = []
    entry = re.compile(r"^ (-\S+(?:, -\S+)*(?: \S+)?|\[?[A-Z_]+\]?(?: \[.*?\])?)(?:  +(.*))?$")
    for line in options.splitlines():
        if match := entry.match(line):
            rows.append((f"`{match[1]}`", match[2] or ""))
        elif line.startswith("  ") and rows:
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {line.strip()}".strip())
    typed = "".join(f"{' '.join(example.split())}\n" for example in examples)
    return (
        f"## `showtell {called}`\n\n{said.strip()}\n\n```text\n{usage.removeprefix('usage: ')}\n```\n\n"
        + f"```sh\n{typed}```\n\n"
        + table(("argument", "meaning"), rows)
    )


def run_folder_page() -> str:
    """Return the page of the typed records of a run."""
    out = [
        "# The run's folder\n\nA training leaves a folder of plain files. A reader refuses damaged ones; "
        "nothing in it is a pickle.\n",
        table(("file", "what it holds"), [(f"`{name}`", said) for name, said in FILES.items()]),
    ]
    queue = [(f"`{name}`", find(path)) for name, path in RECORDS.items()]
    told: set[type] = set()
    for title, kind in queue:
        if kind in told:
            continue
        told.add(kind)
        docs = field_docs(kind)
        hints = get_type_hints(kind)
        rows = [
            (f"`{name}`", f"`{type_of(hint)}`", docs.get(name, "").replace("``", "`"))
            for name, hint in hints.items()
        ]
        summary = (inspect.getdoc(kind) or "").splitlines()[0].replace("``", "`")
        out.append(f"## {title}\n\n{summary}\n\n{table(('field', 'type', 'meaning'), rows)}")
        queue += [(f"`{one.__name__}`", one) for hint in hints.values() for one in records_in(hint)]
    return "\n".join(out)


def records_in(hint: Any) -> Iterator[type]:
    """Yield the records that a type names, wherever in it."""
    if inspect.isclass(hint) and hint.__module__.startswith("showtell") and hasattr(hint, "__annotations__"):
        yield hint
    for one in get_args(hint):
        yield from records_in(one)


def write(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / f"{name}.md").write_text(re.sub(r"\n{3,}", "\n\n", page()), encoding="utf-8")


PAGES = {"commands": commands_page, "python": python_page, "run-folder": run_folder_page, "http": http_page}

if __name__ == "__main__":
    write(Path(sys.argv[1]))
