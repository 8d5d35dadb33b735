"""The labels that are given: kept in a table beside the images, taken back, given in two places at once."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from showtell.data.answers import PERSON, Answer, AnswerTable, neat
from showtell.data.names import nfc
from showtell.errors import ConfigError, DataError

_LONGEST = 100
"""Characters of a class's name."""
_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet would calculate what begins so."""
_ATTEMPTS = 20
"""Times that a change is begun anew because somebody else has written in between."""


class Step(NamedTuple):
    """What became of an image at one answer."""

    image: str
    before: Answer | None
    after: Answer | None


class Labels:
    """One label an image, on the disk when it is given.

    The table may grow or change meanwhile, by another process or a spreadsheet: it is read again before it
    is written, and of two answers for one image the later one holds.

    Args:
        path: The table.
        brought: Labels that the data brings by itself, by image; they begin a table that is not there yet.
    """

    def __init__(self, path: Path, brought: Mapping[str, str]) -> None:
        self.table = AnswerTable(path, "label")
        self._brought = [neat(Answer(image, label, PERSON, "")) for image, label in brought.items()]
        self._lock = threading.RLock()
        self._known: dict[str, Answer] = {}
        self._state: tuple[int, int] | None = None
        self._done: list[tuple[str, list[Step]]] = []

    def read(self) -> Mapping[str, Answer]:
        """Return the answer of each image, as it stands on the disk now.

        Raises:
            DataError: The table cannot be read, or has other columns.
        """
        with self._lock:
            state = self.table.state()
            if state != self._state:
                found = self.table.read() if any(state) else self._brought
                self._known, self._state = {one.image: one for one in found if one.text.strip()}, state
            return self._known

    def give(self, labels: Mapping[str, str], who: str, tab: str) -> None:
        """Label images; they are on the disk when this returns.

        Args:
            labels: By image.
            who: Who says so; see :class:`showtell.data.answers.Answer`.
            tab: Whose undo takes it back.

        Raises:
            DataError: They cannot be kept; what was kept before is as it was.
        """

        def plan(known: Mapping[str, Answer]) -> list[Step]:
            return [
                Step(image, known.get(image), Answer(image, label, who))
                for image, label in labels.items()
                if image not in known or known[image].text != label
            ]

        with self._lock:
            self._done.append((tab, self._carry_out(plan)))

    def undo(self, tab: str) -> Sequence[str]:
        """Take back the last answers of a tab, or of an earlier session; return the images.

        What somebody else has said of an image since then stays.
        """

        def plan(known: Mapping[str, Answer]) -> list[Step]:
            steps = self._done[mine[-1]][1] if mine else self._earlier(known)
            return [
                Step(step.image, step.after, step.before)
                for step in steps
                if step.after and known.get(step.image) == step.after
            ]

        with self._lock:
            mine = [number for number, (whose, _) in enumerate(self._done) if whose == tab]
            back = self._carry_out(plan)
            if mine:
                del self._done[mine[-1]]
            return [step.image for step in back]

    def _earlier(self, known: Mapping[str, Answer]) -> list[Step]:
        """Return the last answer of an earlier session."""
        others = {step.image for _, steps in self._done for step in steps}
        last = next((one for name, one in reversed(list(known.items())) if name not in others), None)
        return [Step(last.image, None, last)] if last is not None and last.time else []

    def rename(self, old: str, new: str) -> None:
        """Give a class another name; where there is one of that name, the two become one."""

        def plan(known: Mapping[str, Answer]) -> list[Step]:
            return [
                Step(name, one, Answer(name, new, one.who)) for name, one in known.items() if one.text == old
            ]

        with self._lock:
            self._carry_out(plan)
            self._done.clear()

    def _carry_out(self, plan: Callable[[Mapping[str, Answer]], list[Step]]) -> list[Step]:
        """Do what is planned of the labels as they stand, planned anew where somebody else has written.

        Raises:
            DataError: It cannot be kept; what was kept before is as it was.
        """
        for _ in range(_ATTEMPTS):
            steps = plan(self.read())
            if steps and self._state == (0, 0):
                self.table.add(self._brought)
            changed = [(step.before, step.after) for step in steps if step.before]
            if changed and not self.table.change_all(changed):
                continue
            if fresh := [step.after for step in steps if step.before is None and step.after]:
                self.table.add(fresh)
            return steps
        raise DataError(
            f"{self.table.path} is written by another program all the time, and the last answer is not kept.",
            hint="Close what writes it, then answer once more.",
        )


def check_class(name: str) -> str:
    """Return a class's name as it is kept.

    Raises:
        ConfigError: It cannot be one.
    """
    name = nfc(" ".join(name.split()))
    if not name or len(name) > _LONGEST or not name.isprintable() or name.startswith(_FORMULA):
        raise ConfigError(
            f"{name[:_LONGEST]!r} cannot be the name of a class.",
            hint=f"Expected 1 to {_LONGEST} characters that do not begin with {' '.join(_FORMULA)}.",
        )
    return name
