"""Power cuts: what was not synced to the disk is lost in part; the store opens, is whole, and goes on.

    python trust/power_cut.py --rounds 100

A program runs once below a layer (disk.c) that notes every write, sync, rename and so on. A round cuts the
power after one of them: of what was written since the last sync each part survives or not, by sectors of 512
bytes; of names (files made, renamed, removed) the first few survive. Half of the rounds take a disk on which
a file's own sync keeps its name, as journalling ones do; half one on which only a sync of the folder does.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import killing
import models
from campaign import Attempt, Figures, Finding, Line, NotHere, run

SECTOR = 512
Check = Callable[[Path, list[int]], object]

PUT = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import models
from showtell.store.store import FeatureStore
root = Path(sys.argv[2])
told = os.open(root / "told", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
store = FeatureStore(root / "store")
space = store.space(models.DESCRIPTION)
for start in range(0, models.RECORDS, 6):
    space.put([models.record(number) for number in range(start, start + 6)])
    os.write(told, b"".join(b"%d\\n" % number for number in range(start, start + 6)))
"""
MERGE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import models
from showtell.store import adopt
from showtell.console import Log
from showtell.store.store import FeatureStore
root = Path(sys.argv[2])
told = os.open(root / "told", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
models.store(root / "store", 20)
os.write(told, b"".join(b"%d\\n" % number for number in range(20)))
models.store(root / "other", models.RECORDS)
[folder] = [path for path in (root / "other").iterdir() if path.is_dir()]
adopt.adopt(FeatureStore(root / "store").space(models.DESCRIPTION), folder, Log(), link_from=0)
os.write(told, b"".join(b"%d\\n" % number for number in range(20, models.RECORDS)))
"""
ANSWERS = """
import os, sys
from pathlib import Path
from showtell.data.answers import Answer, AnswerTable
root = Path(sys.argv[2])
told = os.open(root / "told", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
table = AnswerTable(root / "captions.csv", "caption")
for number in range(30):
    table.add([Answer(f"{number}.jpg", f"강아지 {number}")])
    if number % 5 == 4:
        table.change(table.read()[-2], Answer(f"{number - 1}.jpg", f"강아지 {number - 1}", "accepted"))
    os.write(told, b"%d\\n" % number)
"""
FILES = """
import os, sys
from pathlib import Path
from showtell.files import write_atomic
root = Path(sys.argv[2])
told = os.open(root / "told", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
for number in range(12):
    write_atomic(root / "checkpoint", b"%d " % number * 3000, durable=True)
    os.write(told, b"%d\\n" % number)
"""


@dataclass
class Operation:
    """A line of the log; see disk.c."""

    what: str
    path: str
    number: int
    second: str
    content: bytes


@dataclass
class Disk:
    """What a disk holds, and what of it a power cut may take.

    Attributes:
        journal: Whether the sync of a file keeps all names that were given before.
        files: Content of what was synced, by the number of the file.
        pending: Writes and truncations since, by the number of the file.
        names: Changes of names, each with its folder, in order.
        kept: How many of each folder's changes are on the disk.
        known: Which file a name belongs to, as programs see it.
    """

    journal: bool
    files: dict[int, bytearray] = field(default_factory=dict)
    pending: dict[int, list[Operation]] = field(default_factory=dict)
    names: list[tuple[str, Operation, int]] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)

    def do(self, one: Operation) -> None:
        """Carry an operation out, as a running system sees it."""
        match one.what:
            case "W" | "T" if one.path in self.known:
                self.pending[self.known[one.path]].append(one)
            case "S":
                self._sync(one.path)
            case "C":
                number = len(self.files)
                self.files[number], self.pending[number] = bytearray(), []
                self._name(one, number)
                self.known[one.path] = number
            case "R":
                self._name(one, -1)
                below = [name for name in self.known if name == one.path or name.startswith(one.path + "/")]
                for name in below:
                    self.known[one.second + name.removeprefix(one.path)] = self.known.pop(name)
            case "L" if one.path in self.known:
                self._name(one, self.known[one.path])
                self.known[one.second] = self.known[one.path]
            case "U" | "D" | "M":
                self._name(one, -1)
                if one.what == "U":
                    self.known.pop(one.path, None)

    def _name(self, one: Operation, number: int) -> None:
        self.names.append((str(Path(one.second or one.path).parent), one, number))

    def _sync(self, path: str) -> None:
        number = self.known.get(path)
        if number is not None:
            for one in self.pending[number]:
                _apply(self.files[number], one)
            self.pending[number].clear()
        for folder in {folder for folder, *_ in self.names} if self.journal else {path}:
            self.kept[folder] = sum(name == folder for name, *_ in self.names)

    def cut(self, chance: random.Random, root: str, place: Path) -> None:
        """Lay out below ``place`` what a power cut leaves of ``root``."""
        share = chance.choice((0.0, 0.5, 0.9, 1.0))
        for number, operations in self.pending.items():
            for one in operations:
                _apply(self.files[number], one, share, chance)
        allowed = {}
        for folder in {folder for folder, *_ in self.names}:
            count = sum(name == folder for name, *_ in self.names)
            allowed[folder] = chance.randint(self.kept.get(folder, 0), count)
        names: dict[str, int | None] = {}
        for folder, one, number in self.names:
            if allowed[folder] == 0:
                continue
            allowed[folder] -= 1
            match one.what:
                case "C":
                    names[one.path] = number
                case "M":
                    names[one.path] = None
                case "L":
                    names[one.second] = number
                case "U" | "D":
                    names.pop(one.path, None)
                case "R":
                    for name in [n for n in names if n == one.path or n.startswith(one.path + "/")]:
                        names[one.second + name.removeprefix(one.path)] = names.pop(name)
        for name, file in sorted(names.items()):
            path = place / name.removeprefix(root).lstrip("/")
            with contextlib.suppress(FileNotFoundError):  # a folder whose own name is lost
                path.mkdir() if file is None else path.write_bytes(self.files[file])


def _apply(
    content: bytearray, one: Operation, share: float = 1.0, chance: random.Random | None = None
) -> None:
    """Write into a file; of what is not synced only some sectors."""
    if one.what == "T":
        if chance is None or chance.random() < share:
            content[one.number :] = bytes(max(0, one.number - len(content)))
        return
    begin, end = one.number, one.number + len(one.content)
    for start in range(begin - begin % SECTOR, end, SECTOR):
        low, high = max(start, begin), min(start + SECTOR, end)
        if chance is None or chance.random() < share:
            content.extend(bytes(max(0, high - len(content))))
            content[low:high] = one.content[low - begin : high - begin]


def _recorded(program: str, folder: Path) -> tuple[str, list[Operation]]:
    """Run a program below the layer; return its folder and what it did."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or not sys.platform.startswith("linux"):
        raise NotHere("the layer is for Linux, and needs a C compiler")
    layer, log, root = folder / "disk.so", folder / "log", (folder / "root").resolve()
    source = Path(__file__).with_name("disk.c")
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", layer, source, "-ldl", "-lpthread"], check=True
    )
    root.mkdir()
    layered = {"LD_PRELOAD": str(layer), "TRUST_ROOT": str(root), "TRUST_LOG": str(log)}
    paths = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[1] / "src"), os.environ.get("PYTHONPATH")])
    )
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent), str(root)]
    subprocess.run(arguments, check=True, env={**os.environ, **layered, "PYTHONPATH": paths})
    content, place, found = log.read_bytes(), 0, []
    while place < len(content):
        end = content.index(b"\n", place)
        what, path, number, second = content[place:end].decode().split("\t")
        place = end + 1
        length = int(second) if what == "W" else 0
        named = second if what in "RL" else ""
        found.append(Operation(what, path, int(number), named, content[place : place + length]))
        place += length
    return str(root), found


