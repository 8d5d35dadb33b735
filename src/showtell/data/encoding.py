"""Text from files: UTF-8, UTF-16, or what the text itself proves; else candidates are shown, decoded."""

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from unicodedata import category

from showtell.data.names import words
from showtell.errors import ConfigError, DataError

_SAMPLE = 1_000_000
"""Bytes of a file's lines beyond ASCII from which its encoding is told."""
_RUN = 1000
"""ASCII signs of a run that are kept of a long line."""
_LONG_ASCII = re.compile(rb"[\x00-\x7f]{%d,}" % _RUN)
_PROOF = 5
"""Different characters beyond ASCII that make a proof."""
_SIGNS = frozenset("‘’“”„–—…«»°·€£©®½\xa0")
_SAME_IN_ALL = frozenset("éáíóúçöüäßÖÜÄÉÁÍÓÚÇ") | _SIGNS
"""What stands for the same in the encodings of central Europe and Turkey."""
_WESTERN = [
    _SIGNS | set(letters + letters.upper())
    for letters in words(
        "àâæçéèêëîïôœùûüÿ äöüß áéíñóúü¿¡ áâãàçéêíóôõúü åäöæøéü àèéìíîòóùú éëïóöüáè áéíóúýðþæö"
    )
]
"""Letters of French, German, Spanish, Portuguese, the North, Italian, Dutch, Icelandic: a text is of one."""
_SHOWN = 8
_MIXED = re.compile(r"[a-z](?=[^\W\d_])[^a-z\u00c0-\u024f]", re.IGNORECASE)
_RARER = ("cp1250", "cp1254", "cp1253", "cp1255", "cp874", "cp1257", "mac_roman", "cp850", "cp866")
"""Shown where nothing proves another: central European, Turkish, Greek, Hebrew, Thai, Baltic; of DOS, western
and Cyrillic."""
_IN_A_WORD = re.compile(r"[^\W\d_][„“”][^\W\d_]")
"""Quotes between letters: read in a wrong encoding, letters of DOS and of central Europe become these."""
_FEW = 12
"""Different signs of Korean or Chinese below which chance may have made them of one another."""
_EVERYDAY = frozenset(
    "가각간감갑강개거건것게격견결경계고공과관광교구국군권귀규그극근글금급기길김까꽃끝나남내너네노녹논농누눈는능니"
    "님다단달담답당대더덕데도독돈동되된두뒤드든들등디따땅때또라락란람랑래량러럼레려력련로록론료루류률르른를름리린림"
    "립마막만말맛망매머먹면명모목몸무문물미민바박반발밤방배백버번벌법벽변별병보복본봄봉부북분불비빛빨사산살삼상새색생"
    "서석선설성세소속손송수순술스슬승시식신실심싸쓰씨아악안암앞야약양어언얼업없에여역연열영예오온옥왕외요용우운울원월"
    "위유육으은을음의이인일임입있자작잔장재저적전절점정제조족종좋주준중증지직진질집차착참창책처천철청체초총최추축출충"
    "치친칠카크키타탁터토통투트특파판팔평포표품풀프피필하학한할함합항해행향허험현형호혹홍화환활황회효후흑흰히"
)
"""Syllables of which most of any Korean text is made."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """An encoding, and what in its text proves it."""

    name: str  # as Python calls it
    what: str  # for people
    # tells of the decoded characters beyond ASCII, in order, whether they make sense
    plausible: Callable[[str], bool]


def _share(text: str, ranges: str) -> float:
    return len(re.findall(f"[{ranges}]", text)) / max(1, len(text))


def _is_korean(text: str) -> bool:
    # In CP949 all but 2,350 syllables are hardly ever written; KS X 1001 holds those.
    try:
        everyday = sum(1 for sign in text if "가" <= sign <= "힣" and len(sign.encode("euc_kr")) == 2)
    except UnicodeEncodeError:
        return False
    different = set(text)
    known = len(different) >= _FEW or 2 * len(different & _EVERYDAY) >= len(different)
    return everyday >= 0.9 * len(text) and known


def _is_japanese(text: str) -> bool:
    return _share(text, "ぁ-んァ-ヶー") >= 0.25 and _share(text, "ぁ-んァ-ヶー一-鿿、。々「」・！？") >= 0.95


def _is_chinese(encoding: str, everyday: tuple[int, int], beyond: int) -> Callable[[str], bool]:
    """Judge by the lead bytes: the first plane of GB2312 and of Big5 holds what is written every day."""

    def judge(text: str) -> bool:
        signs = re.sub("[、。，！？：；「」《》（）“”…·]", "", text)
        leads = [encoded[0] for encoded in (sign.encode(encoding, "replace") for sign in signs)]
        common = sum(everyday[0] <= lead <= everyday[1] for lead in leads)
        # Korean text read as GB2312 never leaves the leads up to 0xC8; of Chinese text a third does.
        return common >= 0.9 * len(leads) > 0 and sum(lead >= beyond for lead in leads) >= 0.1 * len(leads)

    return judge


def _is_western(text: str) -> bool:
    """Tell the letters of one language, where they are not few that mean others in Polish or Turkish."""
    if not any(letters.issuperset(text) for letters in _WESTERN):
        return False
    doubtful = [sign for sign in text if sign not in _SAME_IN_ALL]
    nordic = {sign.lower() for sign in doubtful} & set("ýþð") and not set("áéíæ") & set(text.lower())
    return not nordic and (len(set(text) - _SIGNS) > 2 or 3 * len(doubtful) <= len(text))


def _is_arabic(text: str) -> bool:
    return _share(text, "\u0600-\u06ff") >= 0.95


def _is_cyrillic(text: str) -> bool:
    # Six letters make two fifths of any text; read in a wrong encoding, others stand in their place.
    return _share(text, "А-Яа-яЁё№«»–—") >= 0.95 and _share(text, "оеаинт") >= 0.33


_ASIAN = (
    _Kind("cp949", "Korean (CP949)", _is_korean),
    _Kind("cp932", "Japanese (Shift JIS)", _is_japanese),
    _Kind("euc_jp", "Japanese (EUC-JP)", _is_japanese),
    # What follows is asked only where the text is neither Korean nor Japanese, which prove themselves.
    _Kind("gb18030", "Chinese (GBK)", _is_chinese("gb18030", (0xB0, 0xD7), 0xC9)),
    _Kind("big5", "Chinese (Big5)", _is_chinese("big5", (0xA4, 0xC6), 0xA4)),
)
_EIGHT_BITS = (
    _Kind("cp1252", "Western European (Windows-1252)", _is_western),
    _Kind("cp1251", "Cyrillic (Windows-1251)", _is_cyrillic),
    _Kind("cp1256", "Arabic (Windows-1256)", _is_arabic),
    _Kind("koi8_r", "Cyrillic (KOI8-R)", _is_cyrillic),
)


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file, line ends (LF, CRLF or CR) kept, so that csv can keep those inside quotes.

    Args:
        path: The file; it is streamed, never held whole.
        encoding: As `encoding_of` returns it.

    Raises:
        DataError: A line cannot be decoded.
    """
    try:
        with path.open(encoding=encoding, newline="") as handle:
            yield from handle
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not {encoding}: {error.reason}.", hint="Try another --encoding."
        ) from error


