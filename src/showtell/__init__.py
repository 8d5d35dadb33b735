"""Show it your pictures. It tells you what it sees.

Every command is a function of its config: ``train_captioner(TrainCaptioner(data=..., out=...))``.
"""

import os
import sys
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Threads of torch's that wait for one another turn in circles for 300,000 rounds before they sleep, on a core
# that the one they wait for needs. Beside another program a step of training takes 25 times as long then, and
# 4 times with fewer rounds (docs/log.md). OpenMP reads this when torch is imported.
if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

# Imported when first asked for: torch takes seconds, and `showtell --help` must not wait for it.
_WHERE = {
    "Compare": "showtell.config",
    "Demo": "showtell.config",
    "Evaluate": "showtell.config",
    "Export": "showtell.config",
    "Extract": "showtell.config",
    "Live": "showtell.config",
    "Look": "showtell.config",
    "Predict": "showtell.config",
    "Preview": "showtell.config",
    "PreviewAugment": "showtell.config",
    "PreviewNormalize": "showtell.config",
    "PreviewTokens": "showtell.config",
    "Pull": "showtell.config",
    "Push": "showtell.config",
    "Quickstart": "showtell.config",
    "Report": "showtell.config",
    "Serve": "showtell.config",
    "Store": "showtell.config",
    "TrainCaptioner": "showtell.config",
    "TrainClassifier": "showtell.config",
    "ShowtellError": "showtell.errors",
    "compare": "showtell.tasks.compare",
    "demo": "showtell.tasks.serve",
    "evaluate": "showtell.tasks.evaluate",
    "export": "showtell.tasks.export",
    "extract": "showtell.tasks.extract",
    "live": "showtell.tasks.live",
    "load": "showtell.inference",
    "look": "showtell.tasks.look",
    "predict": "showtell.tasks.predict",
    "preview": "showtell.tasks.preview",
    "preview_augment": "showtell.tasks.preview",
    "preview_normalize": "showtell.tasks.preview",
    "preview_tokens": "showtell.tasks.preview",
    "pull": "showtell.tasks.pull",
    "push": "showtell.tasks.push",
    "quickstart": "showtell.tasks.quickstart",
    "serve": "showtell.tasks.serve",
    "store": "showtell.tasks.extract",
    "train_captioner": "showtell.tasks.train_captioner",
    "train_classifier": "showtell.tasks.train_classifier",
    "write_report": "showtell.tasks.report",  # showtell.report is the room
}
__all__ = ["__version__", *sorted(_WHERE)]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'showtell' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
