"""Kill -9 while a model is trained, fine-tuned and exported; lines of kill.py."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import models
from campaign import Attempt, Figures, Finding, NotHere
from extracting import NETWORK, draw_images, settings, small_batches
from killing import Undisturbed, command, digests, emptied, finish, forked, killed

RESULTS = ("model/model.safetensors", "metrics.jsonl", "evaluation-val.json", "predictions-val.jsonl")
CHECKPOINTS = ("checkpoints/last.safetensors", "checkpoints/best.safetensors")


def _training(arguments: list[str], folder: Path) -> Iterator[Attempt]:
    """Kill a training; resume it."""
    from showtell.kinds import training

    small_batches()
    training.LoopConfig = partial(training.LoopConfig, checkpoint_seconds=0.0)  # type: ignore[misc,assignment]

    def train(place: Path, *more: str) -> Callable[[], int]:
        return command([*arguments, "--out", str(place / "run"), "--store", str(place / "store"), *more])

    (folder / "whole").mkdir()
    how_long = Undisturbed(train(folder / "whole"), folder / "log")
    whole = digests(folder / "whole/run", RESULTS + CHECKPOINTS)
    if len(whole) < 4:
        raise RuntimeError(f"the training leaves {', '.join(whole)} alone")

    def attempt(chance: random.Random) -> Figures:
        place, log, kills = emptied(folder / "round"), folder / "round.log", 0
        log.unlink(missing_ok=True)

        def work() -> Callable[[], int]:
            return train(place, *(["--resume"] if (place / "run").exists() else []))

        for _ in range(chance.randint(1, 3)):
            kills += killed(work(), log, how_long, chance)
            served = place / "run/model"
            if (served / "config.json").exists() and (
                digests(served, ("model.safetensors",)).get("model.safetensors") != whole[RESULTS[0]]
            ):
                raise Finding("a model is served that is not the finished one")
        finish(work(), log, "the training")
        found = digests(place / "run", tuple(whole))
        if different := [name for name in whole if found.get(name) != whole[name]]:
            raise Finding(f"the resumed training ends otherwise: {', '.join(different)}")
        left = [path.name for path in (place / "run").rglob("*.partial")]
        return {"kills": kills, "left-overs": len(left)}

    yield attempt


def captioner(folder: Path) -> Iterator[Attempt]:
    """Kill a training on captions."""
    forked(partial(draw_images, folder / "data"), folder / "log")
    rare = settings(folder, image_size=64, hidden_dim=16, augmentations=1, patience=99)
    data = str(folder / "data" / "captions.json")
    yield from _training(["train-captioner", data, *NETWORK, "--epochs", "2", *rare], folder)


def _draw_classes(folder: Path) -> None:
    from PIL import Image

    for part, count in (("train", 20), ("val", 8)):
        for number in range(count):
            colour = ("red", "blue")[number % 2]
            path = folder / part / colour / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = Image.effect_noise((64, 64), 60 + number).convert("RGB")
            Image.blend(image, Image.new("RGB", (64, 64), colour), 0.5).save(path)


def fine_tuning(folder: Path) -> Iterator[Attempt]:
    """Kill a training on classes that goes on to tune the network."""
    _draw_classes(folder / "data")
    rare = settings(folder, image_size=64, batch_size=5)
    tuned = ["--head", "mlp", "--fine-tune", "0.4", "--epochs", "2"]
    network = ["--backbone", "test_efficientnet", "--weights", "random"]
    yield from _training(["train-classifier", str(folder / "data"), *network, *tuned, *rare], folder)


def _model(run: Path) -> None:
    models.classifier(run / "model")


def export(folder: Path) -> Iterator[Attempt]:
    """Kill an export; a half-written one is never taken for a whole one."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise NotHere(str(error)) from None
    forked(partial(_model, folder / "run"), folder / "log")
    names = ("encoder.onnx", "head.onnx", "classifier.onnx", "run.py", "README.md")

    def export(out: Path) -> Callable[[], int]:
        return command(["export", str(folder / "run"), "--out", str(out), "--num-images", "2"])

    how_long = Undisturbed(export(folder / "whole"), folder / "log")
    graphs = tuple(path.name for path in (folder / "whole").glob("*.onnx"))
    whole = digests(folder / "whole", (*names, *graphs))

    def attempt(chance: random.Random) -> Figures:
        out, log, kills = emptied(folder / "round") / "onnx", folder / "round.log", 0
        log.unlink(missing_ok=True)
        for _ in range(chance.randint(1, 2)):
            kills += killed(export(out), log, how_long, chance)
            marked = any(path.name.isupper() and path.suffix != ".md" for path in out.glob("*"))
            served = (out / "model.json").exists() and not marked
            if served and digests(out, graphs) != {name: whole[name] for name in graphs}:
                raise Finding("a half-written export is not marked as one")
        finish(export(out), log, "export")
        if digests(out, graphs) != {name: whole[name] for name in graphs}:
            raise Finding("the next export is another")
        return {"kills": kills}

    yield attempt
