"""Format ``flickr8k``: ``Flickr8k.token.txt`` with its image lists (Hodosh et al. 2013), in any language."""

import re
from itertools import islice
from pathlib import Path

from showtell.data.names import nfc
from showtell.data.readers.brought_splits import read_lists
from showtell.data.readers.collect import Collector, Entry
from showtell.data.readers.folders import choose_folder
from showtell.data.readers.picture_folder import Match
from showtell.data.readers.reading import Reading
from showtell.data.records import Dataset
from showtell.errors import DataError

_LINE = re.compile(r"(?P<key>(?P<name>[^#\t]+)#[\w#]+)[\t ,;]+(?P<caption>.*)")
_SAMPLE = 100


def is_token_file(path: Path, reading: Reading) -> bool:
    """Tell whether its first lines have the form ``NAME#NUMBER<tab>CAPTION``, or that of other languages."""
    if path.suffix.lower() not in (".txt", ".token", ""):
        return False
    try:
        lines = [line.strip() for line in islice(reading.trial().lines(path), 5)]
    except DataError:  # said where it is read as a table
        return False
    return any(lines) and all(_LINE.match(line) for line in lines if line)


def read_flickr8k(source: Path, reading: Reading) -> Dataset:
    """Read ``NAME#NUMBER<tab>CAPTION`` lines, with splits from the image lists beside the file.

    Where there are image lists, each picture has the split of its list (dev is val), and pictures in no list
    are left out and reported.
    Flickr30k's ``results_20130124.token`` has the same form. Raises DataError where the file cannot be
    decoded, or nothing in it is usable.
    """
    matches = (_LINE.match(line) for line in islice(reading.lines(source), _SAMPLE))
    sample = [match["name"].strip() for match in matches if match]
    collector = Collector(source, choose_folder(reading, source.parent, sample), reading)
    listed, doubled = read_lists(source.parent, reading)
    collector.problems += doubled
    seen: set[str] = set()
    for number, line in enumerate(reading.lines(source), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        match = _LINE.match(line.rstrip("\r\n"))
        if not match:
            detail = f"not NAME#NUMBER, a tab and a caption: {line.strip()[:80]!r}; left out"
            collector.skip("wrong number of fields", where, detail)
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
