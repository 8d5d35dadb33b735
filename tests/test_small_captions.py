"""A captioner from few images works, or says that it does not: recipe, rivals, verdict, exit status."""

import html
import json
from collections import Counter
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from conftest import draw, settings_file
from showtell import TrainCaptioner, cli
from showtell.backbones.weights import load_backbone
from showtell.console import Console
from showtell.data.records import AnnotatedImage, Dataset
from showtell.data.split import sizes_for_captions
from showtell.errors import NotLearntError
from showtell.evaluation.cider import CiderD
from showtell.extraction.extract import extract_features
from showtell.kinds.captioner.data import extract_views
from showtell.kinds.captioner.evaluation import CaptionEvaluationRecord, refuse_unlearnt
from showtell.kinds.captioner.settings import SMALL, Recipe, recipe_for
from showtell.kinds.captioner.verdict import commonest_captions, judge, nearest_captions
from showtell.kinds.model_folder import load
from showtell.runs.run import Run
from showtell.samples import write_captions_dataset

BLIND, NEAREST = "the most frequent caption", "the nearest image's"


def recipe(train: int, validation: int, **settings) -> Recipe:
    return recipe_for(TrainCaptioner(Path("x"), **settings), train, validation)


def images_of(captions: dict[str, tuple[str, ...]]) -> list[AnnotatedImage]:
    return [AnnotatedImage(name, Path(name), own) for name, own in captions.items()]


