"""What the cell of a table says: texts, lists, the name of an image, a truth value; or nothing."""

import ast
import html
import html.entities
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from showtell.data.names import nfc, words

_NOTHING = frozenset(("nan", "null", "n/a", "#n/a", "<na>", "nil", "undefined", "#ref!", "#value!"))
_NO_CAPTION = _NOTHING | {"none", "na", "nat", "blank", "empty"}
_FAILED = re.compile(r"#(?:[a-z]+|div/0|n/a)[!?]?", re.IGNORECASE)
"""What a spreadsheet writes in place of a value that it cannot compute."""
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_MARKUP = re.compile(
    r"</?(?:br|p|b|i|u|em|strong|span|div|a|ul|li|h[1-6]|font|img|sup|sub|small|center|html|body)"
    r"(?:\s[^<>]*=[^<>]*|\s*/?)>",
    re.IGNORECASE,
)
"""Behind the name a tag ends, or has an attribute: ``<a dog>`` is none."""
_ENTITY = re.compile(r"&(?:#\w+|\w+);")
_MARKS = re.compile(r"^\s*<(?:start|sos|bos|s)>\s*|\s*<(?:end|eos|/s)>\s*$", re.IGNORECASE)
MISREAD = "letters that were read in a wrong encoding"
_STRANGE = re.compile(r"[^\x00-\x7f]{2,}")
_INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")
TEXT_KEYS = ("raw", "caption", "text", "sentence", "value")
_NAME_KEYS = ("path", "file_name", "filename", "name", "url", "src")
_TRUTHS = dict.fromkeys(words("true 1 1.0 yes t y"), True) | dict.fromkeys(
    words("false 0 0.0 no f n -1 -1.0"), False
)


def truth_of(cell: Any) -> bool | None:
    """Return the truth value that a cell holds, however it is written; None for another value."""
    return _TRUTHS.get(str(cell).strip().casefold())


def texts_of(cell: Any, *, listed: bool = False) -> list[str]:
    """Return the texts of a cell, each in NFC.

    Args:
        cell: Text, a number, None, a list of texts, or a list of records that hold one each.
        listed: Whether text is to be read as a list, as :func:`holds_lists` tells of a column.
    """
    if type(cell) is str and not listed:
        return [nfc(cell.strip())]
    if listed and isinstance(cell, str):
        parts = _as_list(cell)
        cell = parts if parts is not None else "" if cell.lstrip()[:1] in ("[", "{") else cell
    if isinstance(cell, dict):
        cell = next((cell[key] for key in TEXT_KEYS if key in cell), None)
    if isinstance(cell, list | tuple):
        return [text for part in cell for text in texts_of(part)]
    if cell is None or (isinstance(cell, float) and cell != cell):
        return []
    return [nfc(str(cell).strip())]


def listed(cell: Any) -> list[Any]:
    """Return the parts of a cell that is a list, as text too; nothing of another."""
    if isinstance(cell, str):
        return (_as_list(cell) or []) if cell[:1] + cell[-1:] == "[]" else []
    return list(cell) if isinstance(cell, list | tuple) else []


def image_of(cell: Any) -> str:
    """Return the image that a cell names, be it the only one of a list or Hugging Face's own cell."""
    parts = listed(cell)
    cell = parts[0] if len(parts) == 1 else object_of(cell) or cell
    if isinstance(cell, dict):  # that holds the content or more beside the name
        cell = next((cell[key] for key in _NAME_KEYS if cell.get(key)), None)
    return "" if cell is None else str(cell).strip()


def holds_lists(cells: Sequence[Any]) -> bool:
    """Tell whether text cells of a column are lists, as JSON, Python or NumPy write them; some are enough."""
    written = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    begun = [cell for cell in written if cell[0] in "[({"]
    ended = [cell for cell in begun if cell[0] + cell[-1] in ("[]", "{}", "()")]
    if 2 * len(begun) <= len(written):
        begun = [cell for cell in ended if cell[0] != "("]
    return bool(begun and ended) and all(_as_list(cell) is not None for cell in begun[:50])


