"""Images that are there twice, to the byte or nearly, and where that does harm."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from showtell.console import many
from showtell.data.groups import find_groups
from showtell.data.image_info import ImageInfo
from showtell.data.near_duplicates import Similarity, leaking_pairs, near_duplicate_groups
from showtell.data.records import AnnotatedImage
from showtell.inspection.check import Finding, Level

_FEW_SCENES = 30
"""Up to as many scenes are few."""
_DRAWN = 12
"""Groups of images that a finding names for drawing."""


def check_duplicates(readable: Sequence[ImageInfo], similarity: Similarity) -> list[Finding]:
    """Find images that are there twice, to the byte or nearly."""
    contents: defaultdict[bytes, list[AnnotatedImage]] = defaultdict(list)
    for info in readable:
        contents[info.digest].append(info.image)
    copies = [same for same in contents.values() if len(same) > 1]
    harmless = [same for same in copies if not _labels_differ(same) and not _splits_differ(same)]
    found = [
        _finding(
            "one photo, two labels",
            "error",
            [same for same in copies if _labels_differ(same)],
            ("image is there under two labels", "images are there under two labels"),
            "Delete the wrong copies. Training leaves all of them out, since neither label can be trusted.",
        ),
        _finding(
            "both sides of a split",
            "error",
            [same for same in copies if _splits_differ(same)],
            ("image stands on both sides of a split", "images stand on both sides of a split"),
            "Delete the copies in val and test: what was seen in training is scored too well.",
        ),
        _finding(
            "exact duplicates",
            "warning",
            harmless,
            ("image is there more than once, to the byte", "images are there more than once, to the byte"),
            "Keep one file of each: a copy counts once more in training and in scores.",
        ),
    ]
    return [finding for finding in found if finding.count] + _check_near(readable, similarity)


def _check_near(readable: Sequence[ImageInfo], similarity: Similarity) -> list[Finding]:
    across = _near_across(readable, similarity)
    near = _near_groups(readable, similarity)
    harmless = [group for group in near if not _labels_differ(group) and not _splits_differ(group)]
    found = [
        _finding(
            "nearly on both sides of a split",
            "error",
            list(across),
            ("pair is nearly the same across splits", "pairs are nearly the same across splits"),
            "Look at them. Move one scene to one side; or leave the splits out of the data, for those that "
            "training makes keep near-duplicates together.",
        ),
        _finding(
            "nearly the same, two labels",
            "warning",
            [group for group in near if _labels_differ(group)],
            ("group is nearly the same, two labels", "groups are nearly the same, two labels"),
            "Look at them: a label may be a slip.",
        ),
        _finding(
            "near-duplicates",
            "info",
            harmless,
            ("group of images is nearly the same", "groups of images are nearly the same"),
            "Nothing, if they are bursts of one scene: a split that training makes keeps them together. "
            "Remove what adds nothing.",
        ),
    ]
    cosines = [f"; cosine {cosine:.2f}" for cosine in across.values()]
    found[0] = replace(found[0], places=tuple(map(str.__add__, found[0].places, cosines)))
    by = f" (by {similarity.by})"
    return [replace(finding, what=finding.what + by) for finding in found if finding.count]


def check_scenes(readable: Sequence[ImageInfo], similarity: Similarity) -> list[Finding]:
    """Warn where many images are few scenes: scores count scenes then."""
    images = [info.image for info in readable]
    groups = find_groups(images, {info.image.name: info.digest for info in readable}, similarity)
    if groups.count > _FEW_SCENES or 2 * groups.count > len(images):
        return []
    members = [names for names in groups.members() if len(names) > 1]
    scenes = many(groups.count, "scene", "scenes")
    finding = Finding(
        "few scenes",
        "warning",
        groups.count,
        f"{len(images):,} images are {scenes} ({groups.criteria}): scores count scenes",
        "Bring images of more scenes: from about 30 on, scores say something. Training keeps a scene on one "
        "side of the split, and a classifier is scored by cross-validation over scenes where they are few.",
        tuple(f"{names[0]}, and {len(names) - 1:,} more like it" for names in members),
        tuple(tuple(names[:4]) for names in members[:_DRAWN]),
    )
    return [finding]


def _near_across(
    readable: Sequence[ImageInfo], similarity: Similarity
) -> dict[tuple[AnnotatedImage, AnnotatedImage], float]:
    """Return pairs in different splits that are not equal to the byte, with their cosines."""
    images = [info.image for info in readable]
    if not _splits_differ(images):
        return {}
    known = {info.image.name: info for info in readable}
    leaks = leaking_pairs(images, similarity.vectors, threshold=similarity.threshold)
    return {
        (known[leak.first].image, known[leak.second].image): leak.cosine
        for leak in leaks
        if known[leak.first].digest != known[leak.second].digest
    }


def _near_groups(readable: Sequence[ImageInfo], similarity: Similarity) -> list[list[AnnotatedImage]]:
    """Return groups that are much the same, with one image of each content."""
    first = {info.digest: place for place, info in reversed(list(enumerate(readable)))}
    places = sorted(first.values())
    images = {readable[place].image.name: readable[place].image for place in places}
    groups = near_duplicate_groups(list(images), similarity.vectors[places], threshold=similarity.threshold)
    return [[images[name] for name in group] for group in groups]


def _finding(
    kind: str,
    level: Level,
    groups: Sequence[Sequence[AnnotatedImage]],
    what: tuple[str, str],
    advice: str,
) -> Finding:
    """Return a finding about images that belong together; ``what`` is in the singular and the plural."""
    places = [" = ".join(_described(image, group) for image in group) for group in groups]
    drawn = tuple(tuple(image.name for image in group) for group in groups[:_DRAWN])
    return Finding(kind, level, len(groups), many(len(groups), *what), advice, tuple(places), drawn)


def _described(image: AnnotatedImage, group: Sequence[AnnotatedImage]) -> str:
    """Name an image, with its label and its split where those of the group differ."""
    label = image.label if _labels_differ(group) else None
    split = image.split if _splits_differ(group) else None
    known = ", ".join(part for part in (label, split) if part)
    return f"{image.name} ({known})" if known else image.name


def _labels_differ(images: Iterable[AnnotatedImage]) -> bool:
    return len({image.label for image in images}) > 1


def _splits_differ(images: Iterable[AnnotatedImage]) -> bool:
    # A copy without a split follows the others of its content, whichever they are in.
    return len({image.split for image in images} - {None}) > 1
