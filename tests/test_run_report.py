"""The run's report: true figures, nothing asked for outside, and words that a keyboard walks through."""

import gc
import json
import re
import shlex
import shutil
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from conftest import ENDED, draw, opened, settings_file
from showtell import cli
from showtell.console import Console
from showtell.data.records import AnnotatedImage
from showtell.errors import DataError, ModelError
from showtell.evaluation.class_scores import Bin, expected_calibration_error, reliability
from showtell.evaluation.diversity import (
    caption_diversity,
    compared_diversity,
)
from showtell.evaluation.faithfulness import measure_faithfulness
from showtell.evaluation.occlusion import dependence
from showtell.evaluation.teacher_forced import teacher_forced
from showtell.kinds.classifier.report import draw_confusion, draw_reliability
from showtell.kinds.evaluate import evaluate
from showtell.kinds.model_folder import load
from showtell.kinds.report import write_report
from showtell.kinds.settings import Evaluate, Report
from showtell.models.batch import assemble
from showtell.models.captioner import Caption, Captioner, Word
from showtell.models.config import DecoderConfig
from showtell.models.decoding import Hypothesis
from showtell.report.document import save_for_page
from showtell.samples import write_captions_dataset
from showtell.text.tokenizer import CaptionTokenizer

SETTINGS = "--backbone test_resnet --weights random"
COLOURS = {"빨강": "red", "Blue <b>&": "blue", "회색": "gray"}


@pytest.fixture(scope="module")
def captioner_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("captioner")
    write_captions_dataset(folder / "data", language="ko", count=40, seed=0)
    settings = f"{SETTINGS} --epochs 25"
    command = (
        f"train-captioner {folder / 'data'} --out {folder / 'run'} --store {folder / 'store'} {settings}"
    )
    rare = settings_file(image_size=64, hidden_dim=32, scst_epochs=1, learning_rate=0.02)
    assert cli.run([*command.split(), *rare]) in ENDED
    return folder / "run"


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    for i, (name, colour) in enumerate(COLOURS.items()):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(12):
            image = draw(100 * i + number, 64)
            ImageDraw.Draw(image).ellipse((8, 8, 56, 56), fill=colour if number % 3 else "white")
            image.save(folder / "data" / name / f"{number}.png")
    (folder / "data" / "회색" / "broken.png").write_bytes(b"\x89PNG no image")
    command = (
        f"train-classifier {folder / 'data'} --out {folder / 'run'} --store {folder / 'store'} {SETTINGS}"
    )
    assert cli.run([*command.split(), "--head", "linear", *settings_file(image_size=64)]) == 0
    return folder / "run"


