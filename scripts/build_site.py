"""Build the documentation site: stage docs/ with the generated reference, write build/site, check it.

Run: python scripts/build_site.py

The generator is Zensical, which reads mkdocs.yml (English) and mkdocs.ko.yml (Korean, below ko/). Any warning
ends it.
"""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from write_reference import write

ROOT = Path(__file__).parents[1]
STAGE, KOREAN, SITE = ROOT / "build" / "docs", ROOT / "build" / "docs.ko", ROOT / "build" / "site"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src"}
"""Tags that a browser loads by itself, and the attribute that says from where."""


def stage() -> None:
    """Gather what the generator reads: docs/, the changelog and the guide for contributors, the reference."""
    for folder in (STAGE, KOREAN, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE, ignore=shutil.ignore_patterns("ko"))
    for name in ("CHANGELOG", "CONTRIBUTING"):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        (STAGE / f"{name.lower()}.md").write_text(text.replace("](docs/", "]("), encoding="utf-8")
    write(STAGE / "reference")
    shutil.copytree(ROOT / "docs" / "ko", KOREAN)
    shutil.copytree(ROOT / "docs" / "pictures", KOREAN / "pictures")
    shutil.copy(ROOT / "docs" / "site.css", KOREAN)
    for page in KOREAN.glob("*.md"):
        text = page.read_text(encoding="utf-8").replace("](../pictures/", "](pictures/")
        # The English pages are another site to the generator: their addresses, in place of their files.
        text = re.sub(r"\]\(\.\./([\w/-]+?)(?:/index)?\.md(#[\w-]+)?\)", r"](../\1/\2)", text)
        page.write_text(text, encoding="utf-8")


class Page(HTMLParser):
    """The links, the anchors and whatever a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag names."""
        found = {name: value for name, value in attrs if value}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        loads = found.get(LOADED.get(tag, ""), "")
        if tag == "link" and found.get("rel") not in ("canonical", "alternate", "prev", "next"):
            loads = found.get("href", "")
        if loads and not loads.startswith("data:"):
            self.loads.append(loads)


def faults(site: Path) -> list[str]:
    """Return what is wrong with a built site: a page that asks another host, a link that leads nowhere."""
    pages = {}
    for file in site.rglob("*.html"):
        pages[file] = Page()
        pages[file].feed(file.read_text(encoding="utf-8"))
    found = []
    for file, page in pages.items():
        if file.name == "404.html":  # its addresses start at the root of the host
            continue
        found += [f"{file}: loads {one}" for one in page.loads if urlsplit(one).netloc]
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{file}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{file}: {link} names no place of its page")
    for style in site.rglob("*.css"):
        found += [
            f"{style}: loads {one}"
            for one in re.findall(r"url\(['\"]?((?:https?:)?//[^)]+)", style.read_text("utf-8"))
        ]
    return found


def build() -> list[str]:
    """Build both languages; return what is wrong with the pages."""
    stage()
    for config in ("mkdocs.yml", "mkdocs.ko.yml"):
        command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", config]
        subprocess.run(command, cwd=ROOT, check=True)
    return faults(SITE)


if __name__ == "__main__":
    wrong = build()
    print(*wrong, sep="\n")
    sys.exit(bool(wrong))
