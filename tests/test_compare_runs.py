"""Comparing runs: paired figures over the same images, images won, a page; and what cannot be compared."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import ENDED, opened, settings_file
from showtell import cli
from showtell.comparison.runs import compare
from showtell.comparison.settings import Compare
from showtell.errors import ConfigError, DataError, ModelError
from showtell.evaluation.bleu_rouge import bleu
from showtell.evaluation.caption_scores import caption_scores, caption_statistics, scores_of_sums
from showtell.evaluation.class_scores import class_counts, macro_f1
from showtell.evaluation.intervals import bootstrap_interval, paired_intervals
from showtell.kinds.classifier.comparison import compare_classes
from showtell.kinds.settings import Evaluate
from showtell.runs.run import Run
from showtell.samples import write_captions_dataset
from test_metrics import toolkit_scores

SHARE = np.array([(0.0, 1.0)])
SETS, IMAGES = 500, 200


def population(seed: int, size: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Draw BLEU's counts of images that two systems caption, one a little better, both at ease with some.

    Returns:
        Statistics of the one and of the other, (size, 10).
    """
    chance = np.random.default_rng(seed)
    ease = chance.normal(size=size)
    systems = []
    for skill in (0.0, 0.15):
        length = chance.integers(8, 14, size)
        possible = length[:, None] - np.arange(4)
        level = skill + ease + 0.6 * chance.normal(size=size)
        share = 1 / (1 + np.exp(-(level[:, None] - 0.7 * np.arange(4))))
        correct = chance.binomial(possible, share)
        systems.append(np.column_stack([correct, possible, length, np.full(size, 10.0)]))
    return systems[0], systems[1]


def bleu4(sums: np.ndarray) -> np.ndarray:
    return bleu(sums)[..., 3:]


@pytest.fixture(scope="module")
def simulated() -> tuple[float, np.ndarray, np.ndarray]:
    """Return the true difference of BLEU-4, and simulated sets' paired and unpaired intervals."""
    first, second = population(0)
    true = float((bleu4(second.sum(0)) - bleu4(first.sum(0)))[0])
    chance = np.random.default_rng(1)
    paired, apart = [], []
    for seed in range(SETS):
        rows, others = chance.integers(len(first), size=(2, IMAGES))
        paired.append(
            paired_intervals(first[rows], second[rows], bleu4, limits=SHARE, seed=seed, resamples=400)[0]
        )
        if seed < 50:
            apart.append(
                paired_intervals(first[rows], second[others], bleu4, limits=SHARE, seed=seed, resamples=400)[
                    0
                ]
            )
    return true, np.array(paired), np.array(apart)


def test_the_paired_interval_holds_the_true_difference(simulated):
    true, paired, _ = simulated
    held = ((paired[:, 0] <= true) & (true <= paired[:, 1])).mean()
    assert 0.93 <= held <= 0.97


def test_pairing_makes_it_narrower(simulated):
    _, paired, apart = simulated
    assert np.ptp(paired, axis=1).mean() < 0.75 * np.ptp(apart, axis=1).mean()


def test_both_are_scored_on_the_same_draws():
    """A system that is better by the same on every image is better by just that on every resample."""
    first = np.column_stack([np.random.default_rng(0).random(100), np.ones(100)])
    second = first + np.array([0.1, 0])
    low, high = paired_intervals(
        first, second, lambda sums: sums[:, :1] / sums[:, 1:], limits=np.array([(-np.inf, np.inf)])
    )[0]
    room = 1 - 0.05 ** (1 / 100)  # of images of a kind that the set has none of
    assert (low, high) == pytest.approx((0.1 - room, 0.1 + room))
    alone = bootstrap_interval(second, lambda sums: sums[:, :1] / sums[:, 1:], seed=0)[0]
    assert np.ptp(alone) > 0.1


def test_groups_are_drawn_whole():
    """Four copies of each image tell no more than one: the interval is that of the images themselves."""
    chance = np.random.default_rng(2)
    first, second = (np.column_stack([chance.random(60), np.ones(60)]) for _ in range(2))
    one = paired_intervals(first, second, lambda sums: sums[:, :1] / sums[:, 1:], limits=SHARE)
    copied = [np.repeat(statistics, 4, axis=0) for statistics in (first, second)]
    groups = np.repeat(np.arange(60), 4)
    many = paired_intervals(*copied, lambda sums: sums[:, :1] / sums[:, 1:], limits=SHARE, groups=groups)
    assert many == pytest.approx(one, abs=1e-12)
    assert np.ptp(paired_intervals(*copied, lambda sums: sums[:, :1] / sums[:, 1:], limits=SHARE)) < (
        0.6 * np.ptp(one)
    )


def lines_of(classes: list[dict[str, float]], labels: list[str]) -> list[dict]:
    return [
        {
            "image": f"{i:02d}",
            "label": label,
            "log_likelihood": float(np.log(likely[label])),
            "classes": likely,
        }
        for i, (likely, label) in enumerate(zip(classes, labels))
    ]


