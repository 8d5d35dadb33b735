"""A classifier end to end on drawn classes: every bad input with its message, the record, the prediction."""

import csv
import json
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from conftest import draw, encoded, settings_file, shared
from showtell import cli
from showtell.backbones.imagenet import imagenet_names, names_in_imagenet, pretraining_warning
from showtell.data.images import load_pixels
from showtell.kinds.classifier.model import ClassifierModel
from showtell.kinds.model_folder import load, load_model

SETTINGS = "--backbone test_resnet --weights random"
COLOURS = {"빨강": "red", "Blue": "blue", "녹색": "green"}


def image(number: int, colour: str) -> Image.Image:
    """A scene with a large disc in the colour of the class."""
    image = draw(number, 64)
    ImageDraw.Draw(image).ellipse((8, 8, 56, 56), fill=colour)
    return image


def write_classes(folder: Path, each: int = 20) -> Path:
    for i, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            path = folder / name / f"{number}.png"
            image(100 * i + number, colour).save(path)
            os.utime(path, (1e9, 1e9))  # a file written just now is read again, to be sure
    return folder


def train(data: Path, out: Path, *more: str) -> int:
    return cli.run(
        [
            "train-classifier",
            str(data),
            "--out",
            str(out),
            *SETTINGS.split(),
            *settings_file(image_size=64),
            *more,
        ]
    )


def recorded(run: Path) -> set[str]:
    lines = (run / "images.jsonl").read_text("utf-8").splitlines()
    return {json.loads(line)["name"] for line in lines}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    data = write_classes(folder / "data")
    assert train(data, folder / "run", "--store", str(folder / "store")) == 0
    return folder / "run"


@pytest.fixture
def data(tmp_path) -> Path:
    return write_classes(tmp_path / "data", each=8)


def test_colours_are_told_apart_and_the_table_of_heads_is_printed(data, tmp_path, capsys):
    assert train(data, tmp_path / "run") == 0
    said = capsys.readouterr().err
    for head in ("linear", "mlp", "knn"):
        assert f"\n{head} " in said
    assert said.count("<- chosen") == 1
    assert "95% interval" in said
    record = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    assert record["scores"]["accuracy"] == 1
    assert set(record["classes"]) == set(COLOURS)


def test_the_order_of_classes_is_saved(run):
    model = load_model(run)
    assert isinstance(model, ClassifierModel)
    assert model.config.classes == tuple(sorted(COLOURS))
    assert model.config.head.classes == 3


