"""The documentation site: commands and examples hold, it builds without a warning, it asks no other host."""

import functools
import http.server
import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import showtell
from showtell.commands import COMMANDS
from showtell.errors import ShowtellError
from showtell.flags import parse
from test_readme import READMES, commands, environment, lay_desk

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import build_site  # noqa: E402
import write_reference  # noqa: E402

LOGS = {"log.md", "log-classifier.md", "benchmarks.md", "glossary.md"}
"""What tells how it was also names what is gone."""
PAGES = sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name not in LOGS)
NAMES = [str(page.relative_to(ROOT / "docs")) for page in PAGES]


def typed(page: Path) -> list[str]:
    """Return the commands of a page: in its blocks, and in its text where they have arguments."""
    text = page.read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"^(?:\w+=\S+ |\w+=\$\([^)]*\) )?(showtell .*)$", blocks, re.MULTILINE)
    if page.parent.name == "docs":  # older pages also name a command by its beginning
        return lines
    inline = re.findall(r"(?<!`)`(showtell [^`]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [*lines, *(one for one in inline if " " in one.removeprefix("showtell "))]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_are_read_by_the_parser(page):
    parse_all(typed(page))


def test_examples_of_the_help_are_read_by_the_parser(tmp_path):
    write_reference.write(tmp_path / "docs")
    examples = typed(tmp_path / "docs" / "commands.md")
    assert len(examples) >= 2 * len(COMMANDS)
    parse_all(examples)


def test_the_reference_names_everything_in_plain_types(tmp_path):
    write_reference.write(tmp_path)
    python = (tmp_path / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### .* \{ #(\w+) \}$", python, re.MULTILINE)) == set(showtell.__all__) - {
        "__version__"
    }
    for page in ("python", "run-folder"):
        text = (tmp_path / f"{page}.md").read_text(encoding="utf-8")
        assert not re.findall(
            r"_ArgConfig|Annotated\[|typing\.|showtell\.[a-z]+\.|<class|ForwardRef|~[A-Z]", text
        )
    records = (tmp_path / "run-folder.md").read_text(encoding="utf-8")
    assert "| `sha256` | `str` | Of its content. |" in records and "## `BackboneDescription`" in records


def parse_all(lines: list[str]) -> None:
    for command in lines:
        arguments = shlex.split(command, comments=True)[1:]
        if arguments[-1] == "--help" or "..." in arguments:
            continue
        assert arguments[0] in COMMANDS, command
        try:
            parse(arguments)
        except ShowtellError as error:  # a file of settings, or a run, that only the reader has
            assert re.search("cannot be read|There is no run at", str(error)), f"{command}: {error}"
        except SystemExit:
            pytest.fail(command)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_are_python(page):
    for example in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        compile(example, str(page), "exec")


def test_every_page_is_in_the_navigation_once():
    for config, folder in (("mkdocs.yml", ROOT / "docs"), ("mkdocs.ko.yml", ROOT / "docs" / "ko")):
        named = re.findall(r"([\w/-]+\.md)$", (ROOT / config).read_text(encoding="utf-8"), re.MULTILINE)
        written = {str(page.relative_to(folder)) for page in folder.rglob("*.md")}
        written = {page for page in written if not page.startswith("ko/")}
        staged = {"changelog.md", "contributing.md"}
        staged |= {f"reference/{page}.md" for page in write_reference.PAGES}
        assert sorted(named) == sorted(written | (staged if folder.name == "docs" else set()))


@pytest.mark.timeout(240)
def test_the_first_page_works_as_it_stands(tmp_path):
    """A reader's first data set, by the words of `docs/start/first.md`; the quickstart has its own test."""
    page = ROOT / "docs" / "start" / "first.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    desk = lay_desk(tmp_path)
    run = functools.partial(
        subprocess.run,
        cwd=desk,
        env=environment(desk) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert run([sys.executable, "-c", example]).returncode == 0
    lines = [command for command in typed(page) if "quickstart" not in command]
    assert len(lines) == 4
    for command in lines:
        done = run([sys.executable, "-m", "showtell", *shlex.split(command, comments=True)[1:]])
        # Random weights teach nothing, and that is said.
        assert done.returncode in ((0, 3) if "train-" in command else (0,)), f"{command}\n{done.stderr}"


def test_own_photos_are_treated_as_in_the_readme():
    """Its commands are the README's, which are run; the last ones serve, and compare with a second run."""
    page = typed(ROOT / "docs" / "start" / "own-photos.md")
    assert page[:-2] == [
        line for line in commands(READMES[0]) if line.startswith("showtell ") and line in page
    ]


@pytest.fixture(scope="module")
def site():
    assert build_site.build() == []
    return build_site.SITE


def test_the_site_is_whole(site):
    for page in ("index.html", "reference/python/index.html", "reference/http/index.html", "ko/index.html"):
        assert (site / page).is_file()
    python = (site / "reference/python/index.html").read_text(encoding="utf-8")
    assert 'id="Features.grid"' in python and "(N, L, D)" in python
    assert 'lang="ko"' in (site / "ko" / "index.html").read_text(encoding="utf-8")


def test_faults_are_found(tmp_path):
    (tmp_path / "style.css").write_text("@import url(https://fonts.example.org/a.css);")
    (tmp_path / "index.html").write_text(
        '<a href="gone/">x</a><a href="#nowhere">x</a><a href="#here" id="here">x</a>'
        '<script src="//cdn.example.org/x.js"></script><a href="https://example.org/">may be linked</a>'
    )
    found = "\n".join(build_site.faults(tmp_path))
    assert found.count("\n") == 3
    for one in ("gone/ leads nowhere", "#nowhere names no place", "loads //cdn", "loads https://fonts"):
        assert one in found


def test_a_browser_asks_no_other_host(site, browser):
    """Also when its search is used, which is what a script of the page does."""
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    asked, errors = [], []
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in ("/", "/reference/commands/", "/peers/", "/ko/"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
            f"{path} is wider than a phone"
        )
    page.keyboard.press("Control+k")
    page.keyboard.type("분류기")
    page.wait_for_timeout(300)
    server.shutdown()
    assert len(asked) > 10 and not errors
    assert not [one for one in asked if not one.startswith((address, "data:", "blob:"))]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that does not write to the test's output."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""