def test_classifiers_are_compared_by_who_is_right():
    labels = ["cat", "dog", "dog", "cat"]
    sure = {"cat": {"cat": 0.9, "dog": 0.1}, "dog": {"dog": 0.8, "cat": 0.2}}
    right = lines_of([sure[label] for label in labels], labels)
    worse = lines_of([sure["cat"]] * 4, labels)
    found = compare_classes(worse, right, None)
    assert (found.won, found.tied, found.lost) == (2, 2, 0)
    assert found.scores["accuracy"].difference == pytest.approx(0.5)
    assert found.scores["macro_f1"].second == 1
    assert found.scores["macro_f1"].first == pytest.approx(1 / 3)
    assert found.scores["log_likelihood"].second == pytest.approx(np.log([0.9, 0.8]).mean())
    better, lost = found.most_different(9)
    assert [image.name for image in better] == ["01", "02"] and lost == []
    changed = lines_of([sure["cat"]] * 4, ["cat"] * 4)
    with pytest.raises(DataError, match="The labels of 2 of 4 images changed"):
        compare_classes(worse, changed, None)
    assert macro_f1(class_counts(np.array([0, 1]), np.array([0, 1]), 3).sum(0)) == 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("비교")
    write_captions_dataset(folder / "data", language="en", count=240, seed=0)
    command = f"train-captioner {folder / 'data'} --out {folder / 'first'} --store {folder / 'store'}"
    more = "--backbone test_resnet --weights random --epochs 2"
    rare = settings_file(image_size=64, hidden_dim=32, scst_epochs=0, learning_rate=0.02)
    assert cli.run([*command.split(), *more.split(), *rare]) in ENDED
    return folder / "first"


@pytest.fixture
def runs(trained, tmp_path) -> tuple[Path, Path]:
    """Return a run, and a copy of it that says what people say of five images."""
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(trained, first)
    shutil.copytree(trained, second)
    lines = Run(second).predictions("val")
    for line in lines[:5]:
        line["caption"] = line["references"][0]
    rewrite(second, lines)
    return first, second


def rewrite(run: Path, lines: list[dict]) -> None:
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "predictions-val.jsonl").write_text(text, encoding="utf-8")


def test_runs_are_compared(runs, tmp_path, capsys):
    out = tmp_path / "쪽.html"
    assert cli.run(["compare", *map(str, runs), "--out", str(out), "--json"]) == 0
    said, told = capsys.readouterr()
    (other,) = json.loads(said)["others"]
    scores = other["scores"]
    recorded = json.loads((runs[0] / "evaluation-val.json").read_text("utf-8"))["scores"]
    assert {name: score["first"] for name, score in scores.items()} == pytest.approx(recorded)
    for score in scores.values():
        low, high = score["interval_95"]
        assert score["difference"] == pytest.approx(score["second"] - score["first"])
        assert low <= score["difference"] <= high
    assert other["won"] + other["tied"] == other["images"] == 20
    assert 0 < other["won"] <= 5 and other["lost"] == 0
    assert scores["cider_d"]["difference"] > 0
    assert "second against first (val, 20 images; intervals by resampling images)" in told
    assert f"Look at {out}" in told
    assert other["better"][0]["second"] in told
    page = out.read_text("utf-8")
    assert page.count('<article class="pair">') == other["won"] == page.count('src="data:image/jpeg')
    lines = Run(runs[1]).predictions("val")
    references = {line["image"]: line["references"] for line in lines}
    statistics = caption_statistics(references, {line["image"]: line["caption"] for line in lines})
    assert [scores[name]["second"] for name in scores] == pytest.approx(scores_of_sums(statistics.sum(0)))


def test_each_is_held_against_the_first(runs, tmp_path):
    third = tmp_path / "third"
    shutil.copytree(runs[0], third)
    found = compare(Compare((*runs, third), out=tmp_path / "page.html"))
    assert list(found.others) == [runs[1], third]
    assert found.others[third].tied == 20
    assert found.others[third].scores["bleu4"].difference == 0
    assert not found.others[third].scores["bleu4"].decided


def test_recorded_groups_are_drawn_whole(runs, tmp_path):
    path = runs[0] / "images.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        line.pop("group", None)
    val = [line for line in lines if line["split"] == "val"]
    for place, line in enumerate(val):
        line["group"] = place // 2
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    found = compare(Compare(runs, out=tmp_path / "page.html"))
    assert found.others[runs[1]].groups == 10
    assert "intervals by resampling 10 groups of near-duplicates" in found.text()


def test_the_page_holds_without_its_images(runs, tmp_path, trained, capsys):
    settings = json.loads((runs[0] / "config.json").read_text("utf-8"))
    settings["config"]["data"] = str(tmp_path / "gone")
    (runs[0] / "config.json").write_text(json.dumps(settings), "utf-8")
    out = tmp_path / "page.html"
    assert cli.run(["compare", *map(str, runs), "--out", str(out)]) == 0
    assert "The page shows no images: The data of" in capsys.readouterr().err
    assert "data:image/jpeg" not in out.read_text("utf-8")


