"""One reading of one data source: what the user said of it, and what was guessed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from showtell.config.source import DataSource
from showtell.data.encoding import encoding_of, read_lines
from showtell.data.readers.picture_folder import PictureFolder


class Reading:
    """What readers are told, and what they say.

    Args:
        source: As the user named it.

    Attributes:
        source: The same.
        notes: What was guessed or bridged, a sentence each, with the flag that says otherwise.
    """

    def __init__(self, source: DataSource) -> None:
        self.source = source
        self.notes: list[str] = []
        self._folders: dict[Path, PictureFolder] = {}

    def trial(self) -> "Reading":
        """Return a reading whose notes are its own: to find out whether a file can be read."""
        other = Reading(self.source)
        other._folders = self._folders
        return other

    def folder(self, path: Path) -> PictureFolder:
        """Return a folder, listed once.

        Raises:
            DataError: It is not there, or may not be read.
        """
        if path not in self._folders:
            self._folders[path] = PictureFolder(path)
        return self._folders[path]

    def note(self, sentence: str) -> None:
        """Say what was guessed, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def kind(self) -> Literal["caption", "label"] | None:
        """Return what the words of a table are, where ``--format`` says it; else both are read."""
        known: dict[str | None, Literal["caption", "label"]] = {"csv": "caption", "labels": "label"}
        return known.get(self.source.format)

    def columns(self) -> list[str]:
        """Return the names of columns that the user gave."""
        named = (self.source.image_column, self.source.text_column, self.source.group_column)
        return [name for name in named if name is not None]

    def encoding(self, path: Path) -> str:
        """Return the encoding of a text file, and say it where it was guessed.

        Raises:
            DataError: It is no text, or its encoding cannot be told.
            ConfigError: ``--encoding`` is not known.
        """
        encoding, guess = encoding_of(path, self.source.encoding)
        if guess:
            self.note(guess)
        return encoding

    def lines(self, path: Path) -> Iterator[str]:
        """Yield the lines of a text file, line ends kept."""
        return read_lines(path, self.encoding(path))

    def utf8(self, path: Path) -> bytes:
        """Return a whole text file as UTF-8, without a byte-order mark."""
        encoding = self.encoding(path)
        content = path.read_bytes()
        if encoding == "utf-8-sig":
            return content.removeprefix(b"\xef\xbb\xbf")
        return content.decode(encoding, "replace").encode()
