"""Features into the store, from the command line or as arrays in Python."""

from pathlib import Path

from showtell.backbones.description import EngineChoice, Precision
from showtell.backbones.settings import BackboneSettings
from showtell.console import Console, Log, human_time
from showtell.data.annotated import report_problems, say_reading
from showtell.data.pixels.preprocessing import Fit
from showtell.data.readers import read_images
from showtell.data.records import AnnotatedImage
from showtell.data.source import DataSource
from showtell.extraction.executor import Executor
from showtell.extraction.extract import extract_features
from showtell.extraction.fastest import by_fastest
from showtell.extraction.features import Features
from showtell.extraction.settings import Extract
from showtell.store.store import FeatureStore


def extract(config: Extract, console: Console | None = None) -> dict[str, object]:
    """Encode every image of a data set, or of a plain folder, once.

    Args:
        config: Which images and which network.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The name of the feature space, how many images were encoded now and in all, and the unreadable.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    store, executor = FeatureStore(config.store, keep_images=config.keep_images), config.build_executor()
    result = _extract(config, config, store, console, executor, encodes_here=config.encodes_here)
    encoded = (
        f"; {result.computed:,} were encoded in {human_time(result.seconds)}, "
        f"{result.computed / result.seconds:.0f} images/s"
        if result.computed
        else ""
    )
    spaces = ", ".join(space.id for space in result.spaces)
    console.say(f"{len(result):,} images are in the feature space {spaces}{encoded}")
    return {
        "space": spaces,
        "images": len(result),
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
    resize: Fit = "stretch",
    precision: Precision = "float32",
    engine: EngineChoice = "auto",
    store: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> Features:
    """Return the features of all images of a data set, or of a plain folder; encode those that are missing.

    Example:
        >>> found = showtell.features("photos/", "mobilenetv2_100")
        >>> found.names, found.pooled()  # file names, and as many rows (N, D)
        >>> found.grid(found.names[:8])  # (8, L, D), read from the store when asked for

    Args:
        data: A folder of images, a table, or whatever else ``showtell inspect`` reads.
        backbone: timm's name of the network; None for the default.
        weights: A folder in timm's local format, a file, or ``random``; None for what this machine has.
        image_size: Side of the network's input, pixels; None for its own.
        resize: What to do with images that are not square.
        precision: Of the network's arithmetic.
        engine: What runs the network; auto is the fastest that gives the features of torch.
        store: Folder of the feature store; None for that of the user's cache.
        device: Where to compute: cpu, cuda or mps; auto for the best there is.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        Features by image name, and the images that could not be read.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    network = BackboneSettings(
        backbone=backbone,
        weights=weights,
        image_size=image_size,
        resize=resize,
        precision=precision,
        engine=engine,
        store=store,
        device=device,
    )
    source = data if isinstance(data, DataSource) else DataSource(Path(data))
    return _extract(source, network, FeatureStore(store), console or Log())


def _extract(
    source: DataSource,
    network: BackboneSettings,
    store: FeatureStore,
    console: Console,
    executor: Executor | None = None,
    *,
    encodes_here: bool = True,
) -> Features:
    images = images_of(source, console)
    backbone = network.load(console=console)
    if encodes_here:
        backbone = by_fastest(backbone, images, store, console)
    found = extract_features(images, backbone, store, console=console, executor=executor)
    report_problems(found.unreadable, console)
    return found


def images_of(config: DataSource, console: Console) -> tuple[AnnotatedImage, ...]:
    """Read the images of a data set, or of a plain folder, and say what was found.

    Raises:
        DataError: There are none.
    """
    dataset, _ = read_images(config)
    say_reading(dataset, f"{len(dataset.images):,} images", console)
    return dataset.images
