"""The command line: parse, call a task, print. Flags come from the dataclasses of ``config``."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, Union

import tyro

from showtell import __version__, config
from showtell.errors import ShowtellError

COMMANDS: dict[str, type] = {
    "quickstart": config.Quickstart,
    "extract": config.Extract,
    "train-captioner": config.TrainCaptioner,
    "train-classifier": config.TrainClassifier,
    "evaluate": config.Evaluate,
    "predict": config.Predict,
    "store": config.Store,
}
_STYLE = (
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
    tyro.conf.DisallowNone,
)


def main() -> None:
    """Run the command line and exit: 0 well, 2 for what the user can mend, 130 for Ctrl-C."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `showtell predict ... | head` ends quietly
    sys.exit(run(sys.argv[1:]))


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
    try:
        return _call(_parse(arguments))
    except ShowtellError as error:
        if debug:
            traceback.print_exc()
        print(f"showtell: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(
            "\nshowtell: stopped; what is finished is kept, and --resume goes on with a training",
            file=sys.stderr,
        )
        return 130


def _parse(arguments: list[str]) -> Any:
    """Return the config of the command that is called; exits by itself for help and for wrong flags."""
    if arguments and arguments[0] in COMMANDS:
        command = arguments[0]
        return tyro.cli(COMMANDS[command], prog=f"showtell {command}", args=arguments[1:], config=_STYLE)
    commands = tuple(
        Annotated[kind, tyro.conf.subcommand(name, description=_first_line(kind))]
        for name, kind in COMMANDS.items()
    )
    return tyro.cli(
        Union[commands],  # type: ignore[arg-type]  # noqa: UP007
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

    console = Console()
    match settings:
        case config.TrainCaptioner():
            from showtell.tasks.train_captioner import train_captioner

            train_captioner(settings, console)
        case config.TrainClassifier():
            from showtell.tasks.train_classifier import train_classifier

            train_classifier(settings, console)
        case config.Evaluate():
            from showtell.tasks.evaluate import evaluate

            _print_json(settings, evaluate, console)
        case config.Predict():
            return _predict(settings, console)
        case config.Extract():
            from showtell.tasks.extract import extract

            _print_json(settings, extract, console)
        case config.Store():
            from showtell.tasks.extract import store

            _print_json(settings, store, console)
        case config.Quickstart():
            from showtell.tasks.quickstart import quickstart

            quickstart(settings, console)
    return 0


def _print_json(settings: Any, task: Callable[..., Any], console: Any) -> None:
    result = task(settings, console)
    if settings.json:
        print(json.dumps(result, ensure_ascii=False))


def _predict(settings: config.Predict, console: Any) -> int:
    from showtell.tasks.predict import predict

    failed = 0
    for record in predict(settings, console):
        if settings.json:
            print(json.dumps(record, ensure_ascii=False), flush=True)
        elif "error" not in record:
            alone = len(settings.pictures) == 1 and os.path.isfile(settings.pictures[0])  # noqa: PTH113
            print(record["caption"] if alone else f"{record['picture']}\t{record['caption']}", flush=True)
        if "error" in record:
            failed = 2
            print(f"showtell: {record['error']}", file=sys.stderr)
        if "drawn" in record:
            print(f"drawn: {record['drawn']}", file=sys.stderr)
    return failed
