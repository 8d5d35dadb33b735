"""What a script reads of a result: the JSON of ``predict --json`` and of the HTTP API."""

from typing import Any

from showtell.kinds.loading import Captions, Classes

SHOWN = 5
"""Classes that are named, the most likely first."""


def caption_record(found: Captions) -> dict[str, Any]:
    """Return what a script reads of a picture's captions."""
    return {
        "caption": found.text,
        "log_probability": found.log_probability,
        "words": [
            {
                "word": word.text,
                "probability": word.probability,
                "attention": [[round(value, 5) for value in row] for row in word.attention.tolist()],
            }
            for word in found.words
        ],
        "others": [
            {"caption": other.text, "log_probability": other.log_probability} for other in found.others
        ],
    }


def class_record(found: Classes) -> dict[str, Any]:
    """Return what a script reads of a picture's classes."""
    return {"class": found.label, "classes": dict(found.top(SHOWN))}
