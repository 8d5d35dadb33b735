"""Shared ground: drawn images, a store in a folder of its own, one thread, a browser."""

import hashlib
import io
import json
import multiprocessing
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

# Before torch is imported, and for the subprocesses that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from PIL import Image

from showtell.data.records import AnnotatedImage
from showtell.process import tune_process
from showtell.samples import draw_scene, make_scenes
from showtell.store.store import FeatureStore

tune_process()  # as the command line does; the library leaves its process alone
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared"
ENDED = (0, 3)
"""Exit statuses of a training that came to its end, whether or not an epoch or two taught it anything."""


_SETTINGS = tempfile.TemporaryDirectory(prefix="settings")


def settings_file(**settings: object) -> list[str]:
    """Write settings that have no flag into a file; return the flag that names it."""
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    path = Path(_SETTINGS.name) / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.toml"
    path.write_text(text, encoding="utf-8")
    return ["--config", str(path)]


def draw(number: int, size: int = 96) -> Image.Image:
    """Draw the image of a number."""
    return draw_scene(make_scenes(number, 1, "train")[0], size)


def old_images(folder: Path, count: int) -> list[AnnotatedImage]:
    """Draw images that are an hour old: fresher ones are read again, since a write could go unseen."""
    found = []
    for number in range(count):
        path = folder / f"{number:02d}.png"
        draw(number, 48).save(path)
        os.utime(path, (time.time() - 3600,) * 2)
        found.append(AnnotatedImage(path.name, path))
    return found


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    """Return an image as the content of a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def own_ground(tmp_path_factory, monkeypatch):
    """Keep tests away from this machine's feature store and hub cache."""
    monkeypatch.setenv("SHOWTELL_STORE", str(tmp_path_factory.getbasetemp() / "features"))


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path / "저장소")


@pytest.fixture(scope="session")
def images_folder(tmp_path_factory) -> Path:
    """Ten drawn images, one with a Hangul name."""
    folder = tmp_path_factory.mktemp("사진들")
    for number in range(9):
        draw(number).save(folder / f"{number:02d}.png")
    draw(9).save(folder / "고양이.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def context() -> Iterator[Any]:
    """Processes that start with the libraries loaded, which takes most of the time of such a command."""
    context = multiprocessing.get_context("forkserver")
    tasks = ["showtell.kinds.captioner.train", "showtell.kinds.classifier.train"]
    context.set_forkserver_preload(["pytest", "showtell.cli", *tasks])  # there is one server for all modules
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield context


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a headless browser; skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(
        filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None
    )
    if chromium is None:
        pytest.skip("no chromium is on PATH")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, file: Path, *, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """Open a page; at the end it has logged nothing, asked nobody for anything, and nothing is cut off."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    yield page
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is cut off"
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    context.close()


def shared(*parts: str) -> Path:
    """Return a path in the shared data; skip the test where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path.name} is not at hand")
    return path


_unforeseen: list[str] = []


def pytest_runtest_logreport(report: Any) -> None:
    """Note a test that is skipped for a reason that `allowed_skips.txt` does not hold."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _note_skip(report)


def pytest_collectreport(report: Any) -> None:
    """The same for a whole file."""
    if report.skipped:
        _note_skip(report)


def _note_skip(report: Any) -> None:
    reason = str(report.longrepr[-1]).removeprefix("Skipped: ")
    file = report.nodeid.partition("::")[0].rpartition("/")[2]
    for line in Path(__file__).with_name("allowed_skips.txt").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(" | ")
        if (
            not line.startswith("#")
            and fnmatch(file, name)
            and re.fullmatch(rest.partition(" | ")[0], reason)
        ):
            return
    _unforeseen.append(f"{report.nodeid}: {reason}")


def pytest_sessionfinish(session: Any) -> None:
    """Fail a run of CI in which a test was skipped that should run there."""
    if _unforeseen and os.environ.get("CI") and not hasattr(session.config, "workerinput"):
        print("\nSkipped, and not in tests/allowed_skips.txt:", *_unforeseen, sep="\n  ")
        session.exitstatus = 1
