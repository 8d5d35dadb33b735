"""Format ``flickr8k``: ``Flickr8k.token.txt`` with its image lists (Hodosh et al. 2013), in any language."""

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from showtell.data.names import nfc
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.folders import choose_folder
from showtell.data.readers.picture_folder import Match
from showtell.data.readers.reading import Reading
from showtell.data.records import SPLITS, Dataset, Split

_LINE = re.compile(r"(?P<key>(?P<name>[^#\t]+)#[\w#]+)[\t ,;]+(?P<caption>.*)")
_LIST_ENDINGS: dict[str, Split] = {
    "trainimages.txt": "train",
    "devimages.txt": "val",
    "valimages.txt": "val",
    "testimages.txt": "test",
}
_SAMPLE = 100


def is_token_file(lines: Sequence[str]) -> bool:
    """Tell whether lines have the form ``NAME#NUMBER<tab>CAPTION``, or as other languages have it."""
    return bool(lines) and all(_LINE.match(line.strip()) for line in lines)


def read_flickr8k(source: Path, reading: Reading) -> Dataset:
    """Read ``NAME#NUMBER<tab>CAPTION`` lines, with splits from the image lists beside the file.

    Args:
        source: The token file (Flickr30k's ``results_20130124.token`` has the same form).
        reading: Holds the picture folder, where the user named it.

    Returns:
        Pictures with captions. Where there are image lists, each picture has the split of its list
        (dev is val), and pictures in no list are left out and reported.

    Raises:
        DataError: The file cannot be decoded, or nothing in it is usable.
    """
    matches = (_LINE.match(line) for line in islice(reading.lines(source), _SAMPLE))
    sample = [match["name"].strip() for match in matches if match]
    collector = Collector(source, choose_folder(reading, source.parent, sample), reading)
    listed = _read_lists(collector, source.parent, reading)
    seen: set[str] = set()
    for number, line in enumerate(reading.lines(source), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        match = _LINE.match(line.rstrip("\r\n"))
        if not match:
            collector.skip(
                "wrong number of fields",
                where,
                f"not NAME#NUMBER, a tab and a caption: {line.strip()[:80]!r}; left out",
            )
            continue
        name, caption = nfc(match["name"].strip()), nfc(match["caption"].strip())
        if not listed or name in listed:
            split = listed[name][0] if listed else None
            collector.add(Entry(where, name, (caption,), split=split, number=match["key"]))
        elif name not in seen:
            collector.skip("picture in no list", where, f"{name!r}; left out with its captions")
        seen.add(name)
    for name, (_, where) in listed.items():
        if name not in seen:
            found = isinstance(collector.folder.find(name), Match)
            kind = "picture without captions" if found else "missing picture"
            collector.problem(kind, where, f"{name!r} has no caption in {source}; left out")
    # With lists, the pictures that are not used have been reported with their line already.
    return collector.finish("flickr8k", report_unused=not listed)


def _read_lists(collector: Collector, folder: Path, reading: Reading) -> dict[str, tuple[Split, str]]:
    """Return the split and the ``file:line`` of every listed picture."""
    listed: dict[str, tuple[Split, str]] = {}
    for path in sorted(folder.iterdir()):
        split = next((s for end, s in _LIST_ENDINGS.items() if path.name.lower().endswith(end)), None)
        if split is None or not path.is_file():
            continue
        for number, line in enumerate(reading.lines(path), start=1):
            name = nfc(line.strip())
            if not name:
                continue
            earlier, _ = listed.setdefault(name, (split, f"{path}:{number}"))
            if earlier != split:
                kept = min(earlier, split, key=SPLITS.index)
                listed[name] = (kept, f"{path}:{number}")
                detail = f"{name!r} is listed in {earlier} and in {split}; kept in {kept}"
                collector.problem("two splits", f"{path}:{number}", detail)
    return listed
