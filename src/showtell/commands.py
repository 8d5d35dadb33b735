"""The list of verbs, once: each command's settings and the function that carries it out."""

from importlib import import_module
from typing import Any, NamedTuple


class Command(NamedTuple):
    """Where a command is found; nothing is imported before it is asked for."""

    settings: str
    """Path of the dataclass of its settings, whose fields are its flags."""
    function: str
    """Path of the function that takes them."""


COMMANDS: dict[str, Command] = {
    "quickstart": Command("quickstart.settings.Quickstart", "quickstart.quickstart.run_quickstart"),
    "lesson": Command("lessons.settings.Lesson", "lessons.lesson.lesson"),
    "inspect": Command("inspection.settings.Inspect", "inspection.inspect.inspect"),
    "preview": Command("previews.settings.Preview", "previews.preview.preview"),
    "teach": Command("teaching.settings.Teach", "teaching.teach.teach"),
    "extract": Command("extraction.settings.Extract", "extraction.command.extract"),
    "train-captioner": Command(
        "kinds.captioner.settings.TrainCaptioner", "kinds.captioner.train.train_captioner"
    ),
    "train-classifier": Command(
        "kinds.classifier.settings.TrainClassifier", "kinds.classifier.train.train_classifier"
    ),
    "compare-backbones": Command(
        "comparison.settings.CompareBackbones", "comparison.backbones.compare_backbones"
    ),
    "evaluate": Command("kinds.settings.Evaluate", "kinds.evaluate.evaluate"),
    "compare": Command("comparison.settings.Compare", "comparison.runs.compare"),
    "report": Command("kinds.settings.Report", "kinds.report.write_report"),
    "predict": Command("kinds.settings.Predict", "kinds.predict.predict"),
    "search": Command("searching.settings.Search", "searching.search.search"),
    "demo": Command("serving.settings.Demo", "serving.serve.demo"),
    "serve": Command("serving.settings.Serve", "serving.serve.serve"),
    "live": Command("video.settings.Live", "video.live.live"),
    "push": Command("hub.settings.Push", "hub.transfer.push"),
    "pull": Command("hub.settings.Pull", "hub.transfer.pull"),
    "export": Command("onnx_export.settings.Export", "onnx_export.export.export"),
    "store": Command("store.settings.Store", "store.command.list_store"),
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
PUBLIC = {path.rpartition(".")[2]: path for path in (*(p for c in COMMANDS.values() for p in c), *BESIDES)}
"""Each public name of the package, and its path."""


def find(path: str) -> Any:
    """Import what a path within the package names: ``kinds.predict.predict``."""
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"showtell.{module}"), name)