def encoding_of(path: Path, given: str | None = None) -> tuple[str, str]:
    """Tell in which encoding a text file is written.

    UTF-8 and UTF-16 tell themselves. Another encoding is taken only where just one makes sense of the text:
    everyday Hangul, kana, everyday Chinese characters, Cyrillic, or Western letters among ASCII ones.

    Args:
        path: The file.
        given: ``--encoding``.

    Returns:
        The encoding as Python calls it, and a sentence for people where it was guessed, else nothing.

    Raises:
        ConfigError: ``given`` is not known.
        DataError: It is not text, or its encoding cannot be told; candidates are shown decoded.
    """
    if given is not None:
        try:
            return codecs.lookup(given).name, ""
        except LookupError:
            raise ConfigError(
                f"--encoding {given} is not known.",
                hint="Expected a name such as utf-8, cp949, gbk or cp1252.",
            ) from None
    state = path.stat()
    return _told(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _told(path: Path, modified: int, size: int) -> tuple[str, str]:
    with path.open("rb") as handle:
        return told_of(path, handle)


def told_of(path: Path, handle: BinaryIO) -> tuple[str, str]:
    """Tell the encoding of an open text as `encoding_of` does; the path is the one that is named."""
    head = handle.read(4096)
    wide = _wide(head)
    if wide:
        return wide, f"{path.name} is {wide[:6].upper()} and is read as such"
    if b"\0" in head:
        raise DataError(
            f"{path} holds NUL bytes: it is not a text file.",
            hint="Expected a table or JSON in text; for images alone, name their folder.",
        )
    handle.seek(0)
    strange, bad, proper, first = _beyond_ascii(handle)
    if bad < 0:
        return "iso2022_jp", f"{path.name} is Japanese (ISO-2022-JP) and is read as such"
    if not bad:
        return "utf-8-sig", ""
    if 10 * proper >= bad:  # text in another encoding is hardly ever UTF-8 by chance
        raise DataError(
            f"{path} mixes encodings: beyond ASCII, {proper:,} lines are UTF-8 and {bad:,} are not.",
            hint="The file was put together from several; expected one encoding.",
        )
    return _proven(path, strange, first)


def _beyond_ascii(lines: Iterable[bytes]) -> tuple[bytes, int, int, int]:
    """Return lines beyond ASCII; how many are not UTF-8 (-1: ISO-2022), or are; the first that is not."""
    found, length, bad, proper, first = [], 0, 0, 0, 0
    for number, line in enumerate(lines, start=1):
        if line.isascii():
            if b"\x1b$" in line:
                return b"", -1, 0, number
            continue
        try:
            # Two bytes of an Asian encoding may pass for one of the first 256 signs, but hardly for two.
            signs = {sign for sign in line.decode() if not sign.isascii()}
            proper += len(signs) > 1 or max(signs) > "\xff"
        except UnicodeDecodeError:
            bad, first = bad + 1, first or number
        if length < _SAMPLE:
            found.append(_shortened(line))
            length += len(found[-1])
    return b"".join(found), bad, proper, first


def _shortened(line: bytes) -> bytes:
    """Return what tells of a line's encoding: without long runs of ASCII, and cut at a blank."""
    if len(line) <= _SAMPLE:
        return line
    telling = _LONG_ASCII.sub(lambda run: run[0][:_RUN], line)  # a run may begin within a sign of two bytes
    blank = telling.rfind(b" ", 0, _SAMPLE)  # no byte of a longer sign is one
    return telling if len(telling) <= _SAMPLE or blank < 0 else telling[:blank]


def _proven(path: Path, strange: bytes, first: int) -> tuple[str, str]:
    decoded = {
        kind: text for kind in (*_ASIAN, *_EIGHT_BITS) if (text := _decode(strange, kind.name)) is not None
    }
    fitting = [kind for kind in decoded if _makes_sense(kind, decoded[kind])]
    fitting = [kind for kind in fitting if kind in _ASIAN[:3]] or fitting
    signs = {sign for kind in fitting for sign in decoded[kind] if not sign.isascii()}
    proof = _FEW if fitting and fitting[0] in _ASIAN[3:] else _PROOF
    enough = fitting == [_EIGHT_BITS[0]] or len(signs) >= proof
    if len(fitting) == 1 and enough:
        kind = fitting[0]
        return kind.name, f"{path.name} is {kind.what}, as its text shows (--encoding says otherwise)"
    texts = {kind.name: text for kind, text in decoded.items()}
    texts |= {name: text for name in _RARER if (text := _decode(strange, name)) is not None}
    likely = [*(kind.name for kind in fitting), *_candidates(strange), *texts]
    worded = [name for name in dict.fromkeys(likely) if name in texts and _is_worded(texts[name])]
    # Within a word, letters of another alphabet and quotes are a sign of a wrong encoding.
    shown = sorted(worded, key=lambda name: _has_strange_words(texts[name])) or list(texts)
    examples = "\n".join(f"  --encoding {name}: {_example(texts[name])}" for name in shown[:_SHOWN])
    raise DataError(
        f"{path} is not UTF-8 (line {first} is the first that is not), and its encoding cannot be told for "
        f"certain. It may be:\n{examples}",
        hint="Expected UTF-8 (in Excel 'CSV UTF-8'), or by --encoding the one that reads right.",
    )


def _decode(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _makes_sense(kind: _Kind, text: str) -> bool:
    strange = "".join(sign for sign in text if not sign.isascii())
    if kind in _EIGHT_BITS:
        letters = sum(sign.isalpha() for sign in text)
        accented = sum(sign.isalpha() for sign in strange)
        # Western words are mostly plain letters; others are wholly beyond ASCII.
        if (accented > 0.4 * letters) == (kind.name == "cp1252") or _IN_A_WORD.search(text):
            return False
    return bool(strange) and kind.plausible(strange)


def _is_worded(text: str) -> bool:
    """Tell whether letters and everyday signs are beyond ASCII: in a wrong encoding others stand there."""
    strange = re.sub("[\\x00-\\x7f\u3000-\u303f\uff00-\uffef]", "", text)
    return all(category(sign)[0] in "LM" or sign in _SIGNS for sign in strange)


def _has_strange_words(text: str) -> bool:
    return bool(_MIXED.search(text) or _IN_A_WORD.search(text))


def _candidates(content: bytes) -> list[str]:
    from charset_normalizer import from_bytes

    return [codecs.lookup(match.encoding).name for match in islice(from_bytes(content), _SHOWN)]


def _example(text: str) -> str:
    line = next((line for line in text.splitlines() if not line.isascii()), "")
    return line.strip()[:60]


def _wide(head: bytes) -> str:
    """Return the form of UTF-16 or UTF-32, or nothing; without a byte-order mark, ASCII's zero bytes tell."""
    if head[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    zeros = (head[::2].count(0), head[1::2].count(0))
    if not any(zeros) or max(zeros) * 8 < len(head) or min(zeros) * 4 > max(zeros):
        return ""
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
