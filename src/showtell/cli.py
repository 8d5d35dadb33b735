"""The command line: parse, call a command's function, print its result."""

import codecs
import gc
import io
import json
import os
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

from showtell import __version__
from showtell.commands import COMMANDS, find, overview
from showtell.errors import ConfigError, ProcessesError, ShowtellError
from showtell.process import await_turn, place, speaks, tune_process

if TYPE_CHECKING:
    from showtell.kinds.predict import Prediction
    from showtell.kinds.settings import Predict


def main() -> None:
    """Run the command line and exit: 0 well, 1 our fault, 2 what the user can mend, 130 Ctrl-C.

    3 is a training that came to its end with a model that is not known to have learnt anything; the run is
    kept.
    """
    tune_process()
    if os.environ.get("NO_COLOR"):
        os.environ["TERM"] = "dumb"  # the parser of flags heeds this alone
    if shutil.get_terminal_size().columns < _NARROWEST:
        os.environ["COLUMNS"] = str(_NARROWEST)  # in a few columns the parser's help never comes to an end
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us: `showtell ... >&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            # A name or a caption that the terminal cannot show is no reason to stop.
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = _formatted
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # `showtell predict ... | head` ends quietly
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        status = 141
    sys.exit(status)


_NARROWEST = 40
"""Columns that help is laid out for where the terminal has fewer."""
_PATIENCE = 5.0
"""Seconds before a process says that it has lost another one."""
_usual_format = warnings.formatwarning


def _formatted(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Word a warning of ours as a message is worded, without the line of code that gave it."""
    ours = category.__module__.startswith("showtell.")
    return f"showtell: {message}\n" if ours else _usual_format(message, category, filename, lineno, line)


def run(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: As typed, without the program's name.

    Returns:
        The exit status.
    """
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if arguments[:1] == ["--print-completion"]:  # bash, zsh or tcsh
        arguments[0] = "--tyro-print-completion"
    settings = None
    try:
        if arguments == ["--version"]:
            return _print(f"showtell {__version__}")
        if arguments in ([], ["-h"], ["--help"]):
            return _print(overview(shutil.get_terminal_size().columns))
        settings = _parse(arguments)
        return _call(settings)
    except ProcessesError as error:
        time.sleep(_PATIENCE)  # who has ended has said why, and whoever has started us ends us meanwhile
        return _report(str(error), "", error.exit_status, debug)
    except ShowtellError as error:
        return _report(str(error), "", error.exit_status, debug)
    except KeyboardInterrupt:
        how = (
            "--resume goes on with the training"
            if getattr(settings, "find_lr", True) is False
            else "run it again to go on"
        )
        if speaks():
            print(f"\nshowtell: stopped; what is finished is kept, {how}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk, a folder that may not be written to
        return _report(*_said(error), 2, debug)
    except Exception as error:
        advice = "This is a fault of showtell. Repeat the command with --debug to see where."
        return _report(f"{type(error).__name__}: {error}", advice, 1, debug)
    finally:
        gc.unfreeze()


def _print(text: str) -> int:
    print(text, flush=True)  # a full disk is told now
    return 0


def _parse(arguments: list[str]) -> Any:
    """Return the settings that are typed; of several processes one says what is wrong with them."""
    from showtell.flags import parse  # its parser takes longer to load than the overview takes

    if speaks():
        return parse(arguments)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return parse(arguments)
    except SystemExit:
        await_turn()
        raise


def _said(error: OSError) -> tuple[str, str]:
    """Return what the system refused, and a hint."""
    where = error.filename or "The system"
    if isinstance(error, PermissionError):
        return f"{where} may not be read or written by this user.", "Name another place."
    if isinstance(error, IsADirectoryError):
        return f"{where} is a folder; a file is wanted.", "Name a file."
    return f"{where}: {error.strerror}." if error.strerror else f"{error}.", ""


def _report(what: str, advice: str, status: int, debug: bool) -> int:
    await_turn()
    if debug:
        traceback.print_exc()
    print(f"showtell: {what}", *([advice] if advice else []), sep="\n", file=sys.stderr)
    return status


def _call(settings: Any) -> int:
    """Run a command's task and print its result."""
    # Tasks import torch, which takes seconds: not for --help.
    from showtell.console import Console

    kind = f"{type(settings).__module__}.{type(settings).__name__}".removeprefix("showtell.")
    if place()[1] > 1 and not hasattr(settings, "resume"):  # no training
        raise ConfigError("Several processes only train together.", hint="Run this command without torchrun.")
    with _uncollected():
        name = next(name for name, command in COMMANDS.items() if command.settings == kind)
        function = find(COMMANDS[name].function)
    result = function(settings, Console())
    if name == "predict":
        return _print_predictions(settings, result)
    if name == "live":
        for record in result:
            if settings.headless:
                _print_json(record)
    if getattr(settings, "json", False):
        from showtell.runs.records import as_json

        record = result.record() if hasattr(result, "record") else result
        _print_json(as_json(record))
    return 0


def _print_json(value: Any) -> None:
    """Print a line of JSON: where stdout is not UTF-8, as JSON is, in ASCII, which all readers take."""
    codec = codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8")
    print(json.dumps(value, ensure_ascii=codec.name != "utf-8"), flush=True)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without garbage collection, now or later: modules stay, and looking through them takes long."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _print_predictions(settings: "Predict", predictions: "Iterable[Prediction]") -> int:
    failed = 0
    alone = len(settings.images) == 1 and os.path.isfile(settings.images[0])  # noqa: PTH113
    for found in predictions:
        if settings.json:
            _print_json(found.record())
        elif not found.error and settings.out is None:
            print(found.text if alone else f"{found.image}\t{found.text}", flush=True)
            if settings.split:
                for said in found.references or filter(None, [found.right]):
                    print(f"  people: {said}", flush=True)
        if found.error:
            failed = 2
            print(f"showtell: {found.error}", file=sys.stderr)
        if found.drawn:
            print(f"drawn: {found.drawn}", file=sys.stderr)
    return failed
