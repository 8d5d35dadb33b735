"""One LMDB environment as the feature store needs it: opened once a process, grown, forked.

LMDB gives transactions, many readers beside one writer across processes, and a memory map. What it asks for
in return lives here: a process must not open an environment twice, a forked child must not use its parent's,
and the map has to be remapped while nothing reads it.
"""

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from showtell.errors import StoreError
from showtell.files import make_folder, sync_folder
from showtell.store.creation import remove_unborn
from showtell.store.lmdb_errors import explain

Result = TypeVar("Result")

_GIB = 1 << 30
if os.name == "nt":
    # Windows allocates the whole map on disk, so there it starts small and doubles.
    _MAP_SIZES: tuple[int, ...] = (_GIB // 4,)
elif sys.maxsize > 2**32:
    # A sparse map costs address space only. Less is tried where an address space is short: some ARM kernels
    # give 512 GiB, and `ulimit -v` whatever it says.
    _MAP_SIZES = (4096 * _GIB, 128 * _GIB, 4 * _GIB, _GIB // 4)
else:
    _MAP_SIZES = (_GIB // 4,)

_PAGE = 4096
_MAX_READERS = 1024  # slots of 64 bytes; 126, LMDB's default, is a few data loaders with many threads
_GATE_SECONDS = 60.0


class Environment:
    """An LMDB environment that survives growth, forks and full disks.

    Get one from `open_environment`, never directly.

    Args:
        path: Its folder, created where missing; of a frozen one the data file itself.
        map_sizes: Sizes of the map to try when opening, bytes; the first that the system grants is taken.
        durable: Whether a commit is on the disk when it returns. Without, a power cut may undo the last
            commit; it never harms the ones before.
        frozen: Nobody writes to it any more, so it needs no locks.
    """

    def __init__(self, path: Path, map_sizes: tuple[int, ...], durable: bool, frozen: bool) -> None:
        self.path = path
        self._frozen = frozen
        self._map_sizes = map_sizes
        self._durable = durable
        self._env: Any = None
        self._gate = threading.Condition(threading.RLock())
        self._transactions = 0
        self._forked_in_use = False
        with self._gate:
            self._open()

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """Open a read transaction on a snapshot of everything that is committed.

        Yields:
            The transaction, whose values are zero-copy buffers valid until the block ends.

        Raises:
            StoreError: The environment cannot be read.
        """
        while True:
            with self._in_use():
                try:
                    transaction = self._begin_reading()
                except lmdb.MapResizedError:
                    pass  # another process has grown the file
                else:
                    try:
                        with transaction:
                            yield transaction
                    except lmdb.Error as error:
                        raise explain(self.path, error) from error
                    return
            self._remap(lambda size: 0)

    def write(self, work: Callable[[Any], Result]) -> Result:
        """Run ``work`` in one write transaction: all of it is committed, or nothing.

        Args:
            work: Called with the transaction; called again after the map has grown, so it
                must do the same twice.

        Returns:
            What ``work`` returned.

        Raises:
            StoreError: The disk is full, or the environment cannot be written; nothing has changed.
        """
        while True:
            try:
                with self._in_use(), self._env.begin(write=True) as transaction:
                    return work(transaction)
            except lmdb.MapFullError:
                self._remap(lambda size: size * 2)
            except lmdb.MapResizedError:
                self._remap(lambda size: 0)
            except lmdb.Error as error:
                if isinstance(error, lmdb.PanicError):
                    self.let_go()  # LMDB has declared it unusable
                raise explain(self.path, error) from error

    def __len__(self) -> int:
        with self.reading() as transaction:
            return int(transaction.stat()["entries"])

    def _begin_reading(self) -> Any:
        try:
            return self._env.begin(buffers=True)
        except lmdb.ReadersFullError:
            self._env.reader_check()  # gives back the slots of processes that were killed
        try:
            return self._env.begin(buffers=True)
        except lmdb.ReadersFullError as error:
            raise explain(self.path, error) from error

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Count a transaction of this process, so that neither growth nor a fork happens under it."""
        with self._gate:
            if self._env is None:
                self._open()
            self._transactions += 1
        try:
            yield
        finally:
            with self._gate:
                self._transactions -= 1
                self._gate.notify_all()

    def _remap(self, size: Callable[[int], int]) -> None:
        """Change the size of the map once no transaction of this process is open; 0 adopts the file's."""
        with self._gate:
            before = self._env.info()["map_size"]
            if not self._gate.wait_for(lambda: self._transactions == 0, _GATE_SECONDS):
                raise StoreError(
                    f"The feature store {self.path} has to grow its map, but this process has been reading "
                    f"it for {_GATE_SECONDS:.0f} s.",
                    hint="Leave `with space.reading()` before writing more.",
                )
            if self._env.info()["map_size"] == before:  # else another thread has done it
                try:
                    self._env.set_mapsize(size(before))
                except lmdb.Error as error:
                    self._env = None  # py-lmdb has given the environment up
                    raise explain(self.path, error) from error

    def _open(self) -> None:
        if self._forked_in_use:
            raise StoreError(
                f"The feature store {self.path} was being read by this thread when the process was forked.",
                hint="Start worker processes outside `with space.reading()`, or with the spawn method.",
            )
        for size in self._map_sizes:
            try:
                self._env = self._open_with(size)
                break
            except lmdb.MemoryError as error:
                if size == self._map_sizes[-1]:
                    raise explain(self.path, error) from error
            except (lmdb.Error, OSError) as error:
                raise explain(self.path, error) from error

    def _open_with(self, map_size: int) -> Any:
        if not self._frozen:
            make_folder(self.path)
        data = self.path / "data.mdb"
        options: dict[str, Any] = {
            "map_size": map_size,
            "max_readers": _MAX_READERS,
            "metasync": self._durable,
            "subdir": not self._frozen,
            "readonly": self._frozen,
            "lock": not self._frozen,
        }
        try:
            env = lmdb.open(os.fspath(self.path), **options)
        except lmdb.InvalidError:
            if self._frozen or not remove_unborn(data, map_size):
                raise
            env = lmdb.open(os.fspath(self.path), **options)
        if not self._frozen and env.info()["last_txnid"] == 0:
            # LMDB leaves a new file's first pages and its name to the system; what the first transaction
            # writes may reach the disk before them.
            env.sync(True)
            sync_folder(self.path)
        self._check_length(env)
        env.reader_check()
        return env

    def _check_length(self, env: Any) -> None:
        """Refuse a file that lost its end: touching what is missing would kill the process with SIGBUS."""
        # In this order, since another process may be writing.
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        file = self.path if self._frozen else self.path / "data.mdb"
        size = file.stat().st_size
        if size < needed:
            env.close()
            raise StoreError(
                f"The feature store {self.path} is cut off: {file.name} has {size} bytes of {needed}.",
                hint="Copy it again in full, or remove it and extract again.",
                run="showtell store",
            )

    def let_go(self) -> None:
        """Close the files unless somebody reads them; the next use opens them again."""
        with self._gate:
            if self._env is not None and self._transactions == 0:
                self._env.close()
                self._env = None

    def _before_fork(self) -> None:
        # Waits for the transactions of other threads; one that this thread holds itself never ends here.
        self._gate.acquire()
        self._gate.wait_for(lambda: self._transactions == 0, timeout=1.0)

    def _after_fork_in_parent(self) -> None:
        self._gate.release()

    def _after_fork_in_child(self) -> None:
        self._gate = threading.Condition(threading.RLock())
        self._forked_in_use = self._transactions > 0
        self._transactions = 0
        if not self._forked_in_use and self._env is not None:
            self._env.close()
        self._env = None


_environments: "weakref.WeakValueDictionary[str, Environment]" = weakref.WeakValueDictionary()
_registry_lock = threading.RLock()


def open_environment(
    path: Path, *, map_size: int | None = None, durable: bool = True, frozen: bool = False
) -> Environment:
    """Return this process's only handle on an environment; it closes when nobody holds it any more.

    Args:
        path: Its folder, created where missing; of a frozen one the data file itself.
        map_size: First size of the map, bytes; None takes the system's default. It grows by itself.
        durable: Whether a commit is on the disk when it returns.
        frozen: Nobody writes to it any more: it is opened without locks, and its map has its size.

    Raises:
        StoreError: It cannot be opened.
    """
    with _registry_lock:
        key = os.path.realpath(path)
        found = _environments.get(key)
        if found is None:
            sizes = _MAP_SIZES if map_size is None else (map_size,)
            # LMDB takes a map of at least what is in use: hundreds of files fit into the address space.
            sizes = (_PAGE,) if frozen else sizes
            found = Environment(path, sizes, durable, frozen)
            _environments[key] = found
        return found


_at_fork: list[Environment] = []


def _before_fork() -> None:
    _registry_lock.acquire()
    # In the order in which a writer takes them, `pooled` before `grid`, or the two would wait for each other.
    _at_fork[:] = sorted(_environments.values(), key=lambda environment: environment.path, reverse=True)
    for environment in _at_fork:
        environment._before_fork()


def _after_fork_in_parent() -> None:
    for environment in _at_fork:
        environment._after_fork_in_parent()
    _at_fork.clear()
    _registry_lock.release()


def _after_fork_in_child() -> None:
    global _registry_lock
    _registry_lock = threading.RLock()
    for environment in _at_fork:
        environment._after_fork_in_child()
    _at_fork.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
