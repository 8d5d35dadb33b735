"""An extraction of drawn images, and what a store holds of it, each in a child."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from campaign import Finding
from killing import command, forked

IMAGES, BATCH = 48, 4
NETWORK = ["--backbone", "test_resnet", "--weights", "random"]
Records = dict[str, str]
"""SHA-256 of each record of a store, by space and key."""


def settings(folder: Path, **values: object) -> list[str]:
    """Write settings that have no flag into a file; return the flag that names it."""
    file = folder / "settings.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return ["--config", str(file)]


def _records(root: Path, into: Path) -> int:
    """Write down every record of a store, read as any user would."""
    from showtell.store.store import FeatureStore

    store, found = FeatureStore(root), {}
    for info in store.spaces():
        if info.problem is not None:
            raise RuntimeError(info.problem)
        with store.space(info.description).reading() as reader:
            for key, _ in reader.values.cursor():
                grid, pooled = reader.view(bytes(key))
                whole = (b"" if grid is None else grid.tobytes()) + pooled.tobytes()
                found[f"{info.id} {bytes(key).hex()}"] = hashlib.sha256(whole).hexdigest()
    into.write_text(json.dumps(found))
    return 0


def records_of(root: Path, folder: Path) -> Records:
    """Return the records of a store, read in a child.

    Raises:
        Finding: It cannot be read.
    """
    log, into = folder / "reading.log", folder / "records.json"
    log.unlink(missing_ok=True)
    if forked(partial(_records, root, into), log) != 0:
        raise Finding(f"the store cannot be read: {log.read_text().strip().splitlines()[-1]}")
    records: Records = json.loads(into.read_text())
    return records


def draw_images(folder: Path, count: int = IMAGES, seed: int = 0) -> None:
    """Draw images with captions."""
    from showtell.samples import write_captions_dataset

    write_captions_dataset(folder, language="ko", count=count, seed=seed)


def small_batches() -> None:
    """Let extractions commit after a few images."""
    from showtell.extraction import executor

    executor.BATCH_SIZE = BATCH


def extraction(folder: Path, *more: str) -> Callable[[Path], Callable[[], int]]:
    """Return what makes the command that extracts ``folder/data`` into a store, committing often.

    Args:
        folder: Also of the file of settings.
        more: Further flags.
    """
    small_batches()
    rare = settings(folder, image_size=64)
    return lambda store: command(
        ["extract", str(folder / "data"), *NETWORK, *rare, *more, "--store", str(store)]
    )
