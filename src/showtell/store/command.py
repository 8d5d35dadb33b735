"""What the feature store holds, and the removal of what is no longer needed."""

from collections.abc import Mapping

from showtell.console import Console, Log, human_bytes
from showtell.store.settings import Store
from showtell.store.store import FeatureStore, SpaceInfo


def list_store(config: Store, console: Console | None = None) -> list[dict[str, object]]:
    """List the feature store, or remove what belongs to a backbone.

    Args:
        config: Which store, and what to remove.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        One record a feature space, after any removal.

    Raises:
        StoreError: There is nothing of that name, or it is in use.
    """
    console = console or Log()
    features = FeatureStore(config.store)
    if config.remove is not None:
        named = [info.id for info in features.spaces() if _architecture(info.description) == config.remove]
        for space in named or [config.remove]:
            console.say(f"Removed {space}; {human_bytes(features.remove(space))} are free again")
    spaces = features.spaces()
    total = sum(info.bytes for info in spaces)
    console.say(
        f"{features.root}: {len(spaces)} feature space{'' if len(spaces) == 1 else 's'}, {human_bytes(total)}"
    )
    for info in spaces:
        console.say("  " + (info.problem or _line(info)))
    return [
        {"space": i.id, "records": i.records, "bytes": i.bytes, "last_used": i.last_used, **i.description}
        for i in spaces
    ]


def _line(info: SpaceInfo) -> str:
    description = info.description
    size, engine = description["preprocessing"], description["engine"]
    by = "" if engine.startswith("torch") else f" by {engine}"
    return (
        f"{info.id}  {_architecture(description)} at {size['width']}x{size['height']}, "
        f"{description['precision']}{by}, weights {description['weights'][:8]}: "
        f"{info.records:,} images, {human_bytes(info.bytes)}"
    )


def _architecture(description: Mapping[str, object]) -> str:
    return str(description.get("architecture", "?"))
