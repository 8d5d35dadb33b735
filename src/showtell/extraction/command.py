"""Features into the store, from the command line or as arrays in Python."""

from pathlib import Path
from typing import Any

from showtell.backbones.description import EngineName, Precision
from showtell.backbones.weights import load_backbone
from showtell.console import Console, human_time
from showtell.data.readers import read_pictures
from showtell.data.reading import report_problems, say_reading
from showtell.data.records import Picture
from showtell.data.source import DataSource
from showtell.extraction.extract import extract_features
from showtell.extraction.features import Features
from showtell.extraction.settings import Extract
from showtell.runtime import choose_device, prepare_process
from showtell.store.store import FeatureStore


def extract(config: Extract, console: Console | None = None) -> dict[str, Any]:
    """Encode every image of a data set, or of a plain folder, once.

    Args:
        config: Which images and which network.
        console: Where to say what happens; None for silence.

    Returns:
        The name of the feature space, how many images were encoded now and in all, and the unreadable.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Console(quiet=True)
    prepare_process()
    result = features(
        config,
        config.backbone,
        config.weights,
        image_size=config.image_size,
        precision=config.precision,
        engine=config.engine,
        store=config.store,
        console=console,
    )
    looked = (
        f"; {result.computed:,} were looked at in {human_time(result.seconds)}, "
        f"{result.computed / result.seconds:.0f} pictures/s"
        if result.computed
        else ""
    )
    console.say(f"{len(result):,} pictures are in the feature space {result.space.id}{looked}")
    return {
        "space": result.space.id,
        "pictures": len(result),
        "computed": result.computed,
        "seconds": result.seconds,
        "unreadable": {problem.where: problem.detail for problem in result.unreadable},
    }


def features(
    data: str | Path | DataSource,
    backbone: str | None = None,
    weights: str | None = None,
    *,
    image_size: int | None = None,
    precision: Precision = "float32",
    engine: EngineName = "torch",
    store: Path | None = None,
    console: Console | None = None,
) -> Features:
    """Return the features of all images of a data set, or of a plain folder; encode those that are missing.

    Example:
        >>> found = showtell.features("photos/", "mobilenetv2_100")
        >>> found.names, found.pooled()  # file names, and as many rows (N, D)
        >>> found.grid(found.names[:8])  # (8, L, D), read from the store when asked for

    Args:
        data: A folder of images, a table, or whatever else ``showtell look`` reads.
        backbone: timm's name of the network; None for the default.
        weights: A folder in timm's local format, a file, or ``random``; None for what this machine has.
        image_size: Side of the network's input, pixels; None for its own.
        precision: Of the network's arithmetic.
        engine: What runs the network.
        store: Folder of the feature store; None for that of the user's cache.
        console: Where to say what happens; None for silence.

    Returns:
        Features by image name, and the images that could not be read.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Console(quiet=True)
    images = pictures_of(data if isinstance(data, DataSource) else DataSource(Path(data)), console)
    network = load_backbone(
        backbone, weights, image_size=image_size, precision=precision, engine=engine, console=console
    ).to(choose_device())
    found = extract_features(images, network, FeatureStore(store), console=console)
    report_problems(found.unreadable, console)
    return found


def pictures_of(config: DataSource, console: Console) -> tuple[Picture, ...]:
    """Read the pictures of a data set, or of a plain folder, and say what was found.

    Raises:
        DataError: There are none.
    """
    dataset, _ = read_pictures(config)
    say_reading(dataset, f"{len(dataset.pictures):,} pictures", console)
    return dataset.pictures
