"""Read each input of a folder of cases, and print in a line or two how it was read or why not.

Of the images in its folder ``pictures`` the colour in the middle of each quarter is printed.

    python scripts/try_cases.py ../shared/cases
    python scripts/try_cases.py FOLDER --full    # every note and problem

A case is a folder, or a table in it where it holds several. What is right for each stands beside the cases.
"""

import sys
from collections import Counter
from pathlib import Path

from showtell.data.images import open_image
from showtell.data.readers import read_images
from showtell.data.source import DataSource
from showtell.errors import ShowtellError

TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".parquet", ".tar")


def sources_of(case: Path) -> list[Path]:
    """Return the case, or the tables in it where several stand for a variation each."""
    tables = [path for path in sorted(case.iterdir()) if path.suffix.lower() in TABLES]
    split = any(path.is_dir() for path in case.glob("train*"))
    whole = len(tables) < 2 or case.name.startswith(("a06b", "a43")) or split
    return [case] if whole else tables


def line_of(source: Path, full: bool) -> str:
    """Read one source; return what is to be said of it."""
    try:
        dataset, obstacle = read_images(DataSource(source))
    except ShowtellError as error:
        return "REFUSED " + str(error).replace("\n", "\n      ")
    captions = [caption for _, caption in dataset.captions()]
    splits = dict(Counter(image.split for image in dataset.images if image.split))
    lines = [
        f"{dataset.format}: {len(dataset.images)} images, {len(captions)} captions, "
        f"{len(dataset.classes)} classes {list(dataset.classes[:4])}, splits {splits or 'none'}"
    ]
    if obstacle:
        lines.append(f"not to be learnt from: {obstacle.what}")
    lines += [f"note: {note}" for note in dataset.notes]
    kinds = Counter(problem.kind for problem in dataset.problems)
    for kind, count in kinds.items():
        example = next(problem for problem in dataset.problems if problem.kind == kind)
        lines.append(f"{count} x {kind}: {example.where}: {example.detail}"[: None if full else 160])
    if full:
        lines += [f"{image.name}: {image.captions or image.label}" for image in dataset.images[:3]]
    return "\n      ".join(lines)


def quarters_of(path: Path) -> str:
    """Decode an image; return the colour in the middle of each quarter, or why it cannot be read."""
    try:
        image = open_image(path)
    except ShowtellError as error:
        return "REFUSED " + str(error).replace("\n", " ")
    places = [(x, y) for y in (1, 3) for x in (1, 3)]
    return " ".join(str(image.getpixel((image.width * x // 4, image.height * y // 4))) for x, y in places)


def main() -> None:
    """Go through all cases."""
    root, full = Path(sys.argv[1]), "--full" in sys.argv
    for image in sorted((root / "pictures").iterdir()) if (root / "pictures").is_dir() else ():
        print(f"{image.relative_to(root)}\n      {quarters_of(image)}")
    for case in sorted(path for path in root.iterdir() if path.is_dir() and path.name != "pictures"):
        for source in sources_of(case):
            print(f"{source.relative_to(root)}\n      {line_of(source, full)}")


if __name__ == "__main__":
    main()