def test_evaluation_names_split_count_interval_and_calibration(run, tmp_path, capsys):
    command = ["evaluate", str(run), "--store", str(run.parent / "store"), "--out", str(tmp_path), "--json"]
    assert cli.run(command) == 0
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert record["split"] == "test"
    assert record["images"] == sum(entry["images"] for entry in record["classes"].values())
    assert set(record["scores"]) >= {"accuracy", "top5", "macro_f1", "calibration_error"}
    low, high = record["intervals_95"]["accuracy"]
    assert 0 <= low <= record["scores"]["accuracy"] <= high <= 1
    assert "before temperature scaling" in err
    lines = (tmp_path / "predictions-test.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == record["images"]
    assert set(json.loads(lines[0])) == {"image", "label", "log_likelihood", "classes"}


def test_other_labels_are_scored_and_strange_classes_named(run, tmp_path, capsys):
    other = tmp_path / "other"
    for name, colour in (("Blue", "blue"), ("노랑", "yellow")):
        (other / name).mkdir(parents=True)
        for number in range(500, 503):
            image(number, colour).save(other / name / f"{number}.png")
    assert cli.run(["evaluate", str(run), str(other), "--out", str(tmp_path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["images"] == 3
    assert "3 images of 1 classes that the model does not know are left out: 노랑" in err
    assert "were trained on" not in err


def test_images_that_were_trained_on_are_told_by_their_content(run, tmp_path, capsys):
    data = Path(json.loads((run / "config.json").read_text("utf-8"))["config"]["data"])
    records = [json.loads(line) for line in (run / "images.jsonl").read_text("utf-8").splitlines()]
    learnt = [record["name"] for record in records if record["split"] == "train"][:4]
    other = write_classes(tmp_path / "other", each=4)
    for number, path in enumerate(sorted(other.rglob("*.png"))):
        image(7000 + number, "blue").save(path)
    fresh = number + 1
    for name in learnt:
        shutil.copy(data / name, other / Path(name).parent / f"copy of {Path(name).name}")
    places = ["--out", str(tmp_path), "--store", str(run.parent / "store")]
    assert cli.run(["evaluate", str(run), str(tmp_path / "other"), *places]) == 0
    assert f"Warning: 4 of these {fresh + 4} images were trained on" in capsys.readouterr().err


def test_a_prediction_gives_per_cent_and_knows_the_right_class(run, tmp_path, capsys):
    path = tmp_path / "Blue" / "새.png"
    path.parent.mkdir()
    image(900, "blue").save(path)
    assert cli.run(["predict", str(run), str(path)]) == 0
    assert capsys.readouterr().out.startswith("Blue ")
    drawn = tmp_path / "그림.png"
    assert cli.run(["predict", str(run), str(path), "--json", "--save-plot", str(drawn)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["class"] == record["right"] == "Blue"
    assert sum(record["classes"].values()) == pytest.approx(1, abs=1e-4)
    assert list(record["classes"].values()) == sorted(record["classes"].values(), reverse=True)
    pixels = np.asarray(Image.open(drawn).convert("RGB")).reshape(-1, 3)
    assert (np.abs(pixels.astype(int) - (0x1D, 0x7A, 0x45)).sum(1) < 12).sum() > 500  # the green bar


def test_a_known_image_is_recognised_wherever_it_lies(run, tmp_path, capsys):
    copy = tmp_path / "copy.png"
    shutil.copy(run.parent / "data" / "빨강" / "3.png", copy)
    assert cli.run(["predict", str(run), str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == "빨강"


def test_prediction_training_and_store_see_the_same(run):
    model = load_model(run)
    path = run.parent / "data" / "Blue" / "5.png"
    pixels = load_pixels(path, model.backbone.preprocessing).unsqueeze(0)
    alone = model.probabilities(model.backbone(pixels)[1])
    together = model.probabilities(model.backbone(pixels.repeat(4, 1, 1, 1))[1])
    assert alone.sum() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(together[2], alone[0], atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    "split", [("Train", "Validation", "Test"), ("train", "val", "test"), ("TRAIN", "VALID", "TEST")]
)
def test_split_folders_in_any_case(tmp_path, capsys, split):
    for i, part in enumerate(split):
        for name, colour in COLOURS.items():
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for number in range(4):
                seed = 1000 * i + 100 * list(COLOURS).index(name) + number
                image(seed, colour).save(tmp_path / "data" / part / name / f"{number}.png")
    assert train(tmp_path / "data", tmp_path / "run", "--head", "linear") == 0
    assert "Split: 12 train, 12 val, 12 test" in capsys.readouterr().err
    assert cli.run(["evaluate", str(tmp_path / "run")]) == 0
    assert "test, 12 images of 3 classes" in capsys.readouterr().err


def test_a_labels_table_beside_a_flat_folder_whose_ids_lack_the_extension(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    with (tmp_path / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["사진번호", "견종"])
        for i, (name, colour) in enumerate(COLOURS.items()):
            for number in range(8):
                image(100 * i + number, colour).save(tmp_path / "images" / f"{i}a{number}.jpg", quality=95)
                writer.writerow([f"{i}a{number}", unicodedata.normalize("NFD", name)])
    columns = ["--image-column", "사진번호", "--text-column", "견종", "--images", str(tmp_path / "images")]
    assert train(tmp_path / "labels.csv", tmp_path / "run", "--head", "linear", *columns) == 0
    assert "24 images of 3 classes" in capsys.readouterr().err
    assert load_model(tmp_path / "run").config.classes == tuple(sorted(COLOURS))
    assert cli.run(["evaluate", str(tmp_path / "run")]) == 0


def test_every_bad_input_is_told_and_the_training_goes_on(data, tmp_path, capsys):
    (data / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (data / "Blue" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (data / "leer").mkdir()
    (data / "Blue" / "notes.txt").write_text("no image")
    (data / "Blue" / "cut.jpg").write_bytes(encoded(draw(1), "JPEG")[:200])
    (data / "Blue" / "gif.jpg").write_bytes(encoded(image(77, "blue"), "GIF"))
    shutil.copy(data / "Blue" / "0.png", data / "빨강" / "same.png")
    for number in range(4):
        (data / f"한장{number}").mkdir()
        draw(50 + number).save(data / f"한장{number}" / "하나.png")
    assert train(data, tmp_path / "run", "--head", "linear") == 0
    said = capsys.readouterr().err
    assert "1 x empty class folder: leer: holds no images; left out" in said
    assert "hidden file" in said
    assert "1 x not an image: Blue/notes.txt" in said
    assert "1 x unreadable image: Blue/cut.jpg" in said
    other = "Blue/0.png: 'Blue' here, and '빨강' as 빨강/same.png; left out"
    assert f"2 x one photo, two labels, for example: {other}" in said
    names = recorded(tmp_path / "run")
    assert "Blue/gif.jpg" in names  # a GIF by any other name
    assert not names & {"Blue/0.png", "빨강/same.png", "Blue/cut.jpg"}
    one = [f"한장{n}" for n in range(4) if f"한장{n}" in load_model(tmp_path / "run").config.classes]
    assert ("class with one training image" in said) == bool(one)
    assert ("class without training images" in said) == (len(one) < 4)


def test_a_small_class_is_told(data, tmp_path, capsys):
    for number in range(40):
        image(3000 + number, "blue").save(data / "Blue" / f"more{number}.png")
    (data / "klein").mkdir()
    for number in range(3):
        image(4000 + number, "white").save(data / "klein" / f"{number}.png")
    assert train(data, tmp_path / "run", "--head", "linear") == 0
    said = capsys.readouterr().err
    assert "small class" in said or "class with one training image" in said
    assert "klein" in said


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("one class", "has a single class, 'Blue', with 8 images: there is nothing to tell apart"),
        ("no images", "holds no class folder with images"),
        ("unreadable", "None of the 24 images can be used"),
    ],
)
def test_nothing_to_learn_is_refused(data, tmp_path, capsys, spoil, message):
    for path in list(data.rglob("*.png")):
        if spoil == "unreadable":
            path.write_bytes(b"no")
        elif spoil == "no images" or path.parent.name != "Blue":
            path.unlink()
    assert train(data, tmp_path / "run", "--format", "classes") == 2
    assert message in capsys.readouterr().err


def test_captions_are_no_labels(tmp_path, capsys):
    draw(1).save(tmp_path / "1.png")
    (tmp_path / "captions.csv").write_text("image,caption\n1.png,a red house\n1.png,a tall house\n", "utf-8")
    assert train(tmp_path / "captions.csv", tmp_path / "run") == 2
    assert "holds captions and no labels" in capsys.readouterr().err


def test_near_duplicates_of_training_are_counted_and_scored_apart(tmp_path, capsys):
    for part, offset in (("train", 0), ("val", 1000)):
        for name, colour in COLOURS.items():
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for number in range(5):
                seed = offset + 100 * list(COLOURS).index(name) + number
                draw_on = image(seed, colour)
                draw_on.save(tmp_path / "data" / part / name / f"{number}.png")
    twin = image(2, "blue")  # nearly the training image of that seed
    twin.putpixel((0, 0), (1, 2, 3))
    image(2, "blue").save(tmp_path / "data" / "train" / "Blue" / "twin.png")
    twin.save(tmp_path / "data" / "val" / "Blue" / "twin.png")
    assert train(tmp_path / "data", tmp_path / "run", "--head", "linear") == 0
    record = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    assert "val/Blue/twin.png" in record["near_duplicates_of_training"]
    rest = record["images"] - len(record["near_duplicates_of_training"])
    assert record.get("without_near_duplicates", {"images": 0})["images"] == rest
    assert "near-duplicates of training images" in capsys.readouterr().err


def test_views_are_learnt_from_and_looked_at_once(data, tmp_path, capsys):
    assert (
        train(data, tmp_path / "one", "--head", "linear", *settings_file(image_size=64, augmentations=2)) == 0
    )
    assert "View 2 of 2" in capsys.readouterr().err
    assert (
        train(data, tmp_path / "two", "--head", "linear", *settings_file(image_size=64, augmentations=2)) == 0
    )
    assert "Encoding" not in capsys.readouterr().err
    plain = train(data, tmp_path / "plain", "--head", "linear")
    assert plain == 0
    one, two, none = (load_model(tmp_path / name).head.linear.weight for name in ("one", "two", "plain"))
    assert torch.equal(one, two)
    assert not torch.equal(one, none)


def test_a_run_is_not_overwritten(run, capsys):
    assert train(run.parent / "data", run) == 2
    assert "holds a training already" in capsys.readouterr().err


def test_changed_class_names_are_noticed(run, tmp_path):
    from showtell.errors import ModelError

    folder = shutil.copytree(run / "model", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["classes"] = config["classes"][::-1]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ModelError, match="The classes of"):
        load_model(folder)


def test_names_of_imagenet_are_recognised_however_they_are_written():
    assert len(imagenet_names()) == 1000
    found = names_in_imagenet(["Afghan_hound", "n02085620-Chihuahua", "tabby cat", "Leo", "고양이"])
    assert found == ["Afghan_hound", "n02085620-Chihuahua", "tabby cat"]


def test_a_data_set_of_the_pretraining_is_warned_of():
    dogs = ("afghan_hound", "basset", "beagle", "my_dog")
    warning = pretraining_warning(dogs, "hub somewhere")
    assert warning is not None and "3 of 4 classes are classes of ImageNet" in warning
    assert pretraining_warning(dogs, "random, seed 0") is None
    assert pretraining_warning(("Leo", "Eve", "Ming"), "hub somewhere") is None


def test_without_training_imagenets_classes_are_named(tmp_path, capsys):
    weights = shared("weights", "mobilenetv2_100_tf")
    photo = shared("data", "phone") / "1587034022066-6.jpg"
    assert cli.run(["predict", str(weights), str(photo)]) == 0
    assert capsys.readouterr().out.startswith("tabby, tabby cat ")
    assert (
        cli.run(["predict", str(weights), str(photo), "--json", "--save-plot", str(tmp_path / "a.png")]) == 0
    )
    record = json.loads(capsys.readouterr().out)
    assert len(record["classes"]) == 5
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_the_precision_that_is_asked_for_holds_without_training_too():
    weights = shared("weights", "mobilenetv2_100_tf")
    assert load(weights, precision="bfloat16").backbone.description.precision == "bfloat16"


def test_a_network_without_weights_at_hand_is_explained(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    draw(1).save(tmp_path / "1.png")
    assert cli.run(["predict", "resnet18", str(tmp_path / "1.png")]) == 2
    said = capsys.readouterr().err
    assert "weights of resnet18" in said
    assert "showtell predict FOLDER PICTURE" in said


def test_the_cats(tmp_path, capsys):
    """Notes: 0.60 on frozen features; a few seconds must do better than that."""
    cats, weights = shared("data", "knyang"), shared("weights", "mobilenetv2_100_tf")
    command = ["train-classifier", str(cats), "--weights", str(weights), "--out", str(tmp_path / "run")]
    assert cli.run([*command, "--head", "linear"]) == 0
    record = json.loads((tmp_path / "run" / "evaluation-val.json").read_text("utf-8"))
    assert record["images"] == 50
    assert record["scores"]["accuracy"] >= 0.96
    capsys.readouterr()


def test_many_images_are_never_in_memory_at_once(tmp_path):
    """120 classes: memory grows by far less than the pixels of the images that are added.

    ``SHOWTELL_TEST_PICTURES=10000`` makes it 10,000 images.
    """
    most = int(os.environ.get("SHOWTELL_TEST_PICTURES", "2400"))
    few, many = (peak_of_training(tmp_path / str(count), count) for count in (600, most))
    pixels = (most - 600) * 3 * 96 * 96 / 1e6
    assert few["classes"] == many["classes"] == 120
    assert many["peak"] - few["peak"] < pixels / 2
    assert many["accuracy"] > 0.3  # of 120 classes, by random weights


def peak_of_training(folder: Path, images: int) -> dict[str, float]:
    """Train and evaluate in a process of its own; return its peak memory, MB."""
    colours = np.random.default_rng(0).integers(0, 256, (120, 3, 3, 3), dtype=np.uint8)
    shades = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    rows = ["id,breed"]
    for number in range(images):
        # The colours of a class at places that change: always at the same ones, a class would be one scene.
        placed = shades.permutation(colours[number % 120].reshape(9, 3)).reshape(3, 3, 3)
        noisy = placed * shades.uniform(0.8, 1.0, (3, 3, 1))
        image = Image.fromarray(noisy.astype(np.uint8)).resize((96, 96), Image.Resampling.NEAREST)
        image.save(folder / "images" / f"{number}.jpg", quality=80)
        rows.append(f"{number},종{number % 120}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", "utf-8")
    run, store = str(folder / "run"), str(folder / "store")
    train = ["train-classifier", str(folder / "labels.csv"), "--out", run, "--store", store]
    train += [
        "--backbone",
        "test_resnet",
        "--weights",
        "random",
        "--head",
        "linear",
        *settings_file(image_size=96),
    ]
    code = (
        "import resource, sys; from showtell.cli import run\n"
        f"assert run({train!r}) == 0 and run(['evaluate', {run!r}]) == 0\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    record = json.loads((folder / "run" / "evaluation-test.json").read_text("utf-8"))
    assert record["images"] > images / 20
    return {
        "peak": int(done.stdout) / 1000,
        "classes": len(record["classes"]),
        "accuracy": record["scores"]["accuracy"],
    }
