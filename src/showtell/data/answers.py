"""A table of answers beside the images: a row an answer, with who gave it and when, on the disk at once.

The table is a plain CSV in UTF-8, which a spreadsheet opens and a training reads as it is. It may be written
by hand, too: its other columns are kept, and a row without ``who`` is a person's. Several processes may write
one table; whoever writes holds its folder meanwhile.
"""

import csv
import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from showtell.data.names import CAPTION_COLUMNS, IMAGE_COLUMNS, LABEL_COLUMNS, column_key, nfc
from showtell.errors import DataError
from showtell.files import lock_folder, write_atomic

PERSON, MACHINE, ACCEPTED = "person", "machine", "accepted"
"""Who gave an answer: a person; a machine, and nobody has looked; or a machine, and a person let it stand."""
WHO, TIME = "who", "time"
_BOM = b"\xef\xbb\xbf"
"""By which Excel knows UTF-8."""
_PATIENCE = 10.0
"""Seconds that a writer waits for another one."""


def now() -> str:
    """Return the time as a table has it: ISO 8601, UTC, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Answer:
    """A row.

    Attributes:
        image: Its name, relative to the folder of the table.
        text: The caption or the label.
        who: ``person``, ``machine`` or ``accepted``.
        time: When it was given, ISO 8601, UTC; empty where that is not known.
        more: Further cells by column.
    """

    image: str
    text: str
    who: str = PERSON
    time: str = field(default_factory=now)
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Form:
    """How a table is written: its delimiter and columns, and which of these hold what."""

    delimiter: str
    header: tuple[str, ...]
    image: str
    text: str

    def answer(self, cells: Mapping[str, str]) -> Answer:
        """Return the answer that a row holds."""
        named = (self.image, self.text, WHO, TIME)
        more = {name: cell for name, cell in cells.items() if name not in named and cell}
        who = cells.get(WHO, "").strip() or PERSON
        return Answer(nfc(cells[self.image].strip()), cells[self.text], who, cells.get(TIME, ""), more)

    def lines(self, answers: Sequence[Answer]) -> str:
        """Write answers as rows."""
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        for one in answers:
            cells = {**one.more, self.image: one.image, self.text: one.text, WHO: one.who, TIME: one.time}
            writer.writerow([cells.get(name, "") for name in self.header])
        return text.getvalue()

    def whole(self, answers: Sequence[Answer]) -> bytes:
        """Write a table of answers."""
        head = io.StringIO()
        csv.writer(head, delimiter=self.delimiter, lineterminator="\n").writerow(self.header)
        return _BOM + (head.getvalue() + self.lines(answers)).encode()


class AnswerTable:
    """A table of answers that grows by appending.

    Args:
        path: The file; its folder exists, and the file may not yet.
        column: What holds the words: ``caption`` or ``label``.
        more: Further columns of a new table.
    """

    def __init__(self, path: Path, column: str, more: Sequence[str] = ()) -> None:
        self.path, self.column = path, column
        self._new = _Form(",", ("image", column, WHO, TIME, *more), "image", column)
        self._ours: tuple[tuple[int, int], _Form] | None = None
        """The state of the table after the last writing, and its form, while nobody else has written."""

    def read(self) -> list[Answer]:
        """Return all answers in their order; none of a table that is not there.

        Raises:
            DataError: It cannot be read, is not UTF-8, or lacks the column of images or of words.
        """
        return self._parsed(self._content())[1]

    def add(self, answers: Sequence[Answer]) -> None:
        """Append answers; they are on the disk when this returns.

        Raises:
            DataError: They cannot be kept; the table is as it was.
        """
        kept = [neat(answer) for answer in answers]
        with self._held():
            if self._ours is None or self._ours[0] != self.state():
                content = self._content()
                form, known = self._parsed(content)
                missing = [name for name in self._new.header[2:] if name not in form.header]
                form = replace(form, header=(*form.header, *missing))
                # What a killed writer left of a line is no answer, and goes.
                if form.whole(known) != content:
                    write_atomic(self.path, form.whole(known), durable=True)
            else:
                form = self._ours[1]
            self._append(form.lines(kept).encode())
            self._ours = self.state(), form

    def change(self, old: Answer, new: Answer | None) -> bool:
        """Put one answer in the place of another, or take it back; the table is written whole.

        Returns:
            Whether the old one was there still; if not, nothing is changed.

        Raises:
            DataError: It cannot be kept; the table is as it was.
        """
        return self.change_all([(old, new)])

    def change_all(self, pairs: Sequence[tuple[Answer, Answer | None]]) -> bool:
        """Put answers in the place of others, all at once or none.

        Returns:
            Whether all the old ones were there still; if not, nothing is changed.

        Raises:
            DataError: They cannot be kept; the table is as it was.
        """
        with self._held():
            form, known = self._parsed(self._content())
            for old, new in pairs:
                if old not in known:
                    return False
                at = known.index(old)
                known[at : at + 1] = [] if new is None else [neat(new)]
            write_atomic(self.path, form.whole(known), durable=True)
            self._ours = None
        return True

    def state(self) -> tuple[int, int]:
        """Return what is another after every change, also by another process."""
        with suppress(OSError):
            found = self.path.stat()
            return found.st_mtime_ns, found.st_size
        return 0, 0

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the folder alone; say what is wrong with its disk in words."""
        until = time.monotonic() + _PATIENCE
        try:
            while True:
                try:
                    with lock_folder(self.path.parent):
                        yield
                    return
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.01)
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written, and the last answer is not kept: {error.strerror or error}.",
                hint="Make room on the disk, or leave to write into the folder; then answer once more.",
            ) from error

    def _append(self, lines: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                written = 0
                while written < len(lines):
                    written += file.write(lines[written:])
                os.fsync(file.fileno())
            except BaseException:
                with suppress(OSError):
                    file.truncate(size)
                raise

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror}.") from error

    def _parsed(self, content: bytes) -> tuple[_Form, list[Answer]]:
        """Return how a table is written, and its answers, without lines that a kill or power cut has torn."""
        head, end, rest = content.partition(b"\n")
        if b"\0" in rest and b"\0" not in head:  # a sector of appended lines was lost; it is not UTF-16
            content = head + end + b"\n".join(line for line in rest.split(b"\n") if b"\0" not in line)
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            # A kill may cut a line within a character.
            whole, _, cut = content.rpartition(b"\n")
            if error.start < len(whole) or not cut:
                raise DataError(
                    f"{self.path} is not UTF-8.", hint="Save it from the spreadsheet as 'CSV UTF-8'."
                ) from error
            text = (whole + b"\n").decode("utf-8-sig")
        if not text.strip():
            return self._new, []
        delimiter = max(",;\t", key=text.splitlines()[0].count)
        try:
            rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
        except csv.Error as error:
            raise DataError(
                f"{self.path} cannot be read as a table: {error}.",
                hint="Save it from the spreadsheet as 'CSV UTF-8'.",
            ) from error
        header = tuple(name.strip() for name in rows[0])
        image, words = self._place(header, IMAGE_COLUMNS), self._place(header, self._words)
        form = _Form(delimiter, header, image, words)
        if not text.endswith("\n") and len(rows[-1]) != len(header):
            rows.pop()
        rows = [row for row in rows[1:] if row]
        if wrong := next((row for row in rows if len(row) != len(header)), None):
            raise DataError(
                f"{self.path} has a row of {len(wrong)} cells, {delimiter.join(wrong)[:80]!r}; its header "
                f"has {len(header)}.",
                hint="Mend the row, so that nothing is lost when the table is written.",
            )
        return form, [form.answer(dict(zip(header, row))) for row in rows]

    @property
    def _words(self) -> Sequence[str]:
        return CAPTION_COLUMNS if self.column == "caption" else LABEL_COLUMNS

    def _place(self, header: Sequence[str], names: Sequence[str]) -> str:
        """Return the column that has one of the usual names.

        Raises:
            DataError: None has.
        """
        keys = {column_key(name): name for name in reversed(header)}
        found = next((keys[name] for name in names if name in keys), None)
        if found is None:
            raise DataError(
                f"{self.path} has no column {names[0]}; its columns are {', '.join(header)}.",
                hint=f"Expected a header such as image,{self.column}.",
            )
        return found


def neat(answer: Answer) -> Answer:
    """Return an answer as it is kept: in one line, in NFC."""
    return replace(answer, image=nfc(answer.image), text=nfc(" ".join(answer.text.split())))
