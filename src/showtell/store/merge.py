"""Another store's spaces, and what it knows of files, copied into this one."""

import shutil
from pathlib import Path

from showtell.console import Console, human_bytes, many
from showtell.errors import StoreError
from showtell.files import nearest_existing
from showtell.store.adopt import Adopted, copy_records
from showtell.store.store import FeatureStore, SpaceInfo


def merge_store(store: FeatureStore, other: Path, console: Console) -> dict[str, Adopted]:
    """Copy what a store lacks of another one; the other stays as it is and may be in use.

    Stopped at any moment, it goes on when it is called again.

    Args:
        store: Where records go.
        other: The folder of the other store.
        console: Told the forecast, the progress and the result.

    Returns:
        What became of each space, by its name.

    Raises:
        StoreError: There is no other store, the disk has no room, or one of its spaces cannot be read, which
            is said once all others are copied.
    """
    source = FeatureStore(other)
    if not source.root.is_dir() or not (infos := source.spaces()):
        raise StoreError(f"{other} is not a feature store: there is no feature space in it.")
    if store.root.exists() and source.root.samefile(store.root):
        raise StoreError(f"The feature store {other} cannot be merged into itself.")
    sound = [info for info in infos if info.problem is None]
    _forecast(store, source, sound, console)
    merged = {}
    for info in sound:
        here, there = store.space(info.description), source.space(info.description)
        merged[info.id] = copy_records(there, here, console)
        console.say(f"{info.id}: {merged[info.id]}")
    if images := store.kept.merge(source.kept):
        console.say(f"{many(images, 'decoded image', 'decoded images')} copied")
    known = store.adopt_known_files(source.root)
    console.say(f"{many(known, 'file is', 'files are')} newly known")
    if broken := [f"{info.id}: {info.problem}" for info in infos if info.problem is not None]:
        raise StoreError(
            f"{many(len(broken), 'space', 'spaces')} of {other} could not be copied: {'; '.join(broken)}",
            hint="All others were.",
        )
    return merged


def _forecast(store: FeatureStore, source: FeatureStore, infos: list[SpaceInfo], console: Console) -> None:
    """Say how much there is to copy.

    Raises:
        StoreError: The disk has too little room.
    """
    there = {info.id: info.bytes for info in store.spaces()} if store.root.exists() else {}
    # Of a space that both have, what it may grow by is not known before it is read.
    images = source.kept_info().bytes
    most = images + sum(info.bytes for info in infos)
    least = sum(max(0, info.bytes - there.get(info.id, 0)) for info in infos)
    free = shutil.disk_usage(nearest_existing(store.root)).free
    console.say(
        f"{many(len(infos), 'feature space', 'feature spaces')} with "
        f"{many(sum(info.records for info in infos), 'record', 'records')} to merge, at most "
        f"{human_bytes(most)}; {human_bytes(free)} are free"
    )
    if least > free:
        raise StoreError(
            f"What is to be merged takes at least {human_bytes(least)}, and {store.root} has "
            f"{human_bytes(free)} free.",
            hint="Name a larger disk by --store, or remove features that are not used any more.",
            run="showtell store",
        )
