"""A real browser for the tests of pages: nothing is complained of, and nothing is asked of anybody else."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

sync_playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing").sync_playwright
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None
)
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser with a camera that films a pattern."""
    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        yield driver.chromium.launch(executable_path=BROWSER, args=flags)


class Visit:
    """Somebody who looks at a page; what the browser complains of and asks for is kept."""

    def __init__(self, browser: Any, address: str, before: str = "", **options: object) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(**({"locale": "en-US", "reduced_motion": "reduce"} | options))
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type == "error" else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        if before:
            self.page.add_init_script(before)
        self.page.goto(address)


@contextmanager
def visits(browser: Any, site: str, kind: type[Visit]) -> Iterator[Callable[..., Any]]:
    """Open visits; at the end no error was logged, and nothing was asked of anybody else."""
    opened: list[Visit] = []

    def open_one(address: str = site, **options: object) -> Visit:
        opened.append(kind(browser, address, **options))
        return opened[-1]

    yield open_one
    for each in opened:
        each.context.close()
        assert each.complaints == []
        others = [url for url in each.asked if urlsplit(url).scheme not in ("blob", "data")]
        assert {urlsplit(url).hostname for url in others} == {"127.0.0.1"}
