"""Tables and shards that lie in the folders of one data set."""

from pathlib import Path

from showtell.data.names import split_named
from showtell.data.readers.tables import TABLE_SUFFIXES, Part

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet", "_classes.csv")


def metadata_parts(folder: Path) -> tuple[Part, ...]:
    """Return the metadata of a folder, or else those of its split folders (train, validation, test)."""
    if here := _metadata(folder):
        return (Part(here[0]),)
    return tuple(
        Part(file, split_named(path.name), path.name)
        for path in _split_folders(folder)
        for file in _metadata(path)[:1]
    )


def own_tables(folder: Path) -> tuple[Part, ...]:
    """Return what may be the table of each folder in a folder; nothing where one has none, or several."""
    parts = []
    for place in sorted(folder.iterdir()):
        if not place.is_dir() or place.name.startswith((".", "__", "@")):
            continue
        files = [path for path in place.iterdir() if path.suffix.lower() in TABLE_SUFFIXES]
        files = [path for path in files if not path.name.lower().startswith((".", "readme", "licen"))]
        if len(files) != 1:
            return ()
        parts.append(Part(files[0], split_named(place.name), place.name))
    return tuple(parts) if len(parts) > 1 else ()


def shards_of_splits(folder: Path, suffix: str) -> tuple[Part, ...]:
    """Return the files of a kind in folders that are called as splits are."""
    folders = _split_folders(folder)
    shards = [path for one in folders for path in sorted(one.iterdir()) if path.suffix.lower() == suffix]
    return tuple(Part(path, split_named(path.parent.name), path.parent.name) for path in shards)


def _split_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and split_named(path.name))


def _metadata(folder: Path) -> list[Path]:
    return [folder / name for name in METADATA if (folder / name).is_file()]
