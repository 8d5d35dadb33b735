"""What a search found, as typed records: what the table, the page and ``--json`` show."""

from dataclasses import dataclass
from pathlib import Path

from showtell.data.records import AnnotatedImage
from showtell.report.gallery import Shown, write_gallery
from showtell.report.wrapping import columns_of, shorten

_NAME, _WORDS = 40, 60
"""Most columns of a name and of words in the table."""


@dataclass(frozen=True)
class Match:
    """An image that was found.

    Attributes:
        image: The image, with what people said of it.
        score: The higher, the better it fits; what it is stands in ``Found.score``.
        said: What the model says of it; empty where none was asked.
    """

    image: AnnotatedImage
    score: float
    said: str = ""

    @property
    def words(self) -> str:
        """Return what is known of the image, in a line: the model's words, else those of people."""
        return self.said or self.image.label or next(iter(self.image.captions), "")


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        data: What was searched, as the user named it.
        asked: What was searched for: a text, or the path of an image.
        like: The image that was searched for; None for a text.
        by: What the images were compared by, in words.
        score: What a score is, in a word or two.
        images: How many images were searched.
        matches: The images that fit best, the best first.
        seconds: That the search itself took, once everything was loaded.
    """

    data: str
    asked: str
    like: Path | None
    by: str
    score: str
    images: int
    matches: tuple[Match, ...]
    seconds: float

    @property
    def text(self) -> str:
        """Return it as a table."""
        names = [shorten(one.image.name, _NAME, middle=True) for one in self.matches]
        width = max(map(columns_of, names), default=0)
        rows = [
            f"{place:>3}  {one.score:6.3f}  {name}{' ' * (width - columns_of(name))}  "
            f"{shorten(one.words, _WORDS)}".rstrip()
            for place, (name, one) in enumerate(zip(names, self.matches), 1)
        ]
        head = f"{self.asked}: the nearest of {self.images:,} images by {self.by}"
        lines = [head, f"     {self.score}", *rows]
        # A name may hold a line break, or an order to the terminal.
        return "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)

    def record(self) -> dict[str, object]:
        """Return what a script reads."""
        matches = [
            {"image": one.image.name, "path": str(one.image.path), "score": round(one.score, 5)}
            | ({"said": one.said} if one.said else {})
            | ({"label": one.image.label} if one.image.label is not None else {})
            | ({"captions": list(one.image.captions)} if one.image.captions else {})
            for one in self.matches
        ]
        return {
            "data": self.data,
            "asked": self.asked,
            "by": self.by,
            "score": self.score,
            "images": self.images,
            "seconds": round(self.seconds, 4),
            "matches": matches,
        }

    def write_page(self, out: Path) -> Path:
        """Write it as one HTML file that asks no network for anything; return the file."""
        shown = [
            Shown(
                one.image.path,
                one.image.name,
                one.words,
                f"{one.score:.3f}",
                "People say" if one.said and one.image.captions else "",
                one.image.captions if one.said else one.image.captions[1:],
            )
            for one in self.matches
        ]
        return write_gallery(
            out,
            title=f"More like {self.like.name}"
            if self.like
            else f"\N{LEFT DOUBLE QUOTATION MARK}{self.asked}\N{RIGHT DOUBLE QUOTATION MARK}",
            note=f"The nearest by {self.by}, the nearest first; the number is its {self.score}.",
            summary=[("Searched", f"{self.images:,}"), ("Shown", f"{len(shown):,}")],
            shown=shown,
            asked=Shown(self.like, self.like.name, "Searched for") if self.like else None,
        )
