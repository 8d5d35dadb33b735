"""Teaching: what is asked, what is learnt and doubted, and that no answer is lost."""

import random

import numpy as np
import pytest
import torch

from conftest import draw
from serving import wait_until
from showtell.console import Console
from showtell.data.annotated import read_annotated
from showtell.data.answers import PERSON
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.teaching import pool as pools
from showtell.teaching.doubts import doubted
from showtell.teaching.labels import Labels
from showtell.teaching.learner import FOLDS, Learner, Lesson, kappa
from showtell.teaching.order import choose_next, margins, random_place, random_sample
from showtell.teaching.pool import Pool, read_pool
from showtell.teaching.settings import Teach
from showtell.teaching.teaching import Teaching
from test_teaching_labels import texts

CLASSES = ("ming", "레오", "zoe")


def scatter(count: int, dim: int = 24, apart: float = 1.0, seed: int = 0):
    """Return names, features and classes of images that scatter about three centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(len(CLASSES), dim)) * apart
    classes = rng.integers(0, len(CLASSES), count)
    pooled = torch.tensor(centres[classes] + rng.normal(size=(count, dim)), dtype=torch.float32)
    return [f"{number}.jpg" for number in range(count)], pooled, [CLASSES[c] for c in classes]


# What is asked next


def test_the_least_sure_are_asked_spread_over_the_data():
    rng = np.random.default_rng(0)
    near = rng.normal(size=(5, 8)) * 0.01 + np.eye(8)[0]  # a burst, of which the model is least sure
    far = rng.normal(size=(5, 8)) * 0.01 + np.eye(8)[1]
    directions = np.concatenate([near, far, rng.normal(size=(90, 8))]).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sureness = np.concatenate([np.full(5, 0.01), np.full(5, 0.02), np.full(90, 0.9)]).astype(np.float32)
    rows = [row for row, _ in choose_next(range(100), [], directions, sureness, count=4, answered=0)]
    assert all(row < 10 for row in rows)
    assert (rows[0] < 5) != (rows[1] < 5), "the second is no other of the same burst"


def test_each_fifth_image_is_drawn_at_random_and_none_twice():
    _, pooled, _ = scatter(60)
    directions = torch.nn.functional.normalize(pooled, dim=1).numpy()
    order = list(np.random.default_rng(3).permutation(60))
    chosen = choose_next(order, [], directions, None, count=12, answered=2)
    assert [at_random for _, at_random in chosen] == [n % 5 == 0 for n in range(3, 15)]
    assert len({row for row, _ in chosen}) == 12
    assert next(row for row, at_random in chosen if at_random) in order[:3]
    lent = choose_next(order, [], directions, None, count=5, answered=0, lent=order[:9])
    assert [row for row, at_random in lent if at_random] == order[:1], "the sample has no hole"
    assert not {row for row, at_random in lent if not at_random} & set(order[:9])
    everything = choose_next(order, [], directions, None, count=5, answered=0, every=1)
    assert [row for row, _ in everything] == order[:5]
    assert choose_next([], [], directions, None, count=5, answered=0) == []
    assert len(choose_next(order[:3], [], directions, None, count=9, answered=0)) == 3


def test_the_random_sample_is_what_stands_first_whoever_asked_for_it():
    names = [f"{number}.jpg" for number in range(50)]
    order = sorted(names, key=random_place)
    assert order != names
    assert random_sample(names, {}, set()) == []
    assert random_sample(names, {order[0], order[1], order[3]}, set()) == order[:2]
    assert random_sample(names, {order[0], order[1], order[3]}, {order[2]}) == [*order[:2], order[3]]


def test_an_estimate_on_the_random_sample_is_not_that_of_the_hard_ones():
    """Of 400 images in two of three classes that cannot be told apart, the uncertain ones are asked first."""
    names, pooled, labels = scatter(400, apart=0.45, seed=5)
    learner, known = Learner(), {}
    place = {name: row for row, name in enumerate(names)}
    order = [place[name] for name in sorted(names, key=random_place)]
    directions = torch.nn.functional.normalize(pooled, dim=1).numpy()
    fitted = None
    for _ in range(60):
        free = [row for row in order if names[row] not in known]
        sureness = margins(fitted.probabilities) if fitted else None
        rows = choose_next(
            free, [place[n] for n in known], directions, sureness, count=2, answered=len(known)
        )
        known |= {names[row]: labels[row] for row, _ in rows}
        fitted = learner.fit(Lesson(names, pooled, known))
    scored = learner.score(Lesson(names, pooled, known))
    rest = [row for row in range(400) if names[row] not in known]
    said = [fitted.classes[c] for c in fitted.probabilities.argmax(1)]
    true = np.mean([said[row] == labels[row] for row in rest])
    low, high = scored.interval
    assert low <= true <= high
    assert scored.sample >= 20


# What is learnt and doubted


def test_a_head_is_fitted_from_where_the_last_one_ended_and_takes_in_new_classes():
    names, pooled, labels = scatter(90)
    known = dict(zip(names[:40], labels))
    two = {name: label for name, label in known.items() if label != "zoe"}
    learner = Learner()
    assert learner.fit(Lesson(names, pooled, {})) is None
    assert learner.fit(Lesson(names, pooled, {names[0]: "ming"})) is None
    assert learner.fit(Lesson(names, pooled, two)).classes == ("ming", "레오")
    step_by_step = learner.fit(Lesson(names, pooled, known))
    at_once = Learner().fit(Lesson(names, pooled, known))
    assert step_by_step.classes == at_once.classes == ("ming", "zoe", "레오")
    assert np.allclose(step_by_step.probabilities, at_once.probabilities, atol=1e-3)
    assert np.mean([at_once.classes[c] for c in at_once.probabilities.argmax(1)] == np.array(labels)) > 0.9


def test_no_label_is_scored_by_a_head_that_learnt_it():
    """Labels that mean nothing are said by chance, however well a head knows those that it was fitted to."""
    names, pooled, _ = scatter(150, dim=200)
    rng = np.random.default_rng(1)
    labels = {name: CLASSES[rng.integers(0, 3)] for name in names}
    learner = Learner()
    fitted = learner.fit(Lesson(names, pooled, labels))
    said = [fitted.classes[c] for c in fitted.probabilities.argmax(1)]
    assert np.mean([labels[name] == one for name, one in zip(names, said)]) > 0.8
    scored = learner.score(Lesson(names, pooled, labels))
    assert scored.sample == 150
    assert 0.2 < scored.right / scored.sample < 0.47
    assert len({random_place(name)[-1] % FOLDS for name in names}) == FOLDS


def test_wrong_labels_are_the_first_to_be_doubted():
    names, pooled, labels = scatter(200, apart=1.2)
    known = dict(zip(names, labels))
    wrong = random.Random(0).sample(names, 8)
    for name in wrong:
        known[name] = CLASSES[(CLASSES.index(known[name]) + 1) % 3]
    scored = Learner().score(Lesson(names, pooled, known))
    assert {name for name, _ in scored.doubted[:8]} == set(wrong)
    assert all(dict(zip(names, labels))[name] == said for name, said in scored.doubted[:8])
    assert {pair[:2] for pair in scored.confused} <= {(a, b) for a in CLASSES for b in CLASSES if a != b}


def test_doubt_counts_a_class_by_how_sure_its_own_images_are():
    """Source: Northcutt et al. 2021: what is above a class's mean is counted for it."""
    probabilities = (
        np.array([[9, 1, 0], [9, 1, 0], [4, 6, 0], [4, 6, 0], [4.5, 0, 5.5], [0, 0, 10]], np.float32) / 10
    )
    labels = np.array([0, 0, 1, 0, 0, 2])
    assert doubted(probabilities, labels).tolist() == [3, 4], "row 4 is below the mean of class 2"
    assert doubted(probabilities, probabilities.argmax(1)).tolist() == []


