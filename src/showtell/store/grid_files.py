"""The files that hold a space's grids: one that is written, and those of other spaces that were taken over.

SPACE/grid/          file 0, an LMDB environment that `FeatureSpace.put` writes
SPACE/grids/N.mdb    file N > 0, once the `grid/data.mdb` of another space; nobody writes to it again

Each record says in `pooled` which file holds its grid, so a lookup takes two trees however many there are.
"""

import os
from contextlib import suppress
from pathlib import Path

from showtell.files import make_folder, sync_folder
from showtell.store.environment import Environment, open_environment

MAX_FILES = 256
"""Each open file takes a descriptor, of which a process often has 1,024."""


class GridFiles:
    """The grid files of a space, opened when they are asked for.

    Args:
        space: The space's folder.
        map_size: First size of the memory map of file 0, bytes; None for the system's default.
    """

    def __init__(self, space: Path, map_size: int | None = None) -> None:
        self._space, self._map_size = space, map_size
        self._open: dict[int, Environment] = {}

    def __getitem__(self, number: int) -> Environment:
        """Return a file.

        Raises:
            StoreError: It is missing, cut off or no database.
        """
        # Without a lock: a process has one handle of each environment, whoever asks for it first.
        found = self._open.get(number)
        if found is None:
            found = (
                open_environment(self.path(number), frozen=True)
                if number
                else open_environment(self._space / "grid", map_size=self._map_size)
            )
            self._open[number] = found
        return found

    def lend(self, number: int, environment: Environment) -> None:
        """Read a file through an environment that is open by another name of it."""
        self._open[number] = environment

    def path(self, number: int) -> Path:
        """Return where the data of a file is."""
        return self._space / "grids" / f"{number}.mdb" if number else self._space / "grid" / "data.mdb"

    def numbers(self) -> list[int]:
        """Return the numbers of all files in ascending order, 0 included."""
        names = [path.stem for path in (self._space / "grids").glob("*.mdb")]
        return [0, *sorted(int(name) for name in names if name.isdecimal())]

    def open_all(self) -> None:
        """Open every file, so that a damaged one is known at once."""
        for number in self.numbers():
            self[number]

    def let_go(self) -> None:
        """Close every file that nobody reads."""
        for environment in self._open.values():
            environment.let_go()
        self._open.clear()

    def number_of(self, data: Path) -> int | None:
        """Return the number of a data file of another space that has a second name here."""
        return next((number for number in self.numbers()[1:] if data.samefile(self.path(number))), None)

    def link(self, data: Path) -> int | None:
        """Give a data file of another space a second name here, without copying.

        Args:
            data: The file; this process has it not open, and nobody will write to it again.

        Returns:
            Its number; None where the disk is another one or knows no second names, or there are `MAX_FILES`
            already.
        """
        number = self.numbers()[-1]
        if number >= MAX_FILES:
            return None
        while True:
            number += 1
            make_folder(self.path(number).parent)
            try:
                # A link that exists is refused, so of two processes each gets a number of its own.
                os.link(data, self.path(number))
            except FileExistsError:
                continue
            except OSError:
                with suppress(OSError):
                    self.path(number).parent.rmdir()
                return None
            sync_folder(self.path(number).parent)
            return number
