"""What every part of the campaign shares: rounds drawn from a seed, a table, findings, a line of JSON.

A part is a script beside this file. It has lines, each something that is tried again and again:

    @contextmanager
    def kill_the_writer(folder):            # prepares once, in an empty folder of its own
        def attempt(chance):                # one round; all chance is from here, so that it can be repeated
            ...
            if lost:
                raise Finding("3 records are lost")
            return {"kills": 1, "highest MB": 12.5}
        yield attempt

    LINES = (Line("the writer is killed", kill_the_writer, share=2, short=3),)
    if __name__ == "__main__":
        sys.exit(run("writer", __doc__, LINES))

Figures of the rounds are added up; of those whose names begin with ``highest`` the largest is kept, with
``lowest`` the smallest. What a machine cannot do is left out with words, by `NotHere`.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from record import record

RESULTS = Path(__file__).with_name("results")
Figures = Mapping[str, float]
Attempt = Callable[[random.Random], Figures | None]


class Finding(Exception):  # noqa: N818
    """A promise that was broken.

    Args:
        what: Which, and how.
        figures: Of the round nevertheless.
    """

    def __init__(self, what: str, figures: Figures | None = None) -> None:
        super().__init__(what)
        self.figures = figures or {}


class NotHere(Exception):  # noqa: N818
    """Something that this machine cannot do; the words say what is missing."""


@dataclass(frozen=True)
class Line:
    """One line of a part's table.

    Attributes:
        name: What is tried.
        open: Prepares in an empty folder, yields the function of one round, and cleans up.
        share: Of the part's minutes, in relation to the other lines.
        most: Rounds after which nothing new is tried; None where every round differs.
        short: Rounds in the short form; 0 leaves the line out.
    """

    name: str
    open: Callable[[Path], AbstractContextManager[Attempt]]
    share: float = 1
    most: int | None = None
    short: int = 1


def line(
    name: str, attempts: Callable[..., Iterator[Attempt]], *given: object, share: float = 1, short: int = 1
) -> Line:
    """Return a line whose preparation is a plain generator that is given more than its folder."""
    return Line(name, contextmanager(partial(attempts, *given)), share=share, short=short)


@dataclass
class Outcome:
    """What became of a line: rounds done, figures, findings as (number of the round, words), or why not."""

    name: str
    rounds: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    findings: list[tuple[int, str]] = field(default_factory=list)
    left_out: str = ""

    def add(self, figures: Figures) -> None:
        """Take the figures of a round in."""
        for name, value in figures.items():
            before = self.figures.get(name)
            if before is None:
                self.figures[name] = value
            elif name.startswith("highest"):
                self.figures[name] = max(before, value)
            elif name.startswith("lowest"):
                self.figures[name] = min(before, value)
            else:
                self.figures[name] = before + value

    def record(self) -> dict[str, object]:
        """Return the outcome as the JSON line holds it."""
        found: dict[str, object] = {"rounds": self.rounds, "seconds": self.seconds, **self.figures}
        found["findings"] = [{"round": number, "what": what} for number, what in self.findings]
        return found | ({"left_out": self.left_out} if self.left_out else {})

    def row(self) -> str:
        """Return the outcome as a row of the table."""
        figures = ", ".join(f"{value:,.6g} {name}" for name, value in self.figures.items())
        said = self.left_out or figures
        return f"{self.name:<44} {self.rounds:>7,} {len(self.findings):>9,} {self.seconds:>8.0f}  {said}"


def run(part: str, about: str | None, lines: Sequence[Line], arguments: Sequence[str] | None = None) -> int:
    """Run a part of the campaign as the command line asks, print its table, and record it.

    Args:
        part: Its name, that of its script.
        about: What it tries, for ``--help``.
        lines: What is tried, in this order.
        arguments: Of the command line; None for those of the process.

    Returns:
        The exit status: 0, or 1 if anything was found.
    """
    options = _options(about, lines, arguments)
    chosen = [one for one in lines if options.only is None or options.only in one.name]
    shares = sum(one.share for one in chosen)
    print(f"{part}, seed {options.seed}", f"{'':<44} {'rounds':>7} {'findings':>9} {'seconds':>8}", sep="\n")
    outcomes = []
    for one in chosen:
        rounds = _rounds(one, options)
        seconds = None if rounds is not None else options.minutes * 60 * one.share / shares
        if one.most is not None:
            rounds = one.most if rounds is None else min(rounds, one.most)
        outcome = _try(one, options, rounds, seconds)
        outcomes.append(outcome)
        print(outcome.row(), flush=True)
    found = [(o.name, number, what) for o in outcomes for number, what in o.findings]
    for name, number, what in found:
        again = f"python trust/{part}.py --only {name!r} --seed {options.seed} --first {number} --rounds 1"
        print(f"\nFOUND in {name}, round {number}: {what}\nAgain: {again}")
    record(part, {outcome.name: outcome.record() for outcome in outcomes}, options)
    return 1 if found else 0


def _rounds(line: Line, options: argparse.Namespace) -> int | None:
    return line.short if options.short else options.rounds


def _options(about: str | None, lines: Sequence[Line], arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=about,
        epilog="lines: " + ", ".join(line.name for line in lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=10.0, help="in all, shared out among the lines (10)")
    length.add_argument("--rounds", type=int, help="of each line, instead of a time")
    length.add_argument("--short", action="store_true", help="the few rounds of each line that CI runs")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn at random (0)")
    parser.add_argument("--only", help="lines whose name holds these letters")
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to repeat one (0)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON lines")
    return parser.parse_args(arguments)


def _try(line: Line, options: argparse.Namespace, rounds: int | None, seconds: float | None) -> Outcome:
    """Do the rounds of a line until their number or the time is reached."""
    outcome, started = Outcome(line.name), time.monotonic()
    if rounds == 0:
        outcome.left_out = "left out: not in the short form"
        return outcome
    folder = Path(tempfile.mkdtemp(prefix="trust"))
    try:
        with line.open(folder) as attempt:
            while (rounds is None or outcome.rounds < rounds) and (
                seconds is None or time.monotonic() - started < seconds
            ):
                number = options.first + outcome.rounds
                outcome.rounds += 1
                try:
                    outcome.add(attempt(random.Random(f"{options.seed}/{line.name}/{number}")) or {})
                except Finding as finding:
                    outcome.add(finding.figures)
                    outcome.findings.append((number, str(finding).replace(str(folder), "FOLDER")))
    except Finding as finding:  # as the line was closed: seen in all rounds together
        outcome.findings.append((options.first, str(finding)))
    except NotHere as reason:
        outcome.left_out = f"left out: {reason}"
    except Exception as error:
        # A part that cannot go on has not shown what it was to show.
        traceback.print_exc()
        outcome.findings.append(
            (options.first + outcome.rounds - 1, f"the part ended: {type(error).__name__}")
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        outcome.seconds = time.monotonic() - started
    return outcome