def test_more_labels_no_longer_help_once_what_is_said_stays_the_same():
    assert kappa(["a", "b", "a", "b"], ["a", "b", "a", "b"]) == 1
    assert kappa(["a", "a", "b", "b"], ["a", "b", "a", "b"]) == 0
    assert kappa(["a", "a"], ["a", "a"]) == 1
    names, pooled, labels = scatter(200, apart=2.0)
    learner = Learner()
    stable = []
    for count in range(5, 80, 5):
        learner.fit(Lesson(names, pooled, dict(zip(names[:count], labels))))
        stable.append(learner.is_stable())
    assert not any(stable[:4])
    assert stable[-1]


# A folder


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "사진"
    folder.mkdir()
    for number in range(12):
        draw(number).save(folder / f"{number}.png")
    return folder


class StandIn:
    """Features without a network: an image's mean colours."""

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def __call__(self, images, backbone, store, console):
        found = {image.name: b"" for image in images if image.path.stat().st_size}
        self.encoded += found
        return type("Features", (), {
            "names": list(found), "unreadable": [], "__len__": lambda _: len(found),
            "pooled": lambda _: np.stack([np.random.default_rng(len(n)).random(8) for n in found]),
        })()  # fmt: skip


@pytest.fixture
def teaching(photos, monkeypatch):
    monkeypatch.setattr(pools, "extract_features", StandIn())
    root, images = read_pool(DataSource(photos))
    found = Teaching(Pool(root, images, None, None), Labels(root / "labels.csv", {}), ["ming"])
    found.start()
    wait_until(lambda: len(found.snapshot.lesson.names) == 12)
    yield found
    found.close()


