"""Measure teaching in the browser: a script plays the person, and errs now and then.

    python bench/teach.py ../shared/data/knyang ../shared/weights/mobilenetv2_100_tf --seeds 3

Data are class folders below ``Train`` and ``Validation``. The images of Train are copied into one folder,
under names that say nothing. ``showtell teach`` serves it; in a headless Chromium the script presses a key
for each image that is shown: that of its class, or, in 3% of the answers, of another. What is fitted after
every ten answers is then held against the images of Validation, which are no part of the folder. The rest is
answered in the same way, and it is counted how many wrong answers are among the first that are doubted.

A click is timed twice, while the page learns: from the key to the next image on the screen, and until the
server says that the answer is on the disk.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

import showtell
from record import add_results, record
from showtell.teaching.learner import Learner, Lesson

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None
)
PRESS = """async (key) => {
  const photo = document.getElementById("photo"), before = photo.dataset.name, begun = performance.now();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  while (photo.dataset.name === before) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""
SENT = """() => performance.getEntriesByType("resource").filter((one) => one.name.includes("/v1/answers"))
  .map((one) => one.responseEnd - one.startTime)"""


def hide(data: Path, folder: Path, seed: int) -> dict[str, str]:
    """Copy the images of Train under names that say nothing; return the class of each.

    The random order of a folder follows from its names, so each seed has another one.
    """
    truth = {}
    folder.mkdir()
    for path in sorted((data / "Train").rglob("*.jpg")):
        name = f"{hashlib.sha256(bytes([seed]) + path.read_bytes()).hexdigest()[:12]}.jpg"
        shutil.copy(path, folder / name)
        truth[name] = path.parent.name
    return truth


@contextmanager
def serving(folder: Path, options: argparse.Namespace, order: str):
    """Serve the page; yield its address once all features are there."""
    settings = folder.with_suffix(".toml")
    settings.write_text(f'order = "{order}"\n', encoding="utf-8")
    command = [sys.executable, "-m", "showtell", "teach", str(folder), "--port", "0"]
    command += ["--weights", str(options.weights), "--store", str(options.store), "--config", str(settings)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        wait_until(lambda: known(address)["encoded"] == known(address)["images"], 300)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def known(address: str) -> dict[str, Any]:
    return httpx.get(f"{address}/v1/teaching?tab=bench", timeout=60).json()


def wait_until(true: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.1)


class Person:
    """Answers, and errs now and then.

    Args:
        truth: Class of each image.
        share: Of answers that are wrong.
        seed: Of the errors.
    """

    def __init__(self, truth: dict[str, str], share: float, seed: int) -> None:
        self.truth, self.share, self.random = truth, share, random.Random(seed)
        self.classes = sorted(set(truth.values()))
        self.wrong: set[str] = set()

    def say(self, image: str) -> str:
        """Return the class that is given to an image."""
        right = self.truth[image]
        if self.random.random() >= self.share:
            return right
        self.wrong.add(image)
        return self.random.choice([name for name in self.classes if name != right])


def teach(page: Page, address: str, person: Person, options: argparse.Namespace) -> dict[str, Any]:
    """Answer so many images on the page; return what was said, and what clicks took."""
    page.goto(address)
    page.wait_for_selector("#photo[data-name]")
    said: dict[str, str] = {}
    clicks = []
    while len(said) < options.answers:
        shown = page.get_attribute("#photo", "data-name")
        said[shown] = person.say(shown)
        names = page.locator(".give .text").all_text_contents()
        if said[shown] in names:
            clicks.append(page.evaluate(PRESS, "1234567890"[names.index(said[shown])]))
        else:
            page.fill("#name", said[shown])
            page.press("#name", "Enter")
            wait_until(lambda: page.get_attribute("#photo", "data-name") != shown, 30)  # noqa: B023
        page.wait_for_timeout(options.pause)
    return {"said": said, "clicks": clicks, "sent": page.evaluate(SENT)}


def validate(said: dict[str, str], folder: Path, options: argparse.Namespace) -> dict[int, float]:
    """Return the share of Validation that is told right by what the page fits after each ten answers."""
    network = {"weights": str(options.weights), "store": options.store}
    pool = showtell.features(folder, **network)
    others = showtell.features(options.data / "Validation", **network)
    right = np.array([name.partition("/")[0] for name in others.names])
    pooled, learner, found = torch.from_numpy(pool.pooled()).float(), Learner(), {}
    for number in range(10, len(said) + 1, 10):
        fitted = learner.fit(Lesson(pool.names, pooled, dict(list(said.items())[:number])))
        told = fitted.head(torch.from_numpy(others.pooled())).argmax(1).tolist()
        found[number] = float(np.mean(np.array(fitted.classes)[told] == right))
    return found


def find_errors(address: str, person: Person, said: dict[str, str]) -> dict[str, int]:
    """Answer all that is left, and count the wrong answers among the first 30 doubted."""
    early = doubted(address)
    found = {"planted at first": len(person.wrong), "found at first": len(person.wrong & early)}
    left = {name: person.say(name) for name in sorted(person.truth.keys() - said.keys())}
    httpx.post(f"{address}/v1/answers?tab=bench", json={"labels": left}, timeout=60).raise_for_status()
    wait_until(lambda: known(address)["curve"][-1][0] == len(person.truth), 60)
    return found | {"planted": len(person.wrong), "found": len(person.wrong & doubted(address))}


def doubted(address: str) -> set[str]:
    return {one["image"] for one in httpx.get(f"{address}/v1/doubted?count=30", timeout=60).json()}


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Draw accuracy on Validation by answers, in both orders: the mean and the range over seeds."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for order, colour in (("uncertain", "#c2540a"), ("random", "#8a8479")):
        curves = [run["accuracy"] for run in runs if run["order"] == order]
        answers = sorted(curves[0])
        values = [[curve[number] for curve in curves] for number in answers]
        axes.plot(answers, [statistics.mean(each) for each in values], color=colour, label=order)
        axes.fill_between(
            answers, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15
        )
    axes.axhline(0.94, color="#bbb4a8", linewidth=0.8, linestyle="--")
    axes.set(xlabel="answers, 3% of them wrong", ylabel="accuracy on Validation", ylim=(0.4, 1))
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends, too
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--errors", type=float, default=0.03, help="share of answers that are wrong")
    parser.add_argument("--pause", type=int, default=250, help="milliseconds between two answers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--orders", nargs="+", default=["uncertain", "random"])
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "showtell-bench-teach")
    parser.add_argument("--draw", type=Path, help="draw the curve into this file")
    add_results(parser)
    options = parser.parse_args()
    runs = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for order in options.orders:
                with tempfile.TemporaryDirectory() as place:
                    truth = hide(options.data, Path(place) / "photos", seed)
                    person = Person(truth, options.errors, seed)
                    with serving(Path(place) / "photos", options, order) as address:
                        page = browser.new_page(locale="en-US")
                        run = {"order": order, "seed": seed} | teach(page, address, person, options)
                        page.close()
                        said = run.pop("said")
                        run["accuracy"] = validate(said, Path(place) / "photos", options)
                        run |= find_errors(address, person, said) if order == "uncertain" else {}
                runs.append(run)
                times = {name: round(statistics.median(run.pop(name)), 1) for name in ("clicks", "sent")}
                run |= {"click_ms": times["clicks"], "kept_ms": times["sent"]}
                print(json.dumps(run), flush=True)
    if options.draw:
        draw(runs, options.draw)
    record("teach", runs, options)


if __name__ == "__main__":
    main()
