"""Format ``flickr8k``: ``Flickr8k.token.txt`` with its image lists (Hodosh et al. 2013)."""

from itertools import islice
from pathlib import Path

from showtell.data.readers.collect import CaptionCollector, Entry
from showtell.data.readers.columns import ColumnNames
from showtell.data.readers.encoding import read_lines
from showtell.data.readers.names import nfc
from showtell.data.readers.picture_folder import Match, choose_picture_folder
from showtell.data.records import SPLITS, Dataset, Split

_LIST_ENDINGS: dict[str, Split] = {
    "trainimages.txt": "train",
    "devimages.txt": "val",
    "valimages.txt": "val",
    "testimages.txt": "test",
}
_SAMPLE = 100


def read_flickr8k(source: Path, images: Path | None, names: ColumnNames) -> Dataset:
    """Read ``NAME#NUMBER<tab>CAPTION`` lines, with splits from the image lists beside the file.

    Args:
        source: The token file (Flickr30k's ``results_20130124.token`` has the same form).
        images: Picture folder; None to look beside the file.
        names: Not used: the form has no header.

    Returns:
        Pictures with captions. Where there are image lists, each picture has the split of its list
        (dev is val), and pictures in no list are left out and reported.

    Raises:
        DataError: The file is not UTF-8, or nothing in it is usable.
    """
    sample = [_picture_name(line) for line in islice(read_lines(source), _SAMPLE)]
    collector = CaptionCollector(source, choose_picture_folder(images, source.parent, sample))
    listed = _read_lists(collector, source.parent)
    seen: set[str] = set()
    for number, line in enumerate(read_lines(source), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        key, tab, caption = line.rstrip("\r\n").partition("\t")
        if not tab:
            collector.skip("wrong number of fields", where, f"no tab in {line.strip()[:80]!r}; left out")
            continue
        name = _picture_name(key)
        if not listed or name in listed:
            split = listed[name][0] if listed else None
            collector.add(Entry(where, name, caption, split, number=key))
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


def _picture_name(key: str) -> str:
    """Return the picture of ``NAME#NUMBER``, which may be followed by a tab and a caption."""
    name, mark, _ = key.partition("\t")[0].rpartition("#")
    return nfc((name if mark else key).strip())


def _read_lists(collector: CaptionCollector, folder: Path) -> dict[str, tuple[Split, str]]:
    """Return the split and the ``file:line`` of every listed picture."""
    listed: dict[str, tuple[Split, str]] = {}
    for path in sorted(folder.iterdir()):
        split = next((s for end, s in _LIST_ENDINGS.items() if path.name.lower().endswith(end)), None)
        if split is None or not path.is_file():
            continue
        for number, line in enumerate(read_lines(path), start=1):
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
