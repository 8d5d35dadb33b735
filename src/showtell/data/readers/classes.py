"""Format ``classes``: a folder of class folders, with or without split folders above them."""

from collections import Counter
from pathlib import Path

from showtell.data.readers.collect import one_class
from showtell.data.readers.columns import ColumnNames
from showtell.data.readers.names import is_picture_name, split_named
from showtell.data.readers.picture_folder import PictureFolder
from showtell.data.records import Dataset, Picture, Problem
from showtell.errors import ConfigError, DataError


def read_classes(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read pictures whose folder is their label.

    ``Train/Leo/a.jpg`` has the label Leo and the split train; ``Leo/a.jpg`` has no split. A folder called
    train, val, test and the like is a split only where it holds folders with pictures, so a class may be
    called ``train`` as well. Pictures in deeper folders belong to the class above them.

    Args:
        source: The folder.
        images: Must be None: the folder holds its pictures.
        names: Not used: the form has no columns.

    Returns:
        Pictures with labels in order of their names, and sorted classes. Hidden files, files that are no
        pictures, empty class folders and pictures outside a class folder are reported.

    Raises:
        DataError: There is no picture in a class folder, or there is a single class.
        ConfigError: ``images`` was given.
    """
    if images is not None:
        raise ConfigError(
            f"--images {images} has no meaning with class folders: {source} holds its pictures itself.",
            would_do="Leave --images out, or give a table as DATA.",
        )
    folder = PictureFolder(source)
    splits = _split_folders(folder)
    problems = [*folder.problems]
    problems += [Problem("hidden file", name, "left out") for name in sorted(folder.hidden)]
    pictures: list[Picture] = []
    for name in sorted(folder.files):
        path = Path(folder.files[name])
        parts = name.split("/")
        depth = 1 if splits else 0
        if not is_picture_name(name):
            problems.append(Problem("not a picture", name, "by its extension; left out"))
        elif splits and parts[0] not in splits:
            detail = (
                f"{source} has split folders ({', '.join(sorted(splits))}), this lies beside them; left out"
            )
            problems.append(Problem("picture outside a split folder", name, detail))
        elif len(parts) < depth + 2:
            problems.append(Problem("picture outside a class folder", name, "left out"))
        else:
            split = split_named(parts[0]) if splits else None
            pictures.append(Picture(name, path, label=parts[depth], split=split))
    problems += _empty_classes(folder, splits, pictures)
    classes = tuple(sorted({picture.label for picture in pictures if picture.label is not None}))
    if not classes:
        raise DataError(
            f"{source} holds no class folder with pictures ({len(problems)} problems).",
            would_do="A folder a class with its pictures inside would do, such as cats/leo/1.jpg.",
        )
    if len(classes) == 1:
        raise one_class(source, classes[0], len(pictures))
    return Dataset(source, "classes", tuple(pictures), tuple(problems), classes)


def _split_folders(folder: PictureFolder) -> set[str]:
    deep = {name.partition("/")[0] for name in folder.pictures if name.count("/") >= 2}
    return {name for name in deep if split_named(name)}


def _empty_classes(folder: PictureFolder, splits: set[str], pictures: list[Picture]) -> list[Problem]:
    depth = 1 if splits else 0
    counts = Counter("/".join(picture.name.split("/")[: depth + 1]) for picture in pictures)
    empty = (
        name
        for name in sorted(folder.folders)
        if name.count("/") == depth and not counts[name] and (not splits or name.partition("/")[0] in splits)
    )
    return [Problem("empty class folder", name, "holds no pictures; left out") for name in empty]