def test_a_table_that_was_mended_is_no_trouble_any_more(teaching, photos):
    teaching.answer({"0.png": "ming"}, "tab")
    table = photos / "labels.csv"
    content = table.read_bytes()
    table.write_bytes(b"\xff\n\xff\n")
    teaching.wake()
    wait_until(lambda: "is not UTF-8" in teaching._trouble)
    table.write_bytes(content)
    teaching.wake()
    wait_until(lambda: teaching.record("tab")["trouble"] == "")


def test_a_folder_is_taught_and_trained_on_as_it_is(teaching, photos):
    teaching.name("레오")
    for number in range(6):
        teaching.answer({f"{number}.png": "ming" if number % 2 else "레오"}, "tab")
    wait_until(lambda: teaching.snapshot.fitted is not None and len(teaching.snapshot.lesson.labels) == 6)
    record = teaching.record("tab")
    assert record["classes"] == [{"name": "ming", "count": 3}, {"name": "레오", "count": 3}]
    assert not {one["image"] for one in record["next"]} & {f"{n}.png" for n in range(6)}
    dataset = read_annotated(DataSource(photos), "labels", Console(quiet=True), to_learn=True)
    assert {image.name: image.label for image in dataset.images} == texts(teaching.labels)
    content = (photos / "labels.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfimage,label,"), "spreadsheets know UTF-8 by this"
    assert len(read_pool(DataSource(photos))[1]) == 12, "those without a label, too"
    assert read_pool(DataSource(photos / "labels.csv"))[0] == photos


def test_what_is_put_off_comes_last_and_two_tabs_are_shown_different_images(teaching):
    first = teaching.record("one")["next"][0]["image"]
    assert first not in [one["image"] for one in teaching.record("two")["next"] if not one["random"]]
    teaching.answer({first: ""}, "one")
    assert first not in [one["image"] for one in teaching.record("one")["next"]]
    assert texts(teaching.labels) == {}


def test_nobody_labels_what_is_not_there(teaching):
    with pytest.raises(ConfigError, match="no image"):
        teaching.answer({"../secret.png": "ming"}, "tab")
    with pytest.raises(ConfigError, match="no class"):
        teaching.answer({"0.png": "zoe"}, "tab")


def test_an_image_that_is_dropped_in_never_takes_the_place_of_another(teaching, photos):
    content = (photos / "0.png").read_bytes()
    names = [
        teaching.add(content, name, "added", "", "tab", 10**6) for name in ["../../0.png", "0.png", ".png"]
    ]
    assert names == ["added/_.._0.png", "added/0.png", "added/png.png"]
    again = teaching.add(content, "0.png", "added", "ming", "tab", 10**6)
    assert again == "added/0-2.png"
    assert all((photos / name).read_bytes() == content for name in [*names, again])
    assert {path.parent for path in photos.rglob("*.png")} == {photos, photos / "added"}
    wait_until(lambda: again in teaching.snapshot.place)
    assert texts(teaching.labels) == {again: "ming"}


def test_class_folders_begin_a_table_that_then_speaks_for_them(tmp_path):
    for number in range(8):
        folder = tmp_path / ("ming" if number % 2 else "레오")
        folder.mkdir(exist_ok=True)
        draw(number).save(folder / f"{number}.png")
    root, images = read_pool(DataSource(tmp_path))
    brought = {name: image.label for name, image in images.items()}
    assert root == tmp_path
    assert set(brought.values()) == {"ming", "레오"}
    labels = Labels(root / "labels.csv", brought)
    assert texts(labels) == brought
    assert not (root / "labels.csv").exists(), "nothing is written before there is an answer"
    labels.give({"ming/1.png": "레오"}, PERSON, "tab")
    dataset = read_annotated(DataSource(tmp_path), "labels", Console(quiet=True), to_learn=True)
    assert {image.name: image.label for image in dataset.images} == brought | {"ming/1.png": "레오"}


def test_what_was_labelled_in_another_table_is_begun_with(photos):
    (photos / "breeds.csv").write_text("id,breed\n0,ming\n1,레오\n2,ming\n3,레오\n", encoding="utf-8")
    root, images = read_pool(DataSource(photos / "breeds.csv"))
    assert root == photos
    assert {name: image.label for name, image in images.items()} == {
        "0.png": "ming", "1.png": "레오", "2.png": "ming", "3.png": "레오"
    }  # fmt: skip


def test_settings_are_checked():
    with pytest.raises(ConfigError):
        Teach(data="x", max_body_mb=0)
