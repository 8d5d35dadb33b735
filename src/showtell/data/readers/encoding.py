"""UTF-8 text from files; anything else is named, with the command that converts it."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from showtell.errors import DataError

_BOM = b"\xef\xbb\xbf"
_HIGH_BYTES = bytes(range(0x80, 0x100))
_EVERYDAY_HANGUL = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")  # the 2,350 syllables of KS X 1001


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, with or without BOM, line ends kept.

    Args:
        path: The file; it is streamed, never held whole.

    Yields:
        Each line with its line end (LF, CRLF or CR), so that the csv module can keep those inside quotes.

    Raises:
        DataError: The file is not UTF-8. The message says at which line and byte, what it is instead,
            and how to convert it.
    """
    with path.open("rb") as handle:
        if b"\0" in handle.read(4096):
            raise not_utf8(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle_text:
            yield from handle_text
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error


def read_utf8(path: Path) -> bytes:
    """Return a whole UTF-8 file as bytes, without BOM.

    Raises:
        DataError: The file is not UTF-8.
    """
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    if b"\0" in content[:4096]:
        raise not_utf8(path)
    return content.removeprefix(_BOM)


def not_utf8(path: Path) -> DataError:
    """Explain why a file cannot be read as UTF-8 text.

    Args:
        path: A file that failed to decode, or holds NUL bytes.

    Returns:
        The error to raise: place, likely encoding, and the command that converts.
    """
    content = path.read_bytes()
    wide = _utf16_kind(content)
    if wide:
        return _conversion(path, f"{path} is UTF-16 (what Excel calls Unicode text), not UTF-8.", wide)
    if b"\0" in content:
        return DataError(
            f"{path} holds NUL bytes: it is not a text file.",
            would_do="A table or JSON file in UTF-8 text would do; for pictures alone, name their folder.",
        )
    offset = 0
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start
    line = content.count(b"\n", 0, offset) + 1
    column = offset - (content.rfind(b"\n", 0, offset) + 1) + 1
    wrong = content[offset : offset + 1].hex()
    what = f"{path}:{line} is not UTF-8: byte {column} of the line (0x{wrong}) is out of place"
    if _decodes_as_korean(content):
        return _conversion(path, f"{what}; the file decodes as CP949 (Korean Windows and Excel).", "cp949")
    return _conversion(path, f"{what}; the file may be Windows-1252 (Western Windows and Excel).", "cp1252")


def _conversion(path: Path, what: str, encoding: str) -> DataError:
    target = path.with_name(f"{path.stem}.utf8{path.suffix}")
    return DataError(
        what,
        would_do="A UTF-8 file would do; Excel writes one as 'CSV UTF-8'.",
        run=f"iconv -f {encoding} -t utf-8 {shlex.quote(str(path))} > {shlex.quote(str(target))}",
    )


def _utf16_kind(content: bytes) -> str:
    """Return iconv's name of the UTF-16 form, or nothing; without a BOM, ASCII's zero bytes tell."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    sample = content[:4096]
    zeros = (sample[::2].count(0), sample[1::2].count(0))
    if max(zeros) * 8 < len(sample) or min(zeros) * 4 > max(zeros):
        return ""
    return "utf-16be" if zeros[0] > zeros[1] else "utf-16le"


def _decodes_as_korean(content: bytes) -> bool:
    """Tell whether the bytes are CP949 and most that are not ASCII are everyday Hangul.

    That they decode proves little: the ``'s`` of Western Windows does too, as one of the rare syllables.
    """
    try:
        content.decode("cp949")
    except UnicodeDecodeError:
        return False
    beyond_ascii = len(content) - len(content.translate(None, _HIGH_BYTES))
    return 4 * len(_EVERYDAY_HANGUL.findall(content)) >= beyond_ascii
