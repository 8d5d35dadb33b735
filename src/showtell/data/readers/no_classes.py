"""Names of folders that part a collection of photos, by device, day or month, and are no classes."""

import re
from collections.abc import Collection, Mapping

from showtell.data.names import nfc, words
from showtell.data.readers.delimited import shape

MASKS = frozenset(words("masks mask segmentation segmentations annotations trimaps ground_truth gt"))
NO_CLASS = MASKS | {*words("image images imgs img pictures photos jpg jpeg png jpegimages data dcim 사진")}
_REST = frozenset(words("misc other others etc rest unsorted 기타 미분류 その他 其他"))
"""What is left of a collection, beside its days and months."""
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_RECENT = r"(?:0[5-9]|[12]\d|3[0-5])"  # the years of six digits alone, which may be a code as well
_SHORT = rf"{_RECENT}(0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"  # 240105
_NAMED = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_OF_NO_CLASS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?-i:\d{3}[A-Z_]{3,}\d*)",  # of a camera: 100APPLE
        rf"{_YEAR}(?:([-_. ]){_MONTH}(?:\1{_DAY}(?:[ _-].+)?)?)",  # 2024-01, 2024-01-05 Seoul
        rf"{_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[ _-].+)?",  # 20240105_seoul
        rf"20{_RECENT}(?:0[1-9]|1[0-2])",  # 202401
        _SHORT,
        rf"(?:{_DAY}[-_. ])?{_MONTH}[-_. ]{_YEAR}|{_MONTH}[-_.]{_DAY}[-_.]{_YEAR}",  # 05.01.2024
        rf"(?:{_DAY}[ ._-]*)?{_NAMED}[ ._,-]*(?:{_DAY},? *)?{_YEAR}",  # Jan 2024; January 5, 2024
        rf"{_YEAR}[ ._-]*{_NAMED}(?:[ ._-]*{_DAY})?",
        rf"{_YEAR} ?[년年](?: ?{_MONTH} ?[월月](?: ?{_DAY} ?[일日])?)?|{_MONTH} ?[월月](?: ?{_DAY} ?[일日])?",
        r"(?:새 폴더|new folder|untitled folder|新建文件夹|新增資料夾|新しいフォルダー?)(?: ?\(?\d+\)?)?",
    )
]


def hold_classes(inside: Mapping[str, Collection[str]]) -> bool:
    """Tell whether any of some folders may be a class, by their names and those of the folders in each.

    They may not where each is of images as such (``images_001``, ``data_256``, ``Photos from 2019``), of a
    camera, of a day or a month, a year that holds such ones, or has no name of its own; what is left of those
    is none either. Six digits that would be days of but one month of the year are codes.
    """
    days = [re.fullmatch(_SHORT, name) for name in inside]
    if len(days) > 1 and len({day and day[1] for day in days}) == 1 and all(days):
        return True
    left = [name for name in inside if not (_is_of_no_class(name) or _is_year_of(name, inside[name]))]
    if len(left) == len(inside) > 1 and len({*map(shape, left)}) == 1:
        left = [name for name in left if NO_CLASS.isdisjoint(words_in(name))]  # Photos from 2019, ... 2020
    return not {name.casefold() for name in left} <= (_REST if len(left) < len(inside) else set())


def is_year(name: str) -> bool:
    """Tell whether a name is that of a year."""
    return bool(re.fullmatch(_YEAR, name))


def _is_year_of(name: str, inside: Collection[str]) -> bool:
    parts = [re.fullmatch(_MONTH, one) or _is_of_no_class(one) for one in inside]
    return is_year(name) and bool(parts) and all(parts)


def words_in(name: str) -> set[str]:
    """Return the words of a folder's name, without numbers, in small letters."""
    return {*re.findall(r"[^\W\d_]+", name.casefold())}


def _is_of_no_class(name: str) -> bool:
    found = words_in(name)
    dated = any(pattern.fullmatch(nfc(name.strip())) for pattern in _OF_NO_CLASS)
    return dated or bool(found and found <= NO_CLASS)
