"""What objects show of themselves in a notebook: complete, escaped, and without a request to anybody."""

import json
import re
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from jupyter_client.manager import start_new_kernel
from PIL import Image

import showtell
from conftest import draw, opened
from showtell.console import Console
from showtell.data.images import Preprocessing
from showtell.data.readers import read_images
from showtell.data.records import AnnotatedImage, Dataset, Problem
from showtell.data.source import DataSource
from showtell.evaluation.caption_scores import caption_scores
from showtell.kinds.captioner.evaluation import CaptionEvaluation
from showtell.kinds.captioner.model import CaptionResult
from showtell.kinds.classifier.model import ClassResult
from showtell.kinds.result import Shown
from showtell.models.captioner import Caption, Word
from showtell.notebook import block, curve, data_uri, table

EVIL = "<img src=x onerror=hit()>"
QUOTE = "\"' onmouseover='hit()"
PREPROCESSING = Preprocessing(64, 64, "stretch", 1.0, "bilinear", (0.5,) * 3, (0.5,) * 3)
QUIET = Console(quiet=True)


class Tags(HTMLParser):
    """Every tag with its attributes, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == [], "a tag stays open"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open += [tag] if tag != "img" else []

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def shown(thing: object) -> Tags:
    """Read what an object shows; it holds no script and asks nobody for anything."""
    read = Tags(thing._repr_html_())
    for tag, attributes in read.tags:
        assert tag not in ("script", "style", "link", "iframe", "a"), tag
        assert not [name for name in attributes if name.startswith("on")], attributes
        assert attributes.get("src", "data:image/jpeg;").startswith("data:image/jpeg;")
        assert "url(" not in (attributes.get("style") or "")
    return read


def images_in(read: Tags) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in read.tags if tag == "img"]


def caption(*words: str, image: Image.Image | None = None) -> CaptionResult:
    attention = torch.rand(len(words), 4, 4, generator=torch.Generator().manual_seed(0))
    attention /= attention.sum((1, 2), keepdim=True)
    return CaptionResult(
        " ".join(words),
        tuple(Word(word, 0.9, one) for word, one in zip(words, attention)),
        -1.5,
        others=(Caption("a cat", (), -2.0),),
        shown=None if image is None else Shown(image, PREPROCESSING),
    )


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """Two classes, one of them with a hostile name; a run on them, its evaluation and its model."""
    folder = tmp_path_factory.mktemp("pets")
    for name, first in ((EVIL, 0), ("고양이", 100)):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(14):
            draw(first + number).save(folder / "data" / name / f"{number}.png")
    with resources.as_file(resources.files("showtell") / "backbones" / "small_backbone") as weights:
        settings = showtell.TrainClassifier(
            folder / "data", out=folder / "run", weights=str(weights), store=folder / "store"
        )
        try:
            run = showtell.train_classifier(settings, QUIET)
        except showtell.ShowtellError:  # so few drawings teach nothing; the run is whole
            run = showtell.Run(folder / "run")
    evaluation = showtell.evaluate(showtell.Evaluate(run.folder, split="val"), QUIET)
    return folder, run, evaluation, showtell.load(run.folder)


def test_a_caption_shows_its_image_and_the_attention_of_each_word():
    image = draw(3, 400)
    read = shown(caption("a", "red", "star", image=image))
    assert image.size == (400, 400), "the caller's image stays as it is"
    assert [one["alt"] for one in images_in(read)] == [
        "a red star",
        *(f"where the model attended at {word}" for word in ("a", "red", "star")),
    ]
    assert len({one["src"] for one in images_in(read)}) == 4, "each word has a map of its own"
    assert "90%" in read.text and "a cat" in read.text


def test_a_caption_without_its_image_says_so():
    read = shown(caption("a", "star"))
    assert images_in(read) == [] and "The image is not at hand" in read.text and "star" in read.text


def test_what_people_wrote_stays_text():
    read = shown(caption(EVIL, QUOTE, image=draw(3)))
    assert f"{EVIL} {QUOTE}" in read.text
    assert images_in(read)[0]["alt"] == f"{EVIL} {QUOTE}"
    read = shown(ClassResult({EVIL: 0.7, QUOTE: 0.3}))
    assert EVIL in read.text and QUOTE in read.text


def test_a_class_shows_its_image_and_five_bars(pets):
    folder, _, _, model = pets
    path = folder / "data" / "고양이" / "0.png"
    for result in (model(path), model(str(path)), model(path.read_bytes()), model(Image.open(path))):
        assert len(images_in(shown(result))) == 1
    many = ClassResult({f"class {place}": 1 / 7 for place in range(7)})
    assert shown(many).text.count("14.3%") == 5


def test_results_of_a_list_know_their_images_and_those_of_a_stream_do_not(pets):
    folder, _, _, model = pets
    paths = sorted((folder / "data" / "고양이").iterdir())[:3]
    results = model(paths)
    assert [result.shown.source for result in results] == paths
    assert all(result.shown is None for result in model(iter(paths)))
    assert results == list(model.stream(paths)), "the image is no part of what was found"


def test_an_image_that_is_gone_is_left_out(pets, tmp_path):
    folder, _, _, model = pets
    with (folder / "data" / "고양이" / "0.png").open("rb") as file:
        of_a_file = model(file)
        moved = tmp_path / "0.png"
        file.seek(0)
        moved.write_bytes(file.read())
    removed = model(moved)
    moved.unlink()
    for result in (of_a_file, removed):
        assert images_in(shown(result)) == [] and result.label in shown(result).text


def test_an_evaluation_of_classes_shows_scores_confusion_and_mistakes(pets):
    _, _, evaluation, _ = pets
    read = shown(evaluation)
    low, high = evaluation.scores.intervals["accuracy"]
    assert f"{low:.3f} to {high:.3f}" in read.text and EVIL in read.text
    assert len(images_in(read)) == min(6, len(evaluation.mistakes()))
    counts = evaluation.scores.confusion
    assert [" ".join(map(str, row)) in re.sub(" +", " ", read.text) for row in counts.tolist()] == [
        True,
        True,
    ]


def test_an_evaluation_of_captions_shows_the_best_and_the_worst():
    references = {f"{number}.png": (f"a cat number {number} sleeps",) for number in range(8)}
    said = {name: caption("a", "cat", "number", name[0], "sleeps") for name in references}
    said["3.png"], said["4.png"] = caption(EVIL), caption("dogs")
    scores = caption_scores(references, {name: one.text for name, one in said.items()})
    read = shown(CaptionEvaluation("test", said, references, scores, 3, None, None))
    assert f"{scores.cider_d:.3f}" in read.text and "8 images, beam 3" in read.text
    assert read.text.count("worst") == 3, "of eight, five are the best, and none is named twice"
    assert EVIL in read.text


def test_a_run_shows_its_splits_curves_and_scores(pets):
    _, run, evaluation, _ = pets
    read = shown(run)
    assert "classifier on resnet10t" in read.text and f"{evaluation.scores.accuracy:.3f}" in read.text
    assert re.search(r"\d+ train, \d+ val", read.text)


def test_a_run_that_goes_on_shows_what_there_is(pets, tmp_path):
    _, run, _, _ = pets
    assert "No training was started here" in shown(showtell.Run(tmp_path)).text
    for name in ("config.json", "images.jsonl"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    steps = [{"step": n, "epoch": 1, "loss": 5 / n, "learning_rate": 0.1} for n in range(1, 1001)]
    steps[3]["loss"] = float("nan")
    steps += [{"step": 500 * n, "validation": {"epoch": n, "score": n / 4}} for n in (1, 2)]
    lines = "\n".join(json.dumps(step) for step in steps) + '\n{"step": 10'
    (tmp_path / "metrics.jsonl").write_text(lines, encoding="utf-8")
    read = shown(showtell.Run(tmp_path))
    curves = [attributes for tag, attributes in read.tags if tag == "polyline"]
    assert len(curves) == 2 and len(curves[0]["points"].split()) <= 160
    assert "nan" not in str(curves) and "0.25 to 0.5" in read.text


def test_a_curve_stands_as_it_is_measured():
    points = re.search('points="(.*?)"', curve("loss", [(0, 4.0), (5, 1.0), (10, 2.0)]))[1].split()
    assert points == ["0.0,0.0", "160.0,120.0", "320.0,80.0"]
    assert 'points="0.0,0.0 320.0,0.0"' in curve("flat", [(1, 2.0), (2, 2.0)])


def test_a_data_set_shows_counts_images_and_problems(pets, tmp_path):
    folder, *_ = pets
    dataset, _ = read_images(DataSource(folder / "data"))
    read = shown(dataset)
    assert "28" in read.text and len(images_in(read)) == 6 and EVIL in images_in(read)[0]["alt"]
    (tmp_path / "broken.png").write_bytes(b"no image")
    hostile = Dataset(
        Path(QUOTE),
        "csv",
        (AnnotatedImage(EVIL, tmp_path / "broken.png", (EVIL,), split="train"),),
        tuple(Problem("missing image", EVIL, str(number)) for number in range(10)),
        notes=(EVIL,),
    )
    read = shown(hostile)
    assert read.text.count(EVIL) == 10 and "and 2 more problems" in read.text and images_in(read) == []


def test_features_show_shapes_and_what_was_left_out(pets):
    folder, *_ = pets
    broken = folder / "data" / "고양이" / f"{EVIL}.png"
    broken.write_bytes(b"no image")
    with resources.as_file(resources.files("showtell") / "backbones" / "small_backbone") as weights:
        found = showtell.features(folder / "data", weights=str(weights), store=folder / "store")
    broken.unlink()
    read = shown(found)
    assert f"({len(found)}, 80)" in read.text and f"({len(found)}, 64, 80)" in read.text
    assert EVIL in read.text and "1 left out" in read.text


def test_an_image_loses_what_a_camera_wrote_beside_it():
    exif = Image.Exif()
    exif[0x010E] = "at home"
    image = draw(0, 800)
    image.info["exif"] = exif.tobytes()
    before = image.size
    import base64

    content = base64.b64decode(data_uri(image).partition(",")[2])
    assert b"at home" not in content and b"Exif" not in content and image.size == before


def test_it_looks_whole_in_a_browser_and_runs_nothing(pets, browser, tmp_path):
    folder, run, evaluation, model = pets
    dataset, _ = read_images(DataSource(folder / "data"))
    things = [
        caption(EVIL, QUOTE, "star", image=draw(3, 300)),
        model(folder / "data" / "고양이" / "0.png"),
        evaluation,
        run,
        dataset,
    ]
    page = tmp_path / "page.html"
    body = "<p>".join(thing._repr_html_() for thing in things)
    page.write_text(
        "<!doctype html><meta charset=utf-8><script>function hit() { window.struck = 1 }</script>" + body,
        encoding="utf-8",
    )
    for width in (1280, 390):
        with opened(browser, page, width=width) as tab:
            assert tab.evaluate("window.struck === undefined")
            assert tab.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")


def test_pieces_escape_what_they_are_given():
    read = Tags(block(EVIL, table([(EVIL, 1.5, 2000)], (QUOTE, "a", "b")), note=QUOTE))
    assert read.text.count(EVIL) == 2 and read.text.count(QUOTE) == 2
    assert "1.500" in read.text and "2,000" in read.text and "img" not in [tag for tag, _ in read.tags]
    assert np.all([tag != "script" for tag, _ in read.tags])


BARS = """
import logging, sys
from showtell.console import Console, Log
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
for console in (Console(), Log()):
    with console.bar(3, "encoding", "images") as bar:
        bar.update(3)
    console.say("done")
with Console(quiet=True).bar(3, "never", "images") as bar:
    bar.update(3)
"""


def test_bars_are_those_of_a_notebook_there(tmp_path):
    kernel, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    messages: list[dict] = []
    try:
        reply = client.execute_interactive(BARS, timeout=60, output_hook=messages.append)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    shown = [one["content"]["data"] for one in messages if one["msg_type"] == "display_data"]
    bars = [data for data in shown if "application/vnd.jupyter.widget-view+json" in data]
    assert len(bars) == 2 and all("encoding" in data["text/plain"] for data in bars)
    said = "".join(one["content"]["text"] for one in messages if one["msg_type"] == "stream")
    assert "done" in said and "INFO:showtell:done" in said and "never" not in str(shown)
