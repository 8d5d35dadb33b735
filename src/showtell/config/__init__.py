"""One frozen dataclass a command: arguments of the library, flags of the command line, record of a run."""

from showtell.config.export import Export
from showtell.config.hub import Pull, Push
from showtell.config.live import Live
from showtell.config.look import Look
from showtell.config.preview import Preview, PreviewAugment, PreviewNormalize, PreviewTokens
from showtell.config.records import load_config, save_config, to_json
from showtell.config.report import Report
from showtell.config.running import Evaluate, Extract, Predict, Store
from showtell.config.serve import Demo, Serve
from showtell.config.source import DataSource
from showtell.config.training import Compare, Quickstart, TrainCaptioner, TrainClassifier

__all__ = [
    "Compare",
    "DataSource",
    "Demo",
    "Evaluate",
    "Export",
    "Extract",
    "Live",
    "Look",
    "Predict",
    "Preview",
    "PreviewAugment",
    "PreviewNormalize",
    "PreviewTokens",
    "Pull",
    "Push",
    "Quickstart",
    "Report",
    "Serve",
    "Store",
    "TrainCaptioner",
    "TrainClassifier",
    "load_config",
    "save_config",
    "to_json",
]
