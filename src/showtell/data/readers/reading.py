"""One reading of one data source: what the user said of it, and what was guessed."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from showtell.addresses import Address
from showtell.data.encoding import encoding_of, read_lines
from showtell.data.readers.image_folder import ImageFolder
from showtell.data.source import DataSource
from showtell.files import cache_root, new_folder

Kind = Literal["caption", "label"]
Annotation = Literal["captions", "labels"]
_KINDS: dict[str | None, Kind] = {"csv": "caption", "labels": "label"}


class Reading:
    """What readers are told, and what they say.

    Attributes:
        source: The data as the user named it.
        wanted: Which words are asked for, where a folder has both; None where that is not known.
        kind: What the words of a table are, where ``--format`` says it; None where both are read.
        columns: The names of columns that the user gave.
        notes: What was guessed or bridged, a sentence each, with the flag that says otherwise.
    """

    def __init__(self, source: DataSource, wanted: Annotation | None = None) -> None:
        self.source, self.wanted = source, wanted
        self.kind = _KINDS.get(source.format)
        named = (source.image_column, source.text_column, source.group_column)
        self.columns = [name for name in named if name is not None]
        self.notes: list[str] = []
        self._folders: dict[Path, ImageFolder] = {}

    def trial(self) -> "Reading":
        """Return a reading whose notes are its own: to find out whether a file can be read."""
        other = Reading(self.source, self.wanted)
        other._folders = self._folders
        return other

    def note(self, sentence: str) -> None:
        """Say what was guessed, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def folder(self, path: Path) -> ImageFolder:
        """Return a folder, listed once; raise DataError where it is not there, or may not be read."""
        if path not in self._folders:
            if isinstance(path, Address):
                self.note(f"images are read over the network, from {path}")
            self._folders[path] = ImageFolder(path)
        return self._folders[path]

    def encoding(self, path: Path) -> str:
        """Return the encoding of a text file, and say it where it was guessed.

        Raises:
            DataError: It is not text, or its encoding cannot be told.
            ConfigError: ``--encoding`` is not known.
        """
        encoding, guess = encoding_of(path, self.source.encoding)
        if guess:
            self.note(guess)
        return encoding

    def lines(self, path: Path) -> Iterator[str]:
        """Yield the lines of a text file, line ends kept; raise as `encoding` does."""
        return read_lines(path, self.encoding(path))

    def utf8(self, path: Path) -> bytes:
        """Return a whole text file as UTF-8, without a byte-order mark; raise as `encoding` does."""
        encoding = self.encoding(path)
        content = path.read_bytes()
        if encoding == "utf-8-sig":
            return content.removeprefix(b"\xef\xbb\xbf")
        return content.decode(encoding, "replace").encode()

    def unpacked(
        self, path: Path, members: Callable[[], Iterator[tuple[str, bytes]]], column: str = ""
    ) -> Path:
        """Return a folder in the user's cache that holds the members of a file, unpacked the first time.

        Args:
            path: The file; another size or time of change is another file.
            members: Yields plain file names and contents.
            column: Of the file from which they come, where it may hold several.
        """
        state = path.stat()
        mark = f"{path.resolve()}|{state.st_size}|{state.st_mtime_ns}|{column}"
        digest = hashlib.sha256(mark.encode("utf-8", "surrogateescape")).hexdigest()
        folder = cache_root() / "unpacked" / digest[:24]
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                with new_folder(folder) as partial:
                    for name, content in members():
                        (partial / name).write_bytes(content)
            except OSError:
                if not folder.is_dir():  # no other process was faster
                    raise
        self.note(f"the images inside of {path.name} are unpacked in {folder}")
        return folder