def _cuts(program: str, check: Check, folder: Path) -> Iterator[Attempt]:
    root, operations = _recorded(program, folder)
    if sum(one.what == "S" for one in operations) < 5:
        raise RuntimeError("the layer saw no syncs")

    def attempt(chance: random.Random) -> Figures:
        disk, told = Disk(journal=chance.random() < 0.5), b""
        done = chance.randint(0, len(operations))
        for one in operations[:done]:
            if one.path == f"{root}/told":
                told += one.content
            else:
                disk.do(one)
        place, log = killing.emptied(folder / "round"), folder / "round.log"
        log.unlink(missing_ok=True)
        disk.cut(chance, root, place)
        confirmed = [int(number) for number in told.split()]
        if killing.forked(partial(check, place, confirmed), log) != 0:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            kind = (
                "a journalling disk" if disk.journal else "a disk that keeps names by syncs of folders alone"
            )
            raise Finding(f"on {kind}, after {len(confirmed)} were confirmed: {' '.join(last)}")
        return {"highest operations": len(operations), "confirmed before": len(confirmed)}

    yield attempt


def _check_store(place: Path, confirmed: list[int]) -> None:
    """Read every record, verify, and write what is missing."""
    import numpy as np

    from showtell.console import Log
    from showtell.store.store import FeatureStore
    from showtell.store.verify import verify_space

    numbers = {models.record(number)[0]: number for number in range(models.RECORDS)}

    def read() -> set[int]:
        space, found = FeatureStore(place / "store").space(models.DESCRIPTION), set()
        for key in iter(space):
            grid, pooled = space.get([key])
            _, right, also = models.record(numbers[key])
            assert np.array_equal(grid[0], right.astype(np.float16)), "a record is served that is not whole"
            assert np.array_equal(pooled[0], also.astype(np.float16)), "a record is served that is not whole"
            found.add(numbers[key])
        verified = verify_space(space, Log())
        assert not verified.damaged, "records are damaged"
        return found

    lost = set(confirmed) - read()
    assert not lost, f"{len(lost)} finished records are lost"
    assert all(info.problem is None for info in FeatureStore(place / "store").spaces()), "a space is broken"
    models.store(place / "store", models.RECORDS)
    assert read() == set(range(models.RECORDS)), "what is written afterwards is not what is read"


def _check_answers(place: Path, confirmed: list[int]) -> None:
    from showtell.data.answers import Answer, AnswerTable

    table = AnswerTable(place / "captions.csv", "caption")
    kept = {one.image: one.text for one in table.read()}
    lost = [number for number in confirmed if kept.get(f"{number}.jpg") != f"강아지 {number}"]
    assert not lost, f"{len(lost)} confirmed answers are lost"
    table.add([Answer("new.jpg", "one more")])
    assert len(table.read()) == len(kept) + 1, "an answer is lost by the next one"


def _check_files(place: Path, confirmed: list[int]) -> None:
    path = place / "checkpoint"
    content = path.read_bytes() if path.exists() else b""
    number = int(content.split()[0]) if content else -1
    assert content == b"%d " % number * 3000 or not content, "a file is there by halves"
    assert number >= max(confirmed, default=-1), "a file that was finished is an older one again"


def _line(name: str, program: str, check: Check, short: int) -> Line:
    return Line(name, contextmanager(partial(_cuts, program, check)), short=short)


LINES = (
    _line("store: batches of records", PUT, _check_store, 5),
    _line("store: taking over and linking", MERGE, _check_store, 3),
    _line("answers of teach", ANSWERS, _check_answers, 5),
    _line("checkpoints", FILES, _check_files, 5),
)

if __name__ == "__main__":
    killing.warm()
    sys.exit(run("power_cut", __doc__, LINES))
