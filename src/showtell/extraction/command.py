"""Features into the store, and a look at what the store holds."""

from typing import Any

from showtell.console import Console, Log, human_time
from showtell.data.readers import read_pictures
from showtell.data.records import Picture
from showtell.data.source import DataSource
from showtell.extraction.extract import extract_features
from showtell.extraction.prepared import report_problems, say_reading
from showtell.extraction.settings import Extract
from showtell.store.store import FeatureStore


def extract(config: Extract, console: Console | None = None) -> dict[str, Any]:
    """Look at every picture of a data set, or of a plain folder, once.

    Args:
        config: Which pictures and which network.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        The name of the feature space, how many pictures were looked at now and in all, and the unreadable.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    console = console or Log()
    pictures = pictures_of(config, console)
    backbone = config.load(console=console)
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


def pictures_of(config: DataSource, console: Console) -> tuple[Picture, ...]:
    """Read the pictures of a data set, or of a plain folder, and say what was found.

    Raises:
        DataError: There are none.
    """
    dataset, _ = read_pictures(config)
    say_reading(dataset, f"{len(dataset.pictures):,} pictures", console)
    return dataset.pictures
