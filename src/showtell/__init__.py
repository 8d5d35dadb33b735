"""Show it your pictures. It tells you what it sees.

Every command is a function of its config: ``train_captioner(TrainCaptioner(data=..., out=...))``.
"""

import os
import sys
from typing import Any

from showtell.commands import PUBLIC, find

__version__ = "0.1.0"

# Threads of torch's that wait for one another turn in circles for 300,000 rounds before they sleep, on a core
# that the one they wait for needs. Beside another program a step of training takes 25 times as long then, and
# 4 times with fewer rounds (docs/log.md). OpenMP reads this when torch is imported.
if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

# Imported when first asked for: torch takes seconds, and `showtell --help` must not wait for it.
__all__ = ["__version__", *sorted(PUBLIC)]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'showtell' has no attribute {name!r}")
    return find(PUBLIC[name])
