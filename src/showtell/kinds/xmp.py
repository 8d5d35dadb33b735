"""XMP sidecars, as photo managers read them: ``photo.jpg.xmp`` with ``dc:description`` and ``dc:subject``.

What somebody else has written into a sidecar, such as a rating, stays in it.

Source: ISO 16684-1:2019 (XMP), sections 7.5 (language alternatives) and 8.3 (Dublin Core).
"""

import io
import xml.etree.ElementTree as ET
from pathlib import Path

from showtell.errors import DataError
from showtell.files import write_atomic

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC = "http://purl.org/dc/elements/1.1/"
_META = "adobe:ns:meta/"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_MAX_BYTES = 10_000_000
_EMPTY = f'<x:xmpmeta xmlns:x="{_META}" xmlns:rdf="{_RDF}"><rdf:RDF/></x:xmpmeta>'
_PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{}\n<?xpacket end="w"?>\n'
"""The marks by which programs find XMP in a file, and the id that all of them share."""


def xmp_beside(image: Path) -> Path:
    """Return the sidecar of an image, by its whole name: two formats of a photo share none."""
    return image.with_name(f"{image.name}.xmp")


def read_description(path: Path) -> str | None:
    """Return what a sidecar says an image shows, in the default language; None where it says nothing.

    Raises:
        DataError: It is not XMP.
    """
    found = _root(path).find(f".//{{{_DC}}}description/{{{_RDF}}}Alt")
    lines = [] if found is None else found.findall(f"{{{_RDF}}}li")
    default = next((line for line in lines if line.get(_LANG) == "x-default"), lines[0] if lines else None)
    return default.text or None if default is not None else None


def write_description(path: Path, text: str, subjects: tuple[str, ...] = ()) -> None:
    """Say in a sidecar what an image shows; all else that is in it stays.

    Args:
        path: The sidecar; a missing one is made.
        text: Becomes the description in the default language.
        subjects: Keywords that are added to those it has.

    Raises:
        DataError: What is there is not XMP.
    """
    root = _root(path) if path.exists() else ET.fromstring(_EMPTY)
    rdf = root if root.tag == f"{{{_RDF}}}RDF" else _child(root, _RDF, "RDF")
    about = _child(rdf, _RDF, "Description")
    about.set(f"{{{_RDF}}}about", about.get(f"{{{_RDF}}}about", ""))
    holders = rdf.findall(f"{{{_RDF}}}Description")
    described = _items(holders, about, "description", "Alt")
    default = next((line for line in described if line.get(_LANG) == "x-default"), None)
    if default is None:
        default = ET.Element(f"{{{_RDF}}}li", {_LANG: "x-default"})
        described.insert(0, default)  # the default comes first
    default.text = text
    if subjects:
        bag = _items(holders, about, "subject", "Bag")
        known = {line.text for line in bag}
        for subject in subjects:
            if subject not in known:
                ET.SubElement(bag, f"{{{_RDF}}}li").text = subject
    write_atomic(path, _PACKET.format(ET.tostring(root, encoding="unicode")))


def _root(path: Path) -> ET.Element:
    """Parse a sidecar, and keep the prefixes that its writer chose."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"{path} is larger than {_MAX_BYTES // 10**6} MB, and so no XMP sidecar.")
    try:
        for _, (prefix, address) in ET.iterparse(io.BytesIO(content), events=["start-ns"]):
            if prefix and not prefix.startswith("ns"):
                ET.register_namespace(prefix, address)
        root = ET.fromstring(content)
    except (ET.ParseError, ValueError) as error:
        raise DataError(f"{path} is not XMP: {error}.", hint="Mend it, or move it away.") from error
    if root.tag not in (f"{{{_META}}}xmpmeta", f"{{{_RDF}}}RDF"):
        raise DataError(f"{path} is not XMP: it begins with {root.tag}.", hint="Mend it, or move it away.")
    return root


def _child(parent: ET.Element, space: str, name: str) -> ET.Element:
    """Return an element's child of a name, made where it is missing."""
    found = parent.find(f"{{{space}}}{name}")
    return ET.SubElement(parent, f"{{{space}}}{name}") if found is None else found


def _items(holders: list[ET.Element], about: ET.Element, name: str, kind: str) -> ET.Element:
    """Return the list that a property holds, whichever description has it."""
    holder = next((one for one in holders if one.find(f"{{{_DC}}}{name}") is not None), about)
    return _child(_child(holder, _DC, name), _RDF, kind)


for _prefix, _address in (("x", _META), ("rdf", _RDF), ("dc", _DC)):
    ET.register_namespace(_prefix, _address)
