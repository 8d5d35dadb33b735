"""What the feature store holds, and what can be done with it as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from showtell.console import Console, Log, human_bytes, many
from showtell.data.source import DataSource
from showtell.errors import StoreError
from showtell.store.export import export_features
from showtell.store.folders import removal_of
from showtell.store.kept_images import NAME
from showtell.store.merge import merge_store
from showtell.store.settings import Store
from showtell.store.store import FeatureStore, SpaceInfo
from showtell.store.verify import verify_kept, verify_space


def list_store(config: Store, console: Console | None = None) -> list[dict[str, object]]:
    """List the feature store, after merging, verifying, exporting or removing what is asked for.

    Args:
        config: Which store, and what to do with it.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        One record a feature space, as it is afterwards; ``done`` in it says what was done with the space.

    Raises:
        StoreError: There is nothing of that name, it is in use, or it is damaged beyond mending.
        ConfigError: The settings contradict each other.
    """
    console = console or Log()
    features = FeatureStore(config.store)
    done: dict[str, Any] = {}
    if config.remove == NAME:
        console.say(f"Removed {NAME}; {human_bytes(features.kept.remove())} are free again")
    elif config.remove is not None:
        named = [info.id for info in features.spaces() if _architecture(info.description) == config.remove]
        for space in named or [config.remove]:
            console.say(f"Removed {space}; {human_bytes(features.remove(space))} are free again")
    elif config.merge is not None:
        done = dict(merge_store(features, config.merge, console))
    elif config.verify:
        done = _verify(features, _chosen(features, config.space), console)
        if config.space is None:
            done[NAME] = verify_kept(features.kept, console)
    elif config.limit is not None:
        _shrink(features, config.limit_bytes(), console)
    elif config.export is not None:
        [info] = _chosen(features, config.space, one=True)
        data = DataSource(config.data, config.images) if config.data is not None else None
        chosen = features.space(info.description)
        done[info.id] = export_features(features, chosen, config.export, config.format, data, console)
    infos = _infos(features)
    console.say(
        f"{features.root}: {many(sum(i.id != NAME for i in infos), 'feature space', 'feature spaces')}, "
        f"{human_bytes(sum(i.bytes for i in infos))}"
    )
    for info in infos:
        console.say("  " + (info.problem or _line(info)))
    return [
        {"space": i.id, "records": i.records, "bytes": i.bytes, "last_used": i.last_used}
        | ({"done": done[i.id]} if i.id in done else {})
        | dict(i.description)
        for i in infos
    ]


def _infos(features: FeatureStore) -> list[SpaceInfo]:
    """Return what is in the store: feature spaces, the most recently used first, and kept images if any."""
    kept = features.kept_info()
    return [*features.spaces(), *([kept] if kept.records else [])]


def _chosen(features: FeatureStore, name: str | None, *, one: bool = False) -> Sequence[SpaceInfo]:
    """Return the spaces of a name or architecture, all for None.

    Raises:
        StoreError: There is none, or more than the one that is wanted.
    """
    there = features.spaces()
    found = [i for i in there if name is None or name in (i.id, _architecture(i.description))]
    if not found or (one and len(found) > 1):
        asked = "" if name is None else f" {name}"
        raise StoreError(
            f"The feature store {features.root} has {len(found) or 'no'} feature spaces{asked}.",
            hint="Expected --space with one of: " + ", ".join(i.id for i in there) if there else "",
            run="showtell store",
        )
    return found


def _verify(features: FeatureStore, spaces: Sequence[SpaceInfo], console: Console) -> dict[str, Any]:
    """Verify spaces, and name those that cannot be mended once all are done.

    Raises:
        StoreError: There are such.
    """
    done, broken = {}, []
    for info in spaces:
        try:
            if info.problem is not None:
                raise StoreError(info.problem)
            done[info.id] = verify_space(features.space(info.description), console)
            console.say(f"{info.id}: {done[info.id]}")
        except StoreError as error:
            broken.append(f"{info.id}: {error.what}")
    if broken:
        raise StoreError(
            f"{many(len(broken), 'space is', 'spaces are')} damaged beyond mending: {'; '.join(broken)}",
            hint="Remove it, and extract again; all others were verified.",
            run=removal_of(features.root / broken[0].partition(":")[0]),
        )
    return done


def _shrink(features: FeatureStore, limit: int, console: Console) -> None:
    """Remove what was not used for longest until at most ``limit`` bytes are left: kept images come first."""
    spaces = features.spaces()
    total = sum(info.bytes for info in _infos(features))
    if freed := features.kept.shrink(total - limit):
        console.say(f"Removed decoded images: {human_bytes(freed)}")
    total -= freed
    for info in reversed(spaces):
        if total <= limit:
            return
        try:
            total -= features.remove(info.id)
        except StoreError as error:
            console.say(f"Kept {info.id}: {error.what}")
        else:
            console.say(f"Removed {info.id}, {_architecture(info.description)}: {human_bytes(info.bytes)}")
    if total > limit:
        console.say(f"{human_bytes(total)} are left, more than the limit: the rest is in use")


def _line(info: SpaceInfo) -> str:
    if info.id == NAME:
        return f"{NAME}  {many(info.records, 'decoded image', 'decoded images')}, {human_bytes(info.bytes)}"
    return f"{info.id}  {_what(info.description)}: {info.records:,} images, {human_bytes(info.bytes)}"


def _what(description: Mapping[str, Any]) -> str:
    try:
        size, engine = description["preprocessing"], description["engine"]
        by = "" if engine.startswith("torch") else f" by {engine}"
        return (
            f"{_architecture(description)} at {size['width']}x{size['height']}, "
            f"{description['precision']}{by}, weights {description['weights'][:8]}"
        )
    except (KeyError, TypeError, AttributeError):
        return "described by another program"


def _architecture(description: Mapping[str, object]) -> str:
    return str(description.get("architecture", "?"))