@pytest.mark.parametrize("train", [1, 2, 7, 16, 48, 80, 200, SMALL - 1])
def test_few_images_get_steps_enough_and_few_validations(train):
    found = recipe(train, 5)
    steps = -(-train // found.batch_size) * found.epochs
    assert 400 <= steps <= 1200
    assert 5 <= found.epochs / found.validate_every <= 40
    assert found.patience >= found.epochs / 2
    assert recipe(train, 5, patience=1000).patience == 1000
    assert found.augmentations > 0
    assert found.criterion == "last"


def test_many_images_are_learnt_from_as_ever():
    """Flickr8k's settings are those whose scores are in the log; they do not change."""
    found = recipe(6000, 1000)
    assert (found.batch_size, found.epochs, found.validate_every, found.patience) == (32, 8, 1, 5)
    assert (found.criterion, found.augmentations) == ("score", 4)
    assert (found.hidden_dim, found.dropout) == (512, 0.5)
    assert (recipe(6000, 1000, augmentations=0).epochs, recipe(100_000, 1000).augmentations) == (6, 0)
    tuned = [recipe(count, 50, fine_tune="0.3").augmentations for count in (SMALL - 1, SMALL)]
    assert tuned == [8, 0], "as the help of the setting says"


def test_what_is_asked_for_stays(train=20):
    asked = {"epochs": 3, "augmentations": 0, "hidden_dim": 99, "dropout": 0.11}
    for count in (train, 6000):
        found = recipe(count, 2, **asked)
        assert {name: getattr(found, name) for name in asked} == asked


def test_the_most_frequent_caption_is_the_most_frequent():
    train = images_of({"a": ("A dog.", "a cat"), "b": ("a dog", "a bird"), "c": ("a  dog !", "a fish")})
    assert commonest_captions(train) == ["A dog."]


def test_equally_frequent_captions_count_in_the_mean():
    """No caption stands twice in most tables; the luck of one of them is no measure."""
    captions = {"a": ("a dog runs on grass",), "b": ("a zebra",), "c": ("two men talk", "men talk")}
    ties = commonest_captions(images_of(captions))
    assert ties == [caption for own in captions.values() for caption in own]
    cider = CiderD(captions)
    rivals = {BLIND: dict.fromkeys(captions, ties), NEAREST: captions}
    verdict = judge(captions, {name: own[0] for name, own in captions.items()}, (0, 1), rivals)
    means = [np.mean(cider.score(dict.fromkeys(captions, caption))) for caption in ties]
    assert verdict.rivals[0].cider_d == pytest.approx(np.mean(means))
    many = images_of({f"{number}": (f"caption {number}",) for number in range(1234)})
    assert 50 <= len(commonest_captions(many)) <= 100


def test_the_nearest_image_is_a_copy_where_there_is_one(tmp_path, store):
    images = []
    for number in range(8):
        draw(number, 64).save(tmp_path / f"{number}.png")
        images.append(
            AnnotatedImage(f"{number}.png", tmp_path / f"{number}.png", (f"image {number}", "more"))
        )
    draw(5, 64).save(tmp_path / "copy.png")
    asked = [AnnotatedImage("copy.png", tmp_path / "copy.png", ("whatever",))]
    extraction = extract_features(
        [*images, *asked], load_backbone("test_resnet", "random", image_size=64), store
    )
    assert nearest_captions(extraction, images, asked) == {"copy.png": ("image 5", "more")}


REFERENCES = {
    "a": ("a brown dog runs over green grass", "a dog on grass"),
    "b": ("two men talk in a street", "men talk"),
    "c": ("a child in a red coat plays in snow", "a child plays in the snow"),
    "d": ("a bird sits on a wire", "one bird on a wire"),
}
RIVALS = {BLIND: dict.fromkeys(REFERENCES, ("a dog on grass",)), NEAREST: dict.fromkeys(REFERENCES, ("men",))}
GOOD = {name: captions[0] for name, captions in REFERENCES.items()}


def test_a_model_that_is_right_is_better_than_both():
    names = [f"{one} {other}" for one in ("red", "blue", "old", "new") for other in ("dogs", "cars", "men")]
    references = {name: (f"two {name} on a road", f"some {name}") for name in names}
    rivals = {
        BLIND: dict.fromkeys(names, ("two red dogs",)),
        NEAREST: dict.fromkeys(names, ("old cars",)),
    }
    verdict = judge(references, {name: f"two {name} on a road" for name in names}, (3.0, 6.0), rivals)
    assert verdict.fault == ""
    assert verdict.line.endswith("better than both")
    assert all(0 < rival.interval[0] < rival.difference < rival.interval[1] for rival in verdict.rivals)
    assert verdict.cider_d - verdict.rivals[0].cider_d == pytest.approx(verdict.rivals[0].difference)


@pytest.mark.parametrize(
    ("said", "others", "fault"),
    [
        (dict.fromkeys(GOOD, ""), (), "4 of 4 captions have no word"),
        (GOOD | dict.fromkeys("abc", " . "), (), "3 of 4 captions have no word"),
        (dict.fromkeys(GOOD, "a dog"), (), "the same of every image: 'a dog'"),
        (
            dict.fromkeys(GOOD, "a child plays in the snow"),
            ["A child plays in the snow ."],
            "the same of every",
        ),
        (GOOD | {"a": "q", "b": "q w", "c": "e", "d": "r"}, (), "no phrase in common"),
        (
            {"a": "a dog on grass", "b": "a", "c": "a dog", "d": "dog"},
            (),
            "score no more than the most frequent",
        ),
    ],
)
def test_a_model_that_has_learnt_nothing_is_told_from_one_that_has(said, others, fault):
    verdict = judge(REFERENCES, said, (0.0, 1.0), RIVALS, others)
    assert fault in verdict.fault
    config = TrainCaptioner(data=Path("x"), tokenizer="bpe", weights="random", epochs=2, augmentations=0)
    with pytest.raises(NotLearntError, match="not known to have learnt") as caught:
        refuse_unlearnt(config, recipe(20, 2, augmentations=0), verdict, 24)
    assert caught.value.exit_status == 3
    for means in (
        "more captioned images (there are 24",
        "augmentations = 8",
        "--tokenizer word",
        "--weights",
    ):
        assert means in caught.value.hint
    assert "--epochs than 2" in caught.value.hint


def test_one_caption_of_a_single_image_is_not_the_same_of_every_image():
    references = {"a": REFERENCES["a"], "b": REFERENCES["b"]}
    rivals = {BLIND: dict.fromkeys(references, ("x",)), NEAREST: dict.fromkeys(references, ("y",))}
    said = dict.fromkeys(references, "a dog on grass")
    assert "the same of every" in judge(references, said, (0, 1), rivals).fault
    assert judge(references, said, (0, 1), rivals, ["two men"]).fault == ""


def test_a_single_validation_image_says_nothing_of_what_was_learnt():
    references = {"a": REFERENCES["a"]}
    rivals = {BLIND: {"a": ("x",)}, NEAREST: {"a": ("y",)}}
    verdict = judge(references, {"a": REFERENCES["a"][0]}, (0, 0), rivals, ["two men"])
    assert verdict.fault == "CIDEr-D of a single validation image is 0, whatever is said of it"


def test_what_chance_could_have_done_is_called_undecided():
    """Better on one image of four by a little: no four images could show that."""
    said = dict.fromkeys(REFERENCES, "a dog on grass") | {"b": "men sit"}
    verdict = judge(REFERENCES, said, (0.0, 1.0), RIVALS)
    assert verdict.rivals[0].interval[0] <= 0 < verdict.rivals[0].difference
    assert "against the most frequent caption undecided" in verdict.line
    assert verdict.fault == ""


def test_views_mirror_no_image_whose_caption_mentions_left_right(tmp_path, store):
    images = []
    for number in range(4):
        draw(number, 64).save(tmp_path / f"{number}.png")
        side = "a thing on the left" if number < 2 else "a thing"
        images.append(AnnotatedImage(f"{number}.png", tmp_path / f"{number}.png", (side,)))
    backbone = load_backbone("test_resnet", "random", image_size=64)
    for mirror, flipping in ((True, {"2.png", "3.png"}), (False, set())):
        settings = TrainCaptioner(tmp_path, augmentations=3, hflip=mirror)
        views = extract_views(images, settings, backbone, store, Console(quiet=True))
        assert Counter(name for view in views for name in view.digests) == {p.name: 3 for p in images}
        flips = {name for view in views if view.view.augmentation.flip for name in view.digests}
        assert flips == flipping
    none = TrainCaptioner(tmp_path, augmentations=0)
    assert extract_views(images, none, backbone, store, Console(quiet=True)) == []


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Sixty drawn scenes in a table without splits, as people bring them."""
    folder = tmp_path_factory.mktemp("few")
    write_captions_dataset(folder, language="en", count=60, seed=3)
    table = json.loads((folder / "captions.json").read_text("utf-8"))
    rows = [f"{one['filename']},{text['raw']}" for one in table["images"] for text in one["sentences"]]
    (folder / "captions.csv").write_text("\n".join(["image,caption", *rows]) + "\n", encoding="utf-8")
    return folder


def train(scenes: Path, out: Path, *more: str) -> int:
    places = [str(scenes / "captions.csv"), "--images", str(scenes / "images"), "--out", str(out)]
    return cli.run(["train-captioner", *places, *more])


def test_sixty_drawn_scenes_are_learnt_from(scenes, tmp_path, capsys):
    """Ended untrained after six epochs of two steps once, with empty captions and status 0."""
    weights = resources.files("showtell") / "backbones" / "small_backbone"
    with resources.as_file(weights) as folder:
        settings = settings_file(hidden_dim=64, augmentations=1, dropout=0.1, learning_rate=3e-3)
        status = train(scenes, tmp_path / "run", "--weights", str(folder), "--epochs", "40", *settings)
    said = capsys.readouterr().err
    record = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    assert status == 0, said
    verdict = Run(tmp_path / "run").evaluation("val", CaptionEvaluationRecord).verdict
    assert verdict.fault == ""
    assert record["scores"]["cider_d"] > verdict.rivals[0].cider_d
    assert f"Validation: {verdict.line}" in said
    assert "Trained in" in said
    assert "1 random views of each" in said
    assert "of epoch 43 (the last), is in" in said
    recipe = Run(tmp_path / "run").record.resolved
    assert (recipe["recipe.augmentations"], recipe["recipe.hidden_dim"]) == (1, 64)
    page = html.unescape((tmp_path / "run" / "report.html").read_text("utf-8"))
    assert verdict.line in page


def test_a_training_that_learns_nothing_says_so_and_keeps_the_model(scenes, tmp_path, capsys):
    untaught = ["--backbone", "test_resnet", "--weights", "random", "--epochs", "1"]
    status = train(
        scenes, tmp_path / "run", *untaught, *settings_file(image_size=64, hidden_dim=16, augmentations=1)
    )
    said = capsys.readouterr().err
    assert status == 3
    assert "Trained" not in said
    assert "is not known to have learnt anything" in said
    assert "What would help" in said and "--epochs" in said
    assert "Traceback" not in said
    load(tmp_path / "run")  # it is kept, and works
    record = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    assert record["verdict"]["fault"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "is not known to have learnt anything" in page
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text("utf-8"))["provenance"]["fault"]


def test_reward_is_not_begun_where_nothing_is_learnt(scenes, tmp_path, capsys):
    untaught = ["--backbone", "test_resnet", "--weights", "random", "--epochs", "1"]
    train(
        scenes,
        tmp_path / "run",
        *untaught,
        *settings_file(image_size=64, hidden_dim=16, augmentations=0, scst_epochs=2),
    )
    assert "self-critical training needs captions better than" in capsys.readouterr().err
    lines = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line).get("epoch", 1) for line in lines} == {1}
    assert load(tmp_path / "run").config.provenance.xe_epochs is None
    assert "Steps by reward" not in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_a_training_on_views_that_is_stopped_sees_the_same_again(tmp_path, store):
    """Which view an image is learnt from is a function of seed and epoch alone."""
    from test_caption_task import CAPTIONS, captioned

    def build(folder: Path):
        task = captioned(folder, CAPTIONS)
        space = task.data.features.space
        values = np.random.default_rng(1)
        from showtell.data.augment import View
        from showtell.extraction.features import Features

        views = []
        for number in (1, 2):
            digests = dict(list(task.data.features.digests.items())[:6])
            view = Features(space, digests, view=View(number))
            space.put((view.key(n), values.standard_normal((4, 6)), np.full(2, number)) for n in view.digests)
            views.append(view)
        task.data = replace(task.data, views=views)
        return task

    one, other = build(tmp_path / "1"), build(tmp_path / "2")
    seen: dict[str, Counter] = {}
    for epoch in range(60):
        for index in range(one.steps_per_epoch):
            chosen = one.order.images(epoch, index)
            grids = one._grids(epoch, index)
            assert np.array_equal(grids, other._grids(epoch, index))
            for grid, i in zip(grids.numpy(), chosen):
                name = one.data.train[i].name
                sources = [one.data.features, *one.data.views]
                which = [
                    k
                    for k, source in enumerate(sources)
                    if name in source.digests and np.array_equal(source.grid([name])[0], grid)
                ]
                seen.setdefault(name, Counter())[which[0]] += 1
    for name, counts in seen.items():
        if name in one.data.views[0].digests:
            assert all(8 <= counts[k] <= 34 for k in range(3)), (name, counts)
        else:
            assert counts == {0: 60}


def test_the_batch_that_is_asked_for_is_taken_whatever_the_data():
    assert recipe(40, 8).batch_size != 5
    assert recipe(40, 8, batch_size=5).batch_size == 5
    assert recipe(6000, 1000, batch_size=5).batch_size == 5
    steps = [
        -(-40 // found.batch_size) * found.epochs for found in (recipe(40, 8, batch_size=b) for b in (4, 8))
    ]
    assert max(steps) < 1.2 * min(steps), "the steps are what a training takes, not the epochs"


@pytest.mark.parametrize(
    "count, val, test, expected",
    [
        (20, None, None, (5, 0)),
        (60, None, None, (8, 0)),
        (80, None, None, (0.1, 0.1)),
        (60, 0.1, None, (0.1, 0)),
        (60, None, 0.2, (8, 0.2)),
        (60, 6, 6, (6, 6)),
        (80, 6, None, (6, 0.1)),
    ],
)
def test_of_few_images_eight_validate_and_none_test_unless_that_is_asked_for(count, val, test, expected):
    images = tuple(AnnotatedImage(f"{n}.jpg", Path(f"{n}.jpg"), captions=("a dog",)) for n in range(count))
    dataset = Dataset(Path("t.csv"), "csv", images)
    assert sizes_for_captions(dataset, val, test, Console(quiet=True)) == expected
    split = tuple(replace(image, split="train") for image in images)
    assert sizes_for_captions(replace(dataset, images=split), None, None, Console(quiet=True)) == (0.1, 0.1)
