"""Is one run better than another? Both on the same images, with paired intervals."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from showtell.comparison.runs_page import write_runs_page
from showtell.comparison.settings import Compare
from showtell.console import Console, Log
from showtell.data.groups import group_numbers
from showtell.errors import DataError, ModelError, ShowtellError
from showtell.evaluation.intervals import Ints
from showtell.evaluation.paired import Paired, PairedImage
from showtell.kinds.kind import Kind, find_kind
from showtell.report.wrapping import columns_of
from showtell.runs.records import JsonObject, as_json
from showtell.runs.run import Run
from showtell.runs.trained_data import Whereabouts, read_again

_NAMED = 3
"""Images that are named in the terminal, for each of the two sides."""
_SHOWN = 12
"""Images that are shown on the page and in JSON, for each of the two sides."""


@dataclass(frozen=True)
class Comparison:
    """Runs held against the first of them.

    Attributes:
        split: Which split, or ``all`` of other data.
        first: Folder of the first run.
        others: What the comparison with each of the others found, by its folder.
    """

    split: str
    first: Path
    others: dict[Path, Paired]

    def record(self) -> JsonObject:
        """Return it as JSON values, with the images that differ the most."""
        return {
            "split": self.split,
            "first": str(self.first),
            "others": [
                {
                    "run": str(run),
                    "images": len(paired.images),
                    "groups": paired.groups,
                    "scores": as_json(paired.scores),
                    "decided_by": paired.decided_by,
                    "won": paired.won,
                    "tied": paired.tied,
                    "lost": paired.lost,
                    **{
                        which: [_image_record(image) for image in images]
                        for which, images in zip(("better", "worse"), paired.most_different(_SHOWN))
                    },
                }
                for run, paired in self.others.items()
            ],
        }

    def text(self) -> str:
        """Return it as text for a terminal."""
        names = names_of([self.first, *self.others])
        blocks = (
            _block((names[0], name), paired, self.split)
            for name, paired in zip(names[1:], self.others.values())
        )
        return "\n\n".join(blocks)


def compare(config: Compare, console: Console | None = None) -> Comparison:
    """Compare finished runs on the images that all of them were scored on.

    Args:
        config: Which runs, and on which split.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        What was found; ``config.out`` shows it.

    Raises:
        ShowtellError: Runs that are not finished, of different kinds, or scored on different images.
    """
    console = console or Log()
    runs = [Run(folder) for folder in config.runs]
    kind = _kind_of(runs)
    first, *others = (_lines(run, config.split) for run in runs)
    # Of other data, an image of the same name is another one than that of the training.
    own = config.split != "all"
    groups = _groups(runs[0], first) if own else None
    found = {}
    for run, lines in zip(runs[1:], others):
        _check_same_images(runs[0], first, run, lines)
        if own:
            _check_same_contents(runs[0], run, config.split)
        try:
            found[run.folder] = kind.compare(first, lines, groups)
        except KeyError as error:
            raise ModelError(
                f"The predictions of {runs[0].folder} or {run.folder}, by another version, lack {error}.",
                hint="Evaluate both again.",
                run=_evaluate(run, config.split),
            ) from error
    comparison = Comparison(config.split, runs[0].folder, found)
    console.say(comparison.text())
    shown = {
        image.name for paired in found.values() for side in paired.most_different(_SHOWN) for image in side
    }
    page = write_runs_page(
        config.out,
        split=config.split,
        names=names_of(config.runs),
        paired=list(found.values()),
        count=_SHOWN,
        files=_files(runs[0], kind, shown, console) if own else {},
    )
    console.say(f"Look at {page}" + (" (a run knows no images of other data to be shown)" * (not own)))
    return comparison


def names_of(runs: Sequence[Path]) -> list[str]:
    """Return what runs are called: their folders' own names where these tell them apart, else their paths."""
    own = [run.resolve().name for run in runs]
    return own if len(set(own)) == len(own) else [str(run) for run in runs]


def _kind_of(runs: Sequence[Run]) -> Kind:
    """Return the kind that all runs are of.

    Raises:
        ModelError: A folder holds no run, or they are of different kinds.
    """
    for run in runs:
        if not run.has_started:
            raise ModelError(
                f"{run.folder} holds no run.",
                hint="Expected folders of finished trainings. Backbones are compared on data by: "
                "showtell compare-backbones DATA --backbones a,b",
            )
    kinds = [run.record.kind for run in runs]
    for run, kind in zip(runs, kinds):
        if kind != kinds[0]:
            raise ModelError(
                f"{runs[0].folder} is a {kinds[0]}, and {run.folder} a {kind}.",
                hint="Expected runs of one kind.",
            )
    return find_kind(kinds[0])


