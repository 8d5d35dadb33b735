"""The list of verbs, once: what each command is for, its settings, and the function that carries it out."""

import textwrap
from importlib import import_module
from typing import Any, NamedTuple


class Command(NamedTuple):
    """What a command is for, and where it is found; nothing is imported before it is asked for."""

    group: str
    """Commands of one group stand together in the overview."""
    summary: str
    """What it does, as the first paragraph of its settings' docstring says."""
    settings: str
    """Path of the dataclass of its settings, whose fields are its flags."""
    function: str
    """Path of the function that takes them."""


COMMANDS: dict[str, Command] = {
    "quickstart": Command(
        "Begin",
        "Try everything offline: draw scenes, train a captioner, "
        "evaluate it on unseen scenes, show the result.",
        "quickstart.settings.Quickstart",
        "quickstart.quickstart.run_quickstart",
    ),
    "lesson": Command(
        "Begin",
        "List the lessons, or copy one into the folder you are in; each runs in under a minute, offline.",
        "lessons.settings.Lesson",
        "lessons.lesson.lesson",
    ),
    "inspect": Command(
        "Look at your data",
        "See what is in a data set, and what is wrong with it: as text, and as a page for the browser.",
        "inspection.settings.Inspect",
        "inspection.inspect.inspect",
    ),
    "preview": Command(
        "Look at your data",
        "See what training will make of your images and captions; each of the three writes a drawing.",
        "previews.settings.Preview",
        "previews.preview.preview",
    ),
    "teach": Command(
        "Look at your data",
        "Name the classes of images in the browser, or write captions of them, while a model learns.",
        "teaching.settings.Teach",
        "teaching.teach.teach",
    ),
    "extract": Command(
        "Encode and train",
        "Encode every image once and keep its features in the store.",
        "extraction.settings.Extract",
        "extraction.command.extract",
    ),
    "train-captioner": Command(
        "Encode and train",
        "Train a captioner on images and their captions; the result is a folder, RUN.",
        "kinds.captioner.settings.TrainCaptioner",
        "kinds.captioner.train.train_captioner",
    ),
    "train-classifier": Command(
        "Encode and train",
        "Train a classifier on class folders or a labels table; the result is a folder, RUN.",
        "kinds.classifier.settings.TrainClassifier",
        "kinds.classifier.train.train_classifier",
    ),
    "compare-backbones": Command(
        "Encode and train",
        "Compare backbones by what a short training on their features reaches, and by what they cost.",
        "comparison.settings.CompareBackbones",
        "comparison.backbones.compare_backbones",
    ),
    "evaluate": Command(
        "Judge",
        "Score a run on its test split, or on other data: figures with 95% intervals, best and worst.",
        "kinds.settings.Evaluate",
        "kinds.evaluate.evaluate",
    ),
    "compare": Command(
        "Judge",
        "Compare finished runs on the same images: "
        "differences with paired 95% intervals, images won and lost.",
        "comparison.settings.Compare",
        "comparison.runs.compare",
    ),
    "report": Command(
        "Judge",
        "Write RUN/report.html: scores, curves, best and worst images "
        "or mistakes, with the model's attention.",
        "kinds.settings.Report",
        "kinds.report.write_report",
    ),
    "predict": Command(
        "Use",
        "Caption or classify images: one, a folder, a whole library, or some of the run's own test images.",
        "kinds.settings.Predict",
        "kinds.predict.predict",
    ),
    "search": Command(
        "Use",
        "Find images that look like another one, or that show what a text says.",
        "searching.settings.Search",
        "searching.search.search",
    ),
    "demo": Command(
        "Use",
        "Show a model on a web page, for images and for the camera.",
        "serving.settings.Demo",
        "serving.serve.demo",
    ),
    "serve": Command(
        "Use",
        "Caption or classify images over HTTP.",
        "serving.settings.Serve",
        "serving.serve.serve",
    ),
    "live": Command(
        "Use",
        "Caption or classify a camera, a video or a stream; q or Esc ends it.",
        "video.settings.Live",
        "video.live.live",
    ),
    "push": Command(
        "Ship",
        "Send a model to the Hugging Face Hub, privately by default; no image is ever sent.",
        "hub.settings.Push",
        "hub.transfer.push",
    ),
    "pull": Command(
        "Ship",
        "Fetch a model from the Hugging Face Hub, and check that it is complete and loads.",
        "hub.settings.Pull",
        "hub.transfer.pull",
    ),
    "export": Command(
        "Ship",
        "Write a model as ONNX files that run without torch, and check them against the original.",
        "onnx_export.settings.Export",
        "onnx_export.export.export",
    ),
    "store": Command(
        "Encode and train",
        "List what the feature store holds; merge, verify, export or shrink it.",
        "store.settings.Store",
        "store.command.list_store",
    ),
}
BESIDES = (
    "errors.ShowtellError",
    "data.source.DataSource",
    "extraction.command.features",
    "extraction.features.Features",
    "inspection.result.Inspection",
    "kinds.model.Model",
    "kinds.captioner.model.CaptionResult",
    "kinds.classifier.model.ClassResult",
    "kinds.model_folder.load",
    "kinds.predict.Prediction",
    "process.tune_process",
    "previews.preview.preview_augment",
    "previews.preview.preview_normalize",
    "previews.preview.preview_tokens",
    "previews.settings.PreviewAugment",
    "previews.settings.PreviewNormalize",
    "previews.settings.PreviewTokens",
    "searching.result.Found",
    "runs.run.Run",
    "store.store.FeatureStore",
)
"""What the package offers besides its commands."""
PUBLIC = {
    path.rpartition(".")[2]: path for path in (*(p for c in COMMANDS.values() for p in c[2:]), *BESIDES)
}
"""Each public name of the package, and its path."""


def overview(width: int) -> str:
    """Return what the program can do, in groups; it imports nothing of the commands.

    Args:
        width: Of the terminal, in columns.
    """
    width, column = min(width, 100), max(map(len, COMMANDS)) + 4
    parts = ["usage: showtell COMMAND ...", "Show it your pictures. It tells you what it sees."]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines = [
            textwrap.fill(
                command.summary,
                max(width, column + 20),
                initial_indent=f"  {name}".ljust(column),
                subsequent_indent=" " * column,
            )
            for name, command in COMMANDS.items()
            if command.group == group
        ]
        parts.append("\n".join([f"{group}:", *lines]))
    parts.append("showtell COMMAND --help says what a command takes.")
    return "\n\n".join(parts)


def find(path: str) -> Any:
    """Import what a path within the package names: ``kinds.predict.predict``."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"showtell.{module}"), name)