class Elements(HTMLParser):
    """Elements with their attributes, and the text of a page without scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] not in ("script", "style"):
            self.text += data


@pytest.fixture(params=["captioner_run", "classifier_run"])
def run(request) -> Path:
    return request.getfixturevalue(request.param)


def test_an_evaluation_keeps_no_map_of_any_word(captioner_run, tmp_path):
    run = shutil.copytree(captioner_run, tmp_path / "run")
    evaluation = evaluate(Evaluate(run=run), Console(quiet=True))
    reached, asked = {}, [evaluation]
    while asked:  # whatever it holds, by any way; types and modules hold all the rest of the program
        for one in gc.get_referents(asked.pop()):
            if id(one) not in reached and not isinstance(one, type | ModuleType | FunctionType):
                reached[id(one)] = one
                asked.append(one)
    assert any(text in evaluation.texts.values() for text in reached.values() if isinstance(text, str))
    assert not [one for one in reached.values() if isinstance(one, torch.Tensor)]


def test_training_leaves_a_report_that_asks_nobody_for_anything(run):
    page = Elements(run / "report.html")
    for tag, attributes in page.found:
        assert tag not in ("link", "iframe", "object", "embed", "base"), tag
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert (attributes.get(name) or "#").startswith(("data:image/", "#")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
    text = re.sub(r"base64,[^\"]+", "", (run / "report.html").read_text(encoding="utf-8"))
    assert not re.search(r"https?:|[\"'(]//|@import", text)
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for tag, a in page.found if tag == "a"]
    assert links and set(links) <= set(ids)


def test_every_figure_of_the_page_is_a_file_and_takes_the_colours_of_the_page(run):
    page = Elements(run / "report.html")
    drawn = [attributes for tag, attributes in page.found if tag == "svg" and attributes.get("role") == "img"]
    files = list((run / "figures").glob("*.svg"))
    assert len(drawn) == len(files) > 1
    cards = [attributes for tag, attributes in page.found if tag == "article"]
    assert len(list((run / "figures").glob("*.png"))) == len(cards) > 1
    text = (run / "report.html").read_text(encoding="utf-8")
    for inside in re.findall(r"<svg viewBox=\"[^\"]*\" style=.*?</svg>", text, re.DOTALL):
        fixed = set(re.findall(r"#[0-9a-f]{6}\b", inside))
        assert not fixed, "would not turn dark with the page"


def test_the_captioners_report_tells_what_was_measured(captioner_run):
    record = json.loads((captioner_run / "evaluation-val.json").read_text("utf-8"))
    text = Elements(captioner_run / "report.html").text
    assert f"{record['scores']['cider_d']:.3f}" in text
    low, high = record["intervals_95"]["bleu4"]
    assert f"{low:.3f} to {high:.3f}" in text
    assert f"{100 * record['teacher_forced']['word_accuracy']:.1f}%" in text
    model = record["diversity"]["model"]
    assert f"{model['distinct_captions']:,} of {model['captions']:,}" in text
    assert sum(model["lengths"].values()) == model["captions"] == record["images"]
    lines = [json.loads(line) for line in (captioner_run / "predictions-val.jsonl").open(encoding="utf-8")]
    assert lines[0]["image"] in text and lines[-1]["image"] in text
    assert "Can its attention be trusted?" in text and "hidden_dim" in text


def test_the_classifiers_report_names_classes_mistakes_and_problems(classifier_run):
    record = json.loads((classifier_run / "evaluation-val.json").read_text("utf-8"))
    text = Elements(classifier_run / "report.html").text
    assert all(name in text for name in COLOURS)
    assert "broken.png" in text and "1 × unreadable image" in text
    wrong = record["images"] - sum(record["confusion"][i][i] for i in range(len(COLOURS)))
    few = {0: "No mistake", 1: "Its one mistake"}.get(wrong, f"Its {wrong} mistakes")
    assert (f"The most confident of {wrong} mistakes" if wrong > 8 else few) in text
    assert "Among the five likeliest" not in text, "of three classes all are"
    model = load(classifier_run)
    for part in (model.backbone.network, model.head):
        assert f"{sum(parameter.numel() for parameter in part.parameters()):,}" in text
    after = record["reliability"]["after"]
    assert sum(one["images"] for one in after) == record["images"]
    error = sum(one["images"] * abs(one["confidence"] - one["accuracy"]) for one in after)
    assert error / record["images"] == pytest.approx(record["scores"]["calibration_error"])


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_walks_the_words_without_an_error_or_an_outside_request(browser, run, width, scheme):
    with opened(browser, run / "report.html", width=width, scheme=scheme) as page:
        card = page.locator(".card").first
        card.locator(".caption").focus()
        words = card.locator(".word").all_text_contents()
        assert len(words) > 1
        page.keyboard.press("Home")
        drawn = []
        for word in words:
            assert card.locator("[aria-selected=true]").all_text_contents() == [word]
            assert card.locator(".readout b").text_content() == word
            drawn.append(card.locator(".heat").evaluate("canvas => canvas.toDataURL()"))
            page.keyboard.press("ArrowRight")
        assert card.locator(".heat").evaluate("canvas => canvas.width") >= 100
        assert len(set(drawn)) > 1, "the model looked elsewhere for another word"
        page.keyboard.press("Escape")
        assert card.locator("[aria-selected=true]").count() == 0


def test_a_printed_report_unfolds_its_settings(browser, run):
    with opened(browser, run / "report.html") as page:
        seed = page.locator("code", has_text="seed")
        assert not seed.is_visible(), "settings are folded"
        page.emulate_media(media="print")
        assert seed.is_visible()
        assert not page.locator("nav").is_visible()


def test_the_test_of_the_browser_sees_an_outside_request(browser, run, tmp_path):
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    text = (run / "report.html").read_text(encoding="utf-8")
    spoilt = text.replace("</main>", '<img src="//example.invalid/x.png"><script>1</script></main>')
    (tmp_path / "spoilt.html").write_text(spoilt, encoding="utf-8")
    page.goto((tmp_path / "spoilt.html").as_uri())
    assert any("Content Security Policy" in error for error in errors)
    page.close()


def test_a_report_is_written_again_and_says_what_it_lacks(captioner_run, tmp_path):
    run = tmp_path / "판"
    shutil.copytree(captioner_run, run)
    (run / "report.html").unlink()
    record = json.loads((run / "evaluation-val.json").read_text("utf-8"))
    config = json.loads((run / "model" / "config.json").read_text("utf-8"))
    config["provenance"]["fault"] = "it says the same of every image"
    (run / "model" / "config.json").write_text(json.dumps(config), "utf-8")
    # As after another evaluation, which does not hold the model against others.
    (run / "evaluation-val.json").write_text(json.dumps(record | {"verdict": None}), "utf-8")
    assert write_report(Report(run=run)) == run / "report.html"
    page = (run / "report.html").read_text("utf-8")
    assert len(page) > 50_000
    assert "not known to have learnt anything</b>: it says the same of every image" in page
    del record["teacher_forced"]
    (run / "evaluation-val.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(ModelError, match=r"evaluation-val\.json") as caught:
        write_report(Report(run=run))
    assert f"showtell evaluate {shlex.quote(str(run))} --split val" in str(caught.value)
    with pytest.raises(ModelError, match="test split"):
        write_report(Report(run=run, split="test"))


def test_a_report_does_without_no_image_that_was_scored(classifier_run, tmp_path):
    other = tmp_path / "other"
    for name in COLOURS:
        (other / name).mkdir(parents=True)
        draw(7).save(other / name / "another.png")
    with pytest.raises(DataError, match="hardly any of the images"):
        write_report(Report(run=classifier_run, data=other))
    left = tmp_path / "left"
    shutil.copytree(classifier_run.parent / "data", left)
    for line in (classifier_run / "predictions-val.jsonl").read_text("utf-8").splitlines():
        (left / json.loads(line)["image"]).unlink()
    with pytest.raises(DataError, match=r"which was scored, is not in|hardly any of the images"):
        write_report(Report(run=classifier_run, data=left))


L, D = 4, 6
WORDS = ["a red ball", "a dog", "a red dog runs"]


@pytest.fixture
def small() -> tuple[Captioner, list[AnnotatedImage], torch.Tensor]:
    """A captioner with random weights, three images, and their grids, read from memory."""
    torch.manual_seed(0)
    tokenizer = CaptionTokenizer.train(WORDS, min_count=1)
    sizes = DecoderConfig(tokenizer.vocab_size, D, 8, 8, 8, dropout=0.5)
    captioner = Captioner(sizes, tokenizer, (2, 2)).eval()
    for parameter in captioner.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    grids = torch.randn(len(WORDS), L, D)
    images = [AnnotatedImage(str(i), Path(f"{i}.png"), (text,)) for i, text in enumerate(WORDS)]
    return captioner, images, grids


def reader(grids: torch.Tensor):
    return lambda part: torch.stack([grids[int(image.name)] for image in part])


@torch.no_grad()
def test_teacher_forcing_agrees_with_reading_word_by_word(small):
    captioner, images, grids = small
    tokenizer, decoder = captioner.tokenizer, captioner.decoder
    captions = {p.name: (*p.captions, "a zebra runs") for p in images}
    found = teacher_forced(captioner, reader(grids), images, captions)
    log_probs, right = [], []
    for image in images:
        for text in captions[image.name]:
            memory = decoder.encode_grid(grids[int(image.name)].unsqueeze(0))
            state = decoder.start(memory)
            ids = tokenizer.encode(text)
            for read, target in zip([tokenizer.bos_id, *ids], [*ids, tokenizer.eos_id]):
                scores, state, _ = decoder.step(memory, state, torch.tensor([[read]]))
                if target != tokenizer.unk_id:
                    log_probs.append(float(scores[0, 0, target]))
                    right.append(int(scores[0, 0].argmax()) == target)
    assert found.words == len(right)
    assert found.word_accuracy == pytest.approx(np.mean(right))
    assert found.perplexity == pytest.approx(np.exp(-np.mean(log_probs)), rel=1e-4)
    assert found.unknown_words == pytest.approx(3 / (sum(len(text.split()) for text in WORDS) + 9))


def test_of_a_caption_that_is_cut_no_end_is_asked_for(small):
    captioner, images, grids = small
    captioner.decoder.config = replace(captioner.decoder.config, max_length=3)
    found = teacher_forced(captioner, reader(grids), images, {p.name: p.captions for p in images})
    assert found.words == (3 + 1) + (2 + 1) + 3  # the last one has four words


@torch.no_grad()
def test_faithfulness_is_the_fall_of_each_word_in_an_image_without_those_cells(small):
    """Against a plain loop that alters the grid itself, one word and one image at a time."""
    captioner, images, grids = small
    captioner.decoder.fit_feature_scale(torch.randn(50, L, D) + 1)
    decoder, tokenizer = captioner.decoder, captioner.tokenizer
    found = measure_faithfulness(
        captioner, reader(grids), images, {p.name: p.captions[0] for p in images}, share=0.5
    )
    drops: dict[str, list[float]] = {"most": [], "least": [], "depends": []}

    def read(grid: torch.Tensor, ids: list[int]) -> tuple[float, torch.Tensor]:
        batch = assemble(grid.unsqueeze(0), [[[tokenizer.bos_id, *ids]]], tokenizer.pad_id)
        packed = decoder.teacher_forced(batch.grid, batch.token_ids, batch.lengths)
        return float(packed.logits.log_softmax(-1)[-1, ids[-1]]), packed.attention[-1]

    said = {
        image.name: Caption(
            text,
            tuple(Word(word, 1.0, torch.zeros(2, 2)) for word in text.split()),
            log_probability=0.0,
            token_ids=tuple(tokenizer.encode(text)),
        )
        for image in images
        for text in image.captions
    }
    depends = dependence(captioner, reader(grids), images, said)
    with torch.no_grad():
        for image, grid in zip(images, grids):
            ids = tokenizer.encode(image.captions[0])
            for end in range(1, len(ids) + 1):
                plain, looked = read(grid, ids[:end])
                falls = torch.zeros(L)
                for cell in range(L):
                    without = grid.clone()
                    without[cell] = decoder.feature_mean
                    falls[cell] = plain - read(without, ids[:end])[0]
                assert falls.clamp_min(0).numpy() == pytest.approx(
                    depends[image.name].words[end - 1].attention.flatten().numpy(), abs=1e-4
                )
                for which, order in (("most", looked), ("least", -looked), ("depends", falls)):
                    altered = grid.clone()
                    altered[order.topk(2).indices] = decoder.feature_mean
                    drops[which].append(plain - read(altered, ids[:end])[0])
    assert (found.images, found.words, found.cells, found.of_cells) == (3, 9, 2, L)
    for which, values in drops.items():
        assert found.drops[which] == pytest.approx(np.mean(values), abs=1e-4)
    assert found.intervals["most"][0] <= found.drops["most"] <= found.intervals["most"][1]
    assert measure_faithfulness(captioner, reader(grids), images, dict.fromkeys("012", "")) is None


@torch.no_grad()
def test_what_a_caption_depends_on_is_asked_of_the_tokens_that_were_said():
    """Its text, read again, may be other tokens, and even other words."""
    tokenizer = CaptionTokenizer.train(["a man's hat", "it isn't 1,000", "we'll"], min_count=1)
    ids = [tokenizer.tokens.index(token) for token in ("a", "man", "1,000", "'ll", "n't", "hat")]
    again = tokenizer.encode(tokenizer.decode(ids))
    assert len(tokenizer.word_spans(again)) != len(tokenizer.word_spans(ids))
    captioner = Captioner(DecoderConfig(tokenizer.vocab_size, D, 8, 8, 8), tokenizer, (2, 2)).eval()
    said = captioner.caption(Hypothesis(ids, -1.0, [-0.1] * len(ids), torch.full((len(ids), L), 1 / L)))
    image = AnnotatedImage("0", Path("0.png"))
    found = dependence(captioner, reader(torch.randn(1, L, D)), [image], {"0": said})
    assert [word.text for word in found["0"].words] == [word.text for word in said.words]


def test_diversity_is_counted_over_words_not_spelling():
    diversity = caption_diversity(
        {"1": "A dog runs.", "2": "a dog  runs", "3": "Two dogs"},
        {"1": ["dogs run"], "2": ["The dog runs"], "3": []},
        ["a DOG runs!", "a cat"],
    )
    assert (diversity.captions, diversity.distinct_captions, diversity.words, diversity.distinct_words) == (
        3,
        2,
        8,
        5,
    )
    assert diversity.lengths == {2: 1, 3: 2}
    assert diversity.memorized == pytest.approx(2 / 3)
    assert diversity.word_precision == pytest.approx(2 / 6)
    model, people = compared_diversity({"1": "a dog"}, {"1": ("a cat", "a dog")})
    assert (model.word_precision, people.word_precision, people.memorized) == (1.0, 0.5, None)


def test_of_the_captions_of_training_no_words_are_kept():
    training = [f"a dog {number} runs and jumps over a fence" for number in range(20_000)]
    tracemalloc.start()
    try:
        diversity = caption_diversity({"1": training[5], "2": "a cat"}, {"1": [], "2": []}, training)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert diversity.memorized == 0.5
    assert peak < 1e5, "ten times as much would be less than what the words of all take"


def test_reliability_sorts_every_image_and_gives_the_calibration_error():
    random = np.random.default_rng(0)
    sure, right = random.uniform(size=200), random.uniform(size=200) < 0.5
    bins = reliability(sure, right, 15)
    assert sum(one.images for one in bins) == 200
    first = sure < 1 / 15
    assert bins[0].images == first.sum()
    assert bins[0].confidence == pytest.approx(sure[first].mean())
    assert bins[0].accuracy == pytest.approx(right[first].mean())
    assert expected_calibration_error(np.array([0.8] * 10), np.arange(10) < 8) == pytest.approx(0)
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([True, False])) == pytest.approx(0.5)


@pytest.mark.parametrize("classes", [2, 5, 120])
def test_a_confusion_matrix_names_every_class(tmp_path, classes):
    names = [f"종류 {i} $x$ <i>" for i in range(classes)]
    counts = np.eye(classes, dtype=int) * 3
    counts[0, 1] = 1
    svg = save_for_page(draw_confusion(names, counts.tolist()), tmp_path / "c.svg", 'the "matrix" <b>')
    drawn = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert len(re.findall(r"<!-- 종류 \d+ \$x\$", drawn)) == (4 if classes > 20 else 2) * classes
    assert (
        'aria-label="the &quot;matrix&quot; &lt;b&gt;"' in svg and "<!--" not in svg and "<style" not in svg
    )


def test_a_matrix_shows_a_rare_mistake_and_leaves_the_rest_empty():
    figure = draw_confusion(["a", "b", "c"], [[99, 1, 0], [0, 0, 0], [0, 0, 5]])
    image = np.asarray(figure.axes[0].images[0].get_array())
    assert image[0, 1, 3] > 0.1 and image[0, 2, 3] == 0 and image[1, 1, 3] == 0
    assert (image[0, 0, :3] != image[0, 1, :3]).any(), "right and wrong are told apart"


def test_names_that_differ_in_their_ends_are_told_apart(tmp_path):
    names = [f"n0209{i} West Highland white terrier {i}" for i in range(30)]
    save_for_page(draw_confusion(names, np.eye(30, dtype=int).tolist()), tmp_path / "c.svg", "matrix")
    drawn = re.findall(r"<!-- (n02.*?) -->", (tmp_path / "c.svg").read_text(encoding="utf-8"))
    assert len(set(drawn)) == 30 and len(drawn) == 4 * 30, "each name on all four sides"


def test_a_reliability_drawing_of_one_bin_is_drawn(tmp_path):
    figure = draw_reliability([Bin(3, 0.9, 1.0)], "After", 0.1)
    save_for_page(figure, tmp_path / "r.svg", "reliability")
    assert "error 0.100" in (tmp_path / "r.svg").read_text(encoding="utf-8")


def test_images_of_the_report_hold_nothing_but_pixels(captioner_run):
    figure = next((captioner_run / "figures").glob("best-1.png"))
    assert Image.open(figure).size[0] > 300
