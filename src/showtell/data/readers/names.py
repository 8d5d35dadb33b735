"""The names by which data sets call their columns, splits, picture folders and pictures."""

import unicodedata
from pathlib import PurePath

from showtell.data.pixels.files import PICTURE_EXTENSIONS
from showtell.data.records import Split


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# The earlier name wins where a table has several: `id` is often a row number beside a real file name.
IMAGE_COLUMNS = _words(
    "image image_name file_name filename file image_path file_path filepath path img img_name image_file "
    "picture photo 이미지 이미지명 사진 사진명 그림 파일명 파일이름 파일_이름 파일 경로 "
    "image_id img_id id name 이름"
)
CAPTION_COLUMNS = _words(
    "caption captions text comment sentence description raw 캡션 설명 문장 설명문 텍스트"
)
LABEL_COLUMNS = _words(
    "label labels class class_name classname breed category species target "
    "라벨 레이블 종류 품종 분류 클래스 범주"
)
SPLIT_COLUMNS = ("split", "subset", "partition")
COUNTER_COLUMNS = frozenset(("", "comment_number", "caption_number", "index", "unnamed:_0", *SPLIT_COLUMNS))

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}

PICTURE_FOLDERS = (
    "Images",
    "images",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "flickr30k_images",
    "flickr30k-images",
    "imgs",
    "pictures",
    "photos",
    "train",
    "사진",
    "이미지",
)


def nfc(text: str) -> str:
    """Return the text in Unicode NFC: macOS writes names decomposed, tables hold them composed."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def column_key(name: str) -> str:
    """Return a column name so that ``Image Name``, ``image-name`` and ``image_name`` are one."""
    return nfc(name.strip()).casefold().replace(" ", "_").replace("-", "_")


def split_named(name: str) -> Split | None:
    """Return the split that a folder, a column value or a JSON field names, in any case; else None."""
    return _SPLIT_NAMES.get(name.strip().casefold())


def is_picture_name(name: str) -> bool:
    """Tell by its extension whether a file is meant to be a picture; decoding has the last word."""
    return PurePath(name).suffix.lower() in PICTURE_EXTENSIONS
