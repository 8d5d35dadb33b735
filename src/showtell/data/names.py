"""The names by which data sets call their columns, splits, image folders and images."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from showtell.data.pixels.files import PICTURE_EXTENSIONS as PICTURE_EXTENSIONS
from showtell.data.records import Split


def words(text: str) -> tuple[str, ...]:
    """Return words written with blanks between them."""
    return tuple(text.split())


def few(names: Sequence[str], count: int = 10) -> str:
    """Return the first of some names for a message, and how many more there are."""
    more = f" and {len(names) - count:,} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more


OTHER_EXTENSIONS = frozenset(
    words(
        ".txt .csv .tsv .psv .tab .json .jsonl .ndjson .md .html .htm .xml .yaml .yml .toml .py .ipynb .css "
        ".npy .npz .pkl .pt .pth .safetensors .onnx .h5 .mat .mdb .db .lock .ini .log .zip .tar .gz .7z .js "
        ".mp4 .mov .avi .mkv .mp3 .wav .doc .docx .xls .xlsx .parquet .caption .captions .svg .dat .pdf .exe"
    )
)
"""Files with one of these are not images; what others are is told by their first bytes."""

# The earlier name wins where a table has several: `id` is often a row number beside a real file name.
IMAGE_COLUMNS = words(
    "image image_name file_name filename fname file image_path file_path filepath filepaths path paths img "
    "img_name img_path image_file images files picture photo 이미지 이미지명 사진 사진명 그림 파일명 "
    "파일이름 파일_이름 파일 경로 图片 圖片 图像 画像 image_id img_id id name 이름"
)
CAPTION_COLUMNS = words(
    "caption captions text comment sentence sentences raw prompt description 캡션 설명 문장 설명문 텍스트 "
    "描述 说明 キャプション 説明"
)
LABEL_COLUMNS = words(
    "class_name label_name label labels class classname breed category species target "
    "class_id classid label_id 라벨 레이블 종류 품종 분류 클래스 범주 标签 类别"
)
KNOWN_COLUMNS = frozenset((*IMAGE_COLUMNS, *CAPTION_COLUMNS, *LABEL_COLUMNS))
SPLIT_COLUMNS = ("split", "subset", "partition", "set", "phase", "fold")
GROUP_COLUMNS = frozenset(
    words(
        "patient patient_id subject subject_id lesion_id person_id camera camera_id site site_id location "
        "location_id sequence sequence_id seq_id video video_id burst session session_id scene scene_id"
    )
)
"""Columns that probably say what belongs together; which is for the user to say."""
COUNTER_COLUMNS = frozenset(
    words("comment_number caption_number caption_id sentid sentids index idx no row unnamed:_0 width height")
) | {""}

EVAL = "eval"
"""Val beside train alone: see `eval_is_test`."""
_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "trainval": "train",
    "restval": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "validate": "val",
    "dev": "val",
    EVAL: "val",
    "evaluation": "test",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "publictest": "val",
    "privatetest": "test",
    "holdout": "test",
    "heldout": "test",
    **dict.fromkeys(words("훈련 학습 훈련용 학습용 훈련데이터 학습데이터"), "train"),
    **dict.fromkeys(words("검증 검증용 검증데이터"), "val"),
    **dict.fromkeys(
        words("시험 테스트 평가 시험용 평가용 테스트용 시험데이터 테스트데이터 평가데이터"), "test"
    ),
    **dict.fromkeys(words("训练 训练集 訓練 訓練集 学習 学習用"), "train"),
    **dict.fromkeys(words("验证 验证集 驗證 驗證集 検証 検証用"), "val"),
    **dict.fromkeys(words("测试 测试集 測試 測試集 テスト テスト用 評価 評価用"), "test"),
    **dict.fromkeys(
        words("entrenamiento treino treinamento apprentissage entrainement entraînement"), "train"
    ),
    **dict.fromkeys(words("validación validacion validação validacao validierung"), "val"),
    **dict.fromkeys(words("prueba pruebas teste testes"), "test"),
}
_BESIDE_SPLIT = frozenset(
    words(
        "set sets seg data dataset ds image images img imgs picture pictures photo photos split folder dir "
        "captions caption annotations labels metadata list file files new final the of jpg jpeg png"
    )
)
"""What may stand beside the name of a split in the name of a folder or a table."""

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


def shown_name(name: str) -> str:
    """Return the name of a file in NFC; bytes in it that are not UTF-8 are escaped with a backslash."""
    if name.isascii():
        return name
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", name)


def column_key(name: str) -> str:
    """Return a column name so that ``Image Name``, ``image-name`` and ``image_name`` are one."""
    return nfc(name.strip()).casefold().replace(" ", "_").replace("-", "_")


def is_header(cells: Iterable[str]) -> bool:
    """Tell the header of a table by usual names of an image and of words."""
    keys = set(map(column_key, cells))
    return not keys.isdisjoint(IMAGE_COLUMNS) and not keys.isdisjoint(KNOWN_COLUMNS - {*IMAGE_COLUMNS})


def begin_alike(names: Iterable[str]) -> list[str]:
    """Return the words with which the names of images begin before a number, where these may be classes."""
    counts = Counter(re.split(r"[\W_]*\d", name.rpartition("/")[2])[0] for name in names)
    often = sorted(word for word, count in counts.items() if word and count > 1)
    most = 2 * sum(counts[word] for word in often) >= counts.total()
    return often if 2 <= len(often) <= 1000 and most else []


def split_named(name: str) -> Split | None:
    """Return the split that a column value or a JSON field names, in any case; else None."""
    return _SPLIT_NAMES.get(name.strip().casefold())


def split_in_name(name: str) -> Split | None:
    """Return the split that a folder or a table is named after, such as ``seg_train`` or ``Training Set``.

    All other words of the name must be of the kind that stands beside a split, so that ``train station`` and
    ``test_tubes`` are none, and one split alone may be named.
    """
    return splits_in_names([name]).get(name)


def splits_in_names(names: Iterable[str]) -> dict[str, Split]:
    """Return the splits after which some folders or tables are named, by name: see `split_in_name`.

    Names that are alike but for the split may hold any other words: ``asl_train`` beside ``asl_test``.
    """
    read = {name: _split_and_others(name) for name in names}
    beside: defaultdict[tuple[str, ...], set[Split]] = defaultdict(set)
    for splits, others in read.values():
        beside[others] |= splits
    found = {
        name: split
        for name, (splits, others) in read.items()
        if _BESIDE_SPLIT.issuperset(others) or len(beside[others]) > 1
        for split in (splits if len(splits) == 1 else ())
    }
    evals = {name for name, split in found.items() if split == "val" and EVAL in _words_in(name)}
    if eval_is_test(split for name, split in found.items() if name not in evals):
        found |= dict.fromkeys(evals, "test")
    if "val" in found.values():  # beside which trainval is both once more
        found = {name: split for name, split in found.items() if "trainval" not in name.casefold()}
    return found


def split_off(name: str) -> tuple[str, Split] | None:
    """Return a name without the split at its beginning or end, and that: ``train_cat``, ``catTest``."""
    for pattern in (
        r"(?P<split>[^\W_]+)[\W_]+(?P<rest>.+)",
        r"(?P<rest>.+?)[\W_]+(?P<split>[^\W_]+)",
        r"(?P<split>[a-z]+)(?P<rest>[A-Z].*)",
        r"(?P<rest>.*[a-z])(?P<split>[A-Z][a-z]+)",
    ):
        found = re.fullmatch(pattern, name)
        if found and (split := split_named(found["split"])):
            return found["rest"], split
    return None


def splits_spoken_of(name: str) -> set[Split]:
    """Return the splits of which a name speaks, with any other words."""
    return _split_and_others(name)[0]


def eval_is_test(others: Iterable[Split | None]) -> bool:
    """Tell whether ``eval`` is test, by all other splits: beside another val, and without a test."""
    found = set(others)
    return "val" in found and "test" not in found


def _words_in(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()
    parts = [word for word in re.split(r"[^\w]|_|\d+", spaced) if word]
    return [word.removesuffix("set") if word.removesuffix("set") in _SPLIT_NAMES else word for word in parts]


def _split_and_others(name: str) -> tuple[set[Split], tuple[str, ...]]:
    parts = _words_in(name)
    splits = {_SPLIT_NAMES[word] for word in parts if word in _SPLIT_NAMES}
    return splits, tuple(word for word in parts if word not in _SPLIT_NAMES)


def is_image_name(name: str) -> bool:
    """Tell by its extension whether a file is meant to be an image; decoding has the last word."""
    return os.path.splitext(name)[1].lower() in PICTURE_EXTENSIONS  # noqa: PTH122 - asked for each file