def _as_list(text: str) -> list[Any] | None:
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "()", "{}"):
        return [text] if text else None
    try:
        found = json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        # NumPy leaves the commas out, and Python would join what stands side by side.
        quoted = _QUOTED.findall(text)
        if len(quoted) > 1 and not _QUOTED.sub("", text[1:-1]).strip(" .\n\r\t"):
            return [first or second for first, second in quoted]
        found = _of_python(text)
    if isinstance(found, str):
        found = [found]
    if isinstance(found, set):  # Python's, or an array of PostgreSQL
        found = sorted(map(str, found))
    if isinstance(found, dict) and len(found) == 1:  # {"choices": [...]} of Label Studio
        (found,) = found.values()
    good = isinstance(found, list | tuple) and all(
        isinstance(part, str | dict) or _are_texts(part) for part in found
    )
    return list(found) if good else None


def _are_texts(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and all(isinstance(one, str) for one in part)


def _of_python(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def object_of(cell: Any) -> dict[str, Any] | None:
    """Return the object that the text of a cell writes, in JSON or as Python does; None of another cell."""
    text = cell.strip() if isinstance(cell, str) else ""
    if text[:1] + text[-1:] != "{}":
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _of_python(text)
    return found if isinstance(found, dict) else None


def holds_objects(cells: Sequence[Any]) -> bool:
    """Tell whether all cells of a column write objects, of which some are no lists: ``{"text": "a dog"}``."""
    found = [object_of(cell) for cell in cells]
    return any(found) and None not in found and any(_as_list(cell) is None for cell in cells)


MARKS = {
    r"\|+": "'|'",
    r"<sep>|<\|sep\|>|\[sep\]|#{2,}|&{2,}|@{2,}": "a mark",
    r"\n": "line breaks",
    r"<br ?/?>": "<br>",
    ";": "';'",
}
"""What parts several captions in a cell, as a pattern, and what people call it."""
_SURE_MARKS = tuple(MARKS)[:2]
"""The others may stand in prose as well."""
_ENUMERATED = re.compile(r"^\s*(?:\(?\d{1,2}[.):]|[-*•])\s+")


def mark_in(texts: Sequence[str]) -> str:
    """Return which of `MARKS` parts several captions in the cells of a column; nothing where none does.

    Nearly every cell has it, and nearly all parts are several words. What may stand in prose as well parts
    nearly all cells into equally many, three or more, or into those of a numbered list.
    """
    texts = list(dict.fromkeys(texts))
    for mark in MARKS:
        found = [parted(text, mark) for text in texts]
        counts = Counter(len(parts) for parts in found if len(parts) > 1)
        if mark not in _SURE_MARKS:
            numbered = all(_ENUMERATED.match(part) for text in texts for part in re.split(mark, text))
            counts = Counter({count: often for count, often in counts.items() if numbered or count > 2})
        often = counts.total() if mark in _SURE_MARKS else max(counts.values(), default=0)
        parts = [part for several in found for part in several]
        worded = sum(len(part.split()) > 1 or (not part.isascii() and len(part) > 4) for part in parts)
        if often >= max(3, 0.9 * len(texts)) and worded >= 0.9 * len(parts):
            return mark
    return ""


def parted(text: str, mark: str) -> list[str]:
    """Return the captions that a mark parts, without the numbers of a list."""
    parts = [_ENUMERATED.sub("", part).strip() for part in re.split(mark, text, flags=re.IGNORECASE)]
    return [part for part in parts if part]


def is_missing(text: str, *, caption: bool) -> bool:
    """Tell whether a text stands for nothing, as ``nan`` and ``NULL`` do; a class may well be called None."""
    if not caption:
        return text.casefold() in _NOTHING
    bare = text.casefold().strip("()[]<>{} ")  # (null) of databases
    wordless = not bare.strip(".?-_/*")  # a field that was filled in with nothing
    return bare in _NO_CAPTION or wordless or text == r"\N" or bool(_FAILED.fullmatch(text))


_BYTES = ("b'", 'b"')
_ESCAPES = re.compile(r"\\(?:[nrt]|u([0-9a-fA-F]{4}))")


def cleaned(caption: str) -> tuple[str, str]:
    """Return a caption without markup, and what was taken out of it, if anything, in words.

    Marks of a beginning and an end (``<start>``), HTML tags and entities, signs that take no room, and what
    programs write around texts (``b'a dog'``) and for their signs, such as a backslash and an n.
    Emoji stay: the vocabulary decides whether they are words.
    """
    plain, what = _as_text(caption)
    if plain.isascii() and "<" not in plain and "&" not in plain:
        return plain, what
    without, also = _without_markup(plain)
    return without, what or also


def _as_text(caption: str) -> tuple[str, str]:
    """Return what a program has written as bytes or with escapes as it was, once."""
    if caption.startswith(_BYTES) and isinstance(content := _of_python(caption), bytes):
        return content.decode("utf-8", "replace"), "the marks of bytes (b'...')"
    escapes = len(_ESCAPES.findall(caption)) if "\\" in caption else 0
    if not escapes or escapes != caption.count("\\") or ":\\" in caption:  # it is a folder's
        return caption, ""
    halves = _ESCAPES.sub(_unescaped, caption)  # of emoji
    whole = halves.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return " ".join(whole.split()), r"escapes such as \n"


def _without_markup(caption: str) -> tuple[str, str]:
    if (mended := _STRANGE.sub(_as_written, caption)) != caption:
        return _without_markup(mended)[0], MISREAD
    without = _MARKS.sub("", caption)
    if without != caption:
        return without.strip(), "marks of beginning and end"
    if "<" in caption or "&" in caption:
        without = _ENTITY.sub(_entity, _MARKUP.sub(" ", caption))
        if without != caption:
            return " ".join(nfc(without).split()), "HTML"
    without = without_invisible(caption)
    return without, "invisible signs" if without != caption else ""


def _entity(found: re.Match[str]) -> str:
    known = found[0][1] == "#" or found[0][1:] in html.entities.html5
    return html.unescape(found[0]) if known else found[0]


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else " "


def _as_written(misread: re.Match[str]) -> str:
    """Return signs whose UTF-8 was once read as Windows-1252 (``Ã©``) as they were written.

    What was read right would hardly be UTF-8 by chance.
    """
    try:
        return b"".join(_byte_of(sign) for sign in misread[0]).decode()
    except UnicodeError:
        return misread[0]


def _byte_of(sign: str) -> bytes:
    try:
        return sign.encode("cp1252")
    except UnicodeEncodeError:
        return sign.encode("latin-1")  # the few that Windows-1252 leaves open


def without_invisible(text: str) -> str:
    """Return a text without signs that take no room: two labels that look alike are one."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def several_labels(values: Sequence[str]) -> str | None:
    """Return an example where cells hold several labels each, such as ``red|round``; None where they do not.

    So they do where some are parted by one sign and all the parts, words, stand alone elsewhere; or many are,
    and the parts mix: most of them stand alone, or there are fewer parts than wholes. A name with a comma
    ("Leo, the cat") is parted everywhere alike, and of hot and dog a hot dog is none. Of S and M one S/M is
    none, but beside another such; and an A+ has no second part.
    """
    stated = {value for value in values if not is_missing(value, caption=False)}
    for mark in "|;,#+/ ":
        split = {value: [part.strip() for part in value.strip().split(mark)] for value in stated}
        if mark in "|;,":  # one may end a list
            split = {value: list(filter(None, parts)) for value, parts in split.items()}
        parted = {value: parts for value, parts in split.items() if len(parts) > 1 and all(parts)}
        found = {part for parts in parted.values() for part in parts}
        alone = len(found & stated)
        worded = mark != " " and not all(part.isdecimal() for part in found)
        enough = len(parted) > (mark in "+/") and len(found) >= 2
        if worded and enough and alone == len(found):
            return min(parted)
        several = len(parted) >= 3 and len(found) >= 2 and mark != "/"
        if several and (2 * alone > len(found) or (mark in "|;," and len(found) < len(parted))):
            return min(parted)
    return None
