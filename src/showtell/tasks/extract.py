"""Features into the store, and a look at what the store holds."""

from collections.abc import Mapping
from typing import Any

from showtell.config import Extract, PreviewAugment, PreviewNormalize, PreviewTokens, Store
from showtell.console import Console, human_bytes, human_time
from showtell.data.readers import read_pictures
from showtell.data.records import Picture
from showtell.features.backbone import ENGINES
from showtell.features.extract import extract_features
from showtell.features.store import FeatureStore, SpaceInfo
from showtell.features.weights import load_backbone
from showtell.runtime import choose_device, prepare_process
from showtell.tasks.prepare import report_problems, say_reading


def extract(config: Extract, console: Console | None = None) -> dict[str, Any]:
    """Look at every picture of a data set, or of a plain folder, once.

    Args:
        config: Which pictures and which network.
        console: Where to say what happens; None for silence.

    Returns:
        The name of the feature space, how many pictures were looked at now and in all, and the unreadable.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Console(quiet=True)
    prepare_process()
    pictures = pictures_of(config, console)
    backbone = load_backbone(
        config.backbone,
        config.weights,
        image_size=config.image_size,
        precision=config.precision,
        engine=config.engine,
        console=console,
    ).to(choose_device())
    result = extract_features(pictures, backbone, FeatureStore(config.store), console=console)
    report_problems(result.unreadable, console)
    looked = (
        f"; {result.computed:,} were looked at in {human_time(result.seconds)}, "
        f"{result.computed / result.seconds:.0f} pictures/s"
        if result.computed
        else ""
    )
    console.say(f"{len(result.digests):,} pictures are in the feature space {result.space.id}{looked}")
    return {
        "space": result.space.id,
        "pictures": len(result.digests),
        "computed": result.computed,
        "seconds": result.seconds,
        "unreadable": {problem.where: problem.detail for problem in result.unreadable},
    }


def pictures_of(
    config: Extract | PreviewAugment | PreviewNormalize | PreviewTokens, console: Console
) -> tuple[Picture, ...]:
    """Read the pictures of a data set, or of a plain folder, and say what was found.

    Raises:
        DataError: There are none.
    """
    dataset, _ = read_pictures(config)
    say_reading(dataset, f"{len(dataset.pictures):,} pictures", console)
    return dataset.pictures


def store(config: Store, console: Console | None = None) -> list[dict[str, Any]]:
    """List the feature store, or remove what belongs to a backbone.

    Args:
        config: Which store, and what to remove.
        console: Where to say what happens; None for silence.

    Returns:
        One record a feature space, after any removal.

    Raises:
        StoreError: There is nothing of that name, or it is in use.
    """
    console = console or Console(quiet=True)
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
    by = "" if engine == ENGINES["torch"] else f" by {engine}"
    return (
        f"{info.id}  {_architecture(description)} at {size['width']}x{size['height']}, "
        f"{description['precision']}{by}, weights {description['weights'][:8]}: "
        f"{info.records:,} pictures, {human_bytes(info.bytes)}"
    )


def _architecture(description: Mapping[str, Any]) -> str:
    return str(description.get("architecture", "?"))
