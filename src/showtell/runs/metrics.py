"""What a training has logged so far: ``metrics.jsonl`` of a run that may still be going on."""

from pathlib import Path

import msgspec

from showtell.errors import ModelError
from showtell.files import parse_json

Numbers = dict[str, int | float]


def read_metrics(path: Path) -> tuple[list[Numbers], list[Numbers]]:
    """Return the records of steps and of validations, in order.

    Raises:
        ModelError: It cannot be read, or a line is no such record. The last line may be half of one, which is
            passed over: a training that is going on, or was killed, may have written so much of it.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}.", hint="Name metrics.jsonl of a run."
        ) from error
    steps, validations = list[Numbers](), list[Numbers]()
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
            if isinstance(record, dict) and "validation" in record:
                validations.append(_numbers(record["validation"], "epoch"))
            else:
                steps.append(_numbers(record, "step", "epoch", "loss"))
        except (ValueError, msgspec.ValidationError) as error:
            if number < len(lines):
                raise ModelError(f"{path}:{number} is no record of a step: {line[:60]!r}.") from error
    return steps, validations


def _numbers(record: object, *needed: str) -> Numbers:
    """Return a record of numbers.

    Raises:
        msgspec.ValidationError: It holds something else.
        ValueError: It lacks what is needed.
    """
    found = msgspec.convert(record, Numbers)
    if missing := set(needed) - found.keys():
        raise ValueError(f"it has no {' and no '.join(sorted(missing))}")
    return found
