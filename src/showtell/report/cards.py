"""An image as a card: its caption and, word by word, the attention of the model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup
from PIL import Image

from showtell.data.images import Preprocessing, open_image
from showtell.models.captioner import Caption, Word
from showtell.notebook import data_uri
from showtell.report.document import write_document
from showtell.report.overlay import Box, dimming, hottest_area, peak_of, seen_box

Language = Literal["en", "ko"]

_UNIT = 10_000
"""Weights are written as whole ten-thousandths."""

PageWords = dict[str, Any]
"""Texts of a page by name; some are several, as the template takes them."""
WORDS: dict[Language, PageWords] = {
    "en": {
        "hint": "Point at a word, tap it, or move with the arrow keys: the image shows where the model "
        "looked as it said that word. The line under a word is how sure it was.",
        "caption": "Caption",
        "references": "People say",
        "neighbours": "The memory chose it by training images like this one",
        "right": "Right",
        "wrong": "Wrong",
        "all": "All",
        "show": "Show",
        "play": "Play the words",
        "cells": "Show the bare grid",
        "image": "Image",
        "none": "No words were found.",
        "sure": "{percent}% sure; looks mostly at the {area}",
        "scale": ("Attention", "none", "most in the image"),
        "areas": (
            ("top left", "top", "top right"),
            ("left", "middle", "right"),
            ("bottom left", "bottom", "bottom right"),
        ),
    },
    "ko": {
        "hint": "단어에 마우스를 올리거나, 누르거나, 화살표 키로 옮겨 보세요. "
        "그 단어를 말할 때 모델이 사진의 어디를 보았는지 나타납니다. "
        "단어 아래 줄은 모델이 얼마나 확신했는지를 뜻합니다.",
        "caption": "설명",
        "references": "사람이 쓴 설명",
        "neighbours": "이 사진과 닮은 학습 사진의 설명을 보고 골랐습니다",
        "right": "맞음",
        "wrong": "틀림",
        "all": "전체",
        "show": "보기",
        "play": "단어 차례로 보기",
        "cells": "격자 그대로 보기",
        "image": "사진",
        "none": "단어를 찾지 못했습니다.",
        "sure": "확신 {percent}%, 주로 {area}을 봄",
        "scale": ("주목", "없음", "사진에서 가장 많음"),
        "areas": (
            ("왼쪽 위 부분", "위쪽 부분", "오른쪽 위 부분"),
            ("왼쪽 부분", "가운데 부분", "오른쪽 부분"),
            ("왼쪽 아래 부분", "아래쪽 부분", "오른쪽 아래 부분"),
        ),
    },
}


@dataclass(frozen=True)
class PageItem:
    """One image of the page.

    Attributes:
        image: Upright, as ``open_image`` returns it, or the file to open.
        caption: What the captioner said.
        preprocessing: Of the captioner's backbone; says which part of the image it saw.
        name: What the data calls the image; empty to leave it out.
        references: What people said.
        right: Whether the caption is known to be right or wrong; None where nobody knows.
        score: As it is shown, such as ``CIDEr-D 0.84``; empty to leave it out.
    """

    image: Image.Image | Path
    caption: Caption
    preprocessing: Preprocessing
    name: str = ""
    references: tuple[str, ...] = ()
    right: bool | None = None
    score: str = ""

    def open(self) -> Image.Image:
        """Return the image, RGB and upright.

        Raises:
            ImageError: It cannot be read.
        """
        return self.image if isinstance(self.image, Image.Image) else open_image(self.image)


def card_of(item: PageItem, words: PageWords) -> dict[str, object]:
    """Return what the template needs of an image.

    Args:
        item: The image.
        words: Of the page, one of ``WORDS`` or made from it.

    Raises:
        ImageError: The image cannot be read.
    """
    image = item.open()
    box = seen_box(item.preprocessing, image.width, image.height)
    spoken = item.caption.words
    attention = {
        "peak": round(peak_of(word.attention for word in spoken) * _UNIT),
        "maps": [(word.attention * _UNIT).round().int().tolist() for word in spoken],
    }
    return {
        "image": Markup(data_uri(image)),
        "width": image.width,
        "height": image.height,
        "dim": round(dimming(image), 3),
        "box": [round(edge, 5) for edge in box],
        "caption": item.caption.text,
        "name": item.name,
        "references": item.references,
        "neighbours": [(one.image, one.captions[0]) for one in item.caption.neighbours],
        "right": item.right,
        "score": item.score,
        "words": [_word(word, box, words) for word in spoken],
        # Nothing but numbers, so nothing to escape.
        "attention": Markup(json.dumps(attention, separators=(",", ":"))),
    }


def _word(word: Word, box: Box, words: PageWords) -> dict[str, object]:
    row, column = hottest_area(word.attention, box)
    percent = round(100 * word.probability)
    return {
        "text": word.text,
        "percent": percent,
        "says": words["sure"].format(percent=percent, area=words["areas"][row][column]),
    }


def write_captions_page(
    out: Path,
    *,
    title: str,
    summary: Sequence[tuple[str, str]],
    items: Sequence[PageItem],
    language: Language,
) -> Path:
    """Write a page that shows captions with their images and, word by word, the attention.

    Everything lies in the one file: it works from a memory stick and asks no network for anything. Without
    scripts it still shows all images and texts. The colours of an image's words share one scale.

    Args:
        out: The HTML file; folders are made if missing.
        title: Of the page.
        summary: Names and values of the figures on top, such as ``("Exactly right", "97 of 100")``.
        items: Images in order; those given as a path are opened one at a time.
        language: Of the page's own words.

    Returns:
        ``out``.

    Raises:
        ImageError: An image cannot be read.
    """
    words = WORDS[language]
    marks = [item.right for item in items]
    cards = [card_of(item, words) for item in items]
    return write_document(
        out,
        "report/page.html",
        title=title,
        summary=summary,
        cards=cards,
        shown=cards,
        counts={"all": len(marks), "right": marks.count(True), "wrong": marks.count(False)},
        language=language,
        words=words,
    )