def test_images_of_other_data_are_not_taken_for_those_of_the_same_name(runs, tmp_path, capsys):
    path = runs[0] / "images.jsonl"
    lines = [json.loads(line) | {"group": 1} for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    for run in runs:  # other data, whose images are called as those of val are
        for kept in ("predictions-{}.jsonl", "evaluation-{}.json"):
            shutil.copy(run / kept.format("val"), run / kept.format("all"))
    out = tmp_path / "page.html"
    assert cli.run(["compare", *map(str, runs), "--split", "all", "--out", str(out)]) == 0
    assert "intervals by resampling images" in capsys.readouterr().err
    assert "data:image/jpeg" not in out.read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_page_stands_alone_and_fits(browser, runs, tmp_path, width, scheme):
    compare(Compare(runs, out=tmp_path / "page.html"))
    with opened(browser, tmp_path / "page.html", width=width, scheme=scheme) as page:
        assert page.title() == "second against first"
        assert page.locator("tbody tr").count() == 8
        widths = page.eval_on_selector_all(
            ".pair", "all => all.map(one => one.getBoundingClientRect().width)"
        )
        assert widths and max(widths) <= width


def test_what_cannot_be_compared_is_named(runs, tmp_path, capsys):
    first, second = runs

    def refused(*folders: Path, split: str = "val") -> str:
        with pytest.raises((ConfigError, DataError, ModelError)) as caught:
            compare(Compare(folders, split=split, out=tmp_path / "page.html"))
        return str(caught.value)

    assert "Two different runs are needed" in refused(first)
    assert Compare(("~/a", "~/b")).runs == (Path.home() / "a", Path.home() / "b")
    assert "Two different runs are needed" in refused(first, first / ".." / "first")
    assert "compare-backbones DATA" in refused(first, tmp_path)
    said = refused(first, second, split="test")
    assert f"{first} holds no scores of its test split.\nRun: showtell evaluate {first} --split test" == said
    assert f"Run: showtell evaluate {first} DATA" in refused(first, second, split="all")
    lines, images = Run(second).predictions("val"), (second / "images.jsonl").read_text("utf-8")
    name = json.dumps(lines[0]["image"], ensure_ascii=False)
    others = [
        json.dumps({**json.loads(line), "sha256": "ab" * 32}) if name in line else line
        for line in images.splitlines()
    ]
    (second / "images.jsonl").write_text("\n".join(others) + "\n", "utf-8")
    assert f"1 of 20 images, such as {lines[0]['image']}, are others in {second}" in refused(first, second)
    (second / "images.jsonl").write_text(images, "utf-8")
    rewrite(second, lines[1:])
    said = refused(first, second)
    assert f"{first} was scored on 20 images and {second} on 19; both were scored on 19." in said
    rewrite(second, [{**lines[0], "references": ["something else"]}, *lines[1:]])
    assert "The references of 1 of 20 images changed between the two evaluations" in refused(first, second)
    rewrite(second, [{key: value for key, value in line.items() if key != "references"} for line in lines])
    assert "lack 'references'" in refused(first, second)
    shutil.rmtree(second / "model")
    said = refused(first, second)
    assert f"{second} is not finished: it holds no model." in said and "--resume" in said
    record = json.loads((second / "config.json").read_text("utf-8"))
    (second / "config.json").write_text(json.dumps({**record, "kind": "classifier"}), "utf-8")
    assert f"{first} is a captioner, and {second} a classifier." in refused(first, second)
    with pytest.raises(ConfigError, match="is no HTML page"):
        Compare(runs, out=tmp_path / "page.png")


def test_what_is_exported_scores_the_same_elsewhere(trained, tmp_path, capsys):
    out = tmp_path / "밖" / "results.json"
    assert (
        cli.run(["evaluate", str(trained), "--split", "val", "--out", str(tmp_path), "--export", str(out)])
        == 0
    )
    beside = out.with_name("results-annotations.json")
    assert f"COCO results: {out}; their references: {beside}" in capsys.readouterr().err
    recorded = json.loads((tmp_path / "evaluation-val.json").read_text("utf-8"))["scores"]
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    true = coco.COCO(str(beside))
    said = true.loadRes(str(out))
    references = {name: [one["caption"] for one in true.imgToAnns[name]] for name in true.getImgIds()}
    hypotheses = {name: said.imgToAnns[name][0]["caption"] for name in references}
    again = caption_scores(references, hypotheses, resamples=0)
    assert {name: getattr(again, name) for name in recorded} == pytest.approx(recorded)
    theirs, _ = toolkit_scores(references, hypotheses)
    assert {name: recorded[name] for name in theirs} == pytest.approx(theirs)
    with pytest.raises(ConfigError, match="is no JSON file"):
        Evaluate(trained, export=tmp_path)
    (table,) = Path(Run(trained).record.config["data"]).glob("*.json")
    before = table.read_bytes()
    assert cli.run(["evaluate", str(trained), "--export", str(table)]) == 2
    assert "would write over" in capsys.readouterr().err
    assert table.read_bytes() == before
