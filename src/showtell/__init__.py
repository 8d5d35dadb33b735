"""Show it your pictures. It tells you what it sees.

Every command is a function of its config: ``train_captioner(TrainCaptioner(data=..., out=...))``.
"""

from typing import Any

from showtell.commands import PUBLIC, find

__version__ = "0.1.0"

# Imported when first asked for: torch takes seconds, and `showtell --help` must not wait for it.
__all__ = ["__version__", *sorted(PUBLIC)]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'showtell' has no attribute {name!r}")
    return find(PUBLIC[name])