def _lines(run: Run, split: str) -> list[JsonObject]:
    """Return what a run said of each image of a split, in the order of the images' names.

    Raises:
        ModelError: It is not finished, or the split was not scored.
    """
    if not (run.model / "config.json").is_file():
        raise ModelError(
            f"{run.folder} is not finished: it holds no model.",
            hint="Repeat its command with --resume; it goes on from the last checkpoint.",
        )
    if not run.evaluated(split):
        what = "other data" if split == "all" else f"its {split} split"
        raise ModelError(f"{run.folder} holds no scores of {what}.", run=_evaluate(run, split))
    return sorted(run.predictions(split), key=lambda line: str(line["image"]))


def _evaluate(run: Run, split: str) -> str:
    rest = "DATA" if split == "all" else f"--split {split}"
    return f"showtell evaluate {shlex.quote(str(run.folder))} {rest}"


def _check_same_images(
    first: Run, ours: Sequence[JsonObject], second: Run, theirs: Sequence[JsonObject]
) -> None:
    """Refuse runs that were not scored on the same images.

    Raises:
        DataError: They were not.
    """
    one, other = ({line["image"] for line in lines} for lines in (ours, theirs))
    if one != other:
        raise DataError(
            f"{first.folder} was scored on {len(one):,} images and {second.folder} on {len(other):,}; "
            f"both were scored on {len(one & other):,}.",
            hint="Expected the same images: trainings on the same data with the same --seed and sizes of "
            "splits, or both runs evaluated on the same other data and compared with --split all.",
            run=f"showtell evaluate {shlex.quote(str(second.folder))} DATA",
        )


def _check_same_contents(first: Run, second: Run, split: str) -> None:
    """Refuse runs whose images of a split bear the same names, and are others.

    Raises:
        DataError: They are.
    """
    one, other = (
        {image.name: image.sha256 for image in run.images if image.split == split} for run in (first, second)
    )
    if changed := sorted(name for name in one.keys() & other if one[name] != other[name]):
        raise DataError(
            f"{len(changed):,} of {len(one):,} images, such as {changed[0]}, are others in {second.folder} "
            f"than in {first.folder}, under the same names.",
            hint="Expected trainings on the same data; or evaluate both on other data, and compare by "
            "--split all.",
        )


def _groups(run: Run, lines: Sequence[JsonObject]) -> Ints | None:
    """Return the group of each image as the run recorded it, (N,); None where each stands alone."""
    of = {image.name: image.group for image in run.images if image.group is not None}
    groups = group_numbers([str(line["image"]) for line in lines], of)
    return groups if len(np.unique(groups)) < len(groups) else None


def _files(run: Run, kind: Kind, names: set[str], console: Console) -> dict[str, Path]:
    """Return where images of the training's data are, by name; say so where they cannot be shown."""
    where = Whereabouts("showtell report RUN DATA")
    try:
        data = read_again(run, run.settings(kind.Settings), kind.read, where, Console(quiet=True))
    except ShowtellError as error:
        console.say(f"The page shows no images: {error.what}")
        return {}
    return {image.name: image.path for image in data.dataset.images if image.name in names}


def _image_record(image: PairedImage) -> JsonObject:
    return {
        "image": image.name,
        "right": image.truths,
        "first": image.said[0],
        "second": image.said[1],
        "scores": image.scores,
    }


def _block(names: tuple[str, str], paired: Paired, split: str) -> str:
    """Return the comparison of two runs as text."""
    widths = [max(8, columns_of(name)) for name in names]
    titles = "   ".join(" " * (width - columns_of(name)) + name for name, width in zip(names, widths))
    count = len(paired.images)
    drawn = f"{paired.groups:,} groups of near-duplicates" if paired.groups < count else "images"
    lines = [
        f"{names[1]} against {names[0]} ({split}, {count:,} images; intervals by resampling {drawn})",
        f"  {'':<18} {titles}   difference   95% interval, paired",
    ]
    for name, score in paired.scores.items():
        values = "   ".join(
            f"{value:{width}.4f}" for value, width in zip((score.first, score.second), widths)
        )
        low, high = score.interval_95
        mark = "" if score.decided else "   (may be none)"
        lines.append(f"  {name:<18} {values}   {score.difference:+10.4f}   {low:+.4f} to {high:+.4f}{mark}")
    lines.append(
        f"  By {paired.decided_by}, {names[1]} is better on {paired.won:,} images, {names[0]} on "
        f"{paired.lost:,}, neither on {paired.tied:,}"
    )
    for name, images in zip(names[::-1], paired.most_different(_NAMED)):
        lines += [f"  Most in favour of {name}:"] * bool(images)
        for image in images:
            lines.append(f"    {image.name}")
            lines += [f"      {name}: {said}" for name, said in zip(names, image.said)]
            lines.append(f"      {'people' if len(image.truths) > 1 else 'right'}: {image.truths[0]}")
    return "\n".join(lines)
