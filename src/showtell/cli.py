"""The command line: parse, call a task, print. Flags come from the dataclasses of ``config``."""

import difflib
import gc
import io
import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Union

import tyro

from showtell import __version__
from showtell.commands import COMMANDS, find
from showtell.errors import ConfigError, ShowtellError
from showtell.kinds.settings import Predict
from showtell.video.settings import Live

_STYLE = (
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
    tyro.conf.DisallowNone,
)


def main() -> None:
    """Run the command line and exit: 0 well, 1 our fault, 2 what the user can mend, 130 Ctrl-C.

    3 is a training that came to its end with a model that is not known to have learnt anything; the run is
    kept.
    """
    if os.environ.get("NO_COLOR"):
        os.environ["TERM"] = "dumb"  # the parser of flags heeds this alone
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
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
    if arguments == ["--version"]:
        print(f"showtell {__version__}")
        return 0
    settings = None
    try:
        settings = _parse(arguments)
        return _call(settings)
    except ShowtellError as error:
        return _report(str(error), "", error.exit_status, debug)
    except KeyboardInterrupt:
        how = "--resume goes on with the training" if hasattr(settings, "resume") else "run it again to go on"
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


def _said(error: OSError) -> tuple[str, str]:
    """Return what the system refused, and what would do."""
    where = error.filename or "The system"
    if isinstance(error, PermissionError):
        return f"{where} may not be read or written by this user.", "Name another place."
    if isinstance(error, IsADirectoryError):
        return f"{where} is a folder; a file is wanted.", "Name a file."
    return f"{where}: {error.strerror}." if error.strerror else f"{error}.", ""


def _report(what: str, advice: str, status: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"showtell: {what}", *([advice] if advice else []), sep="\n", file=sys.stderr)
    return status


def _parse(arguments: list[str]) -> Any:
    """Return the config of the command that is called; exits by itself for help and for wrong flags."""
    if arguments and arguments[0] in COMMANDS:
        command = arguments[0]
        return tyro.cli(
            find(COMMANDS[command].settings), prog=f"showtell {command}", args=arguments[1:], config=_STYLE
        )
    if arguments and not arguments[0].startswith("-"):
        near = difflib.get_close_matches(arguments[0], COMMANDS, 1)
        raise ConfigError(
            f"showtell has no command {arguments[0]!r}.",
            would_do=f"Did you mean {near[0]}?" if near else "",
            run="showtell --help",
        )
    commands = tuple(
        Annotated[kind, tyro.conf.subcommand(name, description=_first_line(kind))]
        for name, kind in ((name, find(command.settings)) for name, command in COMMANDS.items())
    )
    return tyro.cli(
        Union[commands],  # type: ignore[call-overload]  # noqa: UP007
        prog="showtell",
        description="Show it your pictures. It tells you what it sees.",
        args=arguments or ["--help"],
        config=_STYLE,
    )


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").split("\n\n")[0]


def _call(settings: Any) -> int:
    """Run a command's task and print its result."""
    # Tasks import torch, which takes seconds: not for --help.
    from showtell.console import Console

    kind = f"{type(settings).__module__}.{type(settings).__name__}".removeprefix("showtell.")
    with _uncollected():
        function = find(next(command.function for command in COMMANDS.values() if command.settings == kind))
    result = function(settings, Console())
    if isinstance(settings, Predict):
        return _print_predictions(settings, result)
    if isinstance(settings, Live):
        for record in result:
            if settings.headless:
                print(json.dumps(record, ensure_ascii=False), flush=True)
    if getattr(settings, "json", False):
        record = result.record() if hasattr(result, "record") else result
        print(json.dumps(record, ensure_ascii=False))
    return 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Import without garbage collection, now or later: modules stay, and looking through them takes long."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _print_predictions(settings: Predict, records: Iterable[dict[str, Any]]) -> int:
    from showtell.kinds.classifier.predict import percentages

    failed = 0
    for record in records:
        if settings.json:
            print(json.dumps(record, ensure_ascii=False), flush=True)
        elif "error" not in record:
            alone = len(settings.pictures) == 1 and os.path.isfile(settings.pictures[0])  # noqa: PTH113
            said = record["caption"] if "caption" in record else percentages(record)
            print(said if alone else f"{record['picture']}\t{said}", flush=True)
        if "error" in record:
            failed = 2
            print(f"showtell: {record['error']}", file=sys.stderr)
        if "drawn" in record:
            print(f"drawn: {record['drawn']}", file=sys.stderr)
    return failed
