"""From what is typed, and a file of settings, to the settings of a command."""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field, fields, make_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_type_hints

import msgspec
import tyro

from showtell.addresses import to_path
from showtell.commands import COMMANDS, find
from showtell.data.source import DataSource
from showtell.errors import ConfigError
from showtell.settings import rare_settings

_MAY_BE_EMPTY = ("--token", "--root-path")
"""Flags that say themselves what is wrong with nothing, or for which it is right."""
_STYLE = (
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.OmitArgPrefixes,
    tyro.conf.DisallowNone,
    tyro.conf.SuppressFixed,
)
_CONFIG = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="FILE",
        help="TOML file of settings, also of those without a flag (docs/settings.md); flags win over it.",
        help_behavior_hint="",
    ),
]


def parse(arguments: Sequence[str]) -> Any:
    """Return the settings of the command that is called; exits by itself for its help and for wrong flags.

    Args:
        arguments: As typed, without the program's name; the first one names the command.

    Raises:
        ConfigError: There is no such command, or its settings are not valid.
    """
    _refuse_nothing(arguments)
    if arguments[0] in COMMANDS:
        command, *rest = arguments
        kind = find(COMMANDS[command].settings)
        variants = variants_of(kind)
        if rest and rest[0] in variants:
            return kind(_parse(variants[rest[0]], f"{command} {rest[0]}", rest[1:]))
        return _parse(kind, command, rest)
    if arguments[0] != "--tyro-print-completion":
        near = difflib.get_close_matches(arguments[0], COMMANDS, 1)
        raise ConfigError(
            f"showtell has no command {arguments[0]!r}.",
            hint=f"Did you mean {near[0]}?" if near else "",
            run="showtell --help",
        )
    commands = tuple(
        Annotated[find(command.settings), tyro.conf.subcommand(name, description=command.summary)]
        for name, command in COMMANDS.items()
    )
    return tyro.cli(
        Union[commands],  # type: ignore[call-overload]  # noqa: UP007
        prog="showtell",
        args=arguments,
        config=(*_STYLE, tyro.conf.FlagCreatePairsOff),
    )


def _refuse_nothing(arguments: Sequence[str]) -> None:
    """Refuse an empty argument, which would mean the current folder: mostly a variable that is not set.

    Raises:
        ConfigError: There is one.
    """
    for before, argument in pairwise(arguments):
        if argument == "" and before not in _MAY_BE_EMPTY:
            what = f"{before} is empty" if before.startswith("--") else "An argument is empty"
            raise ConfigError(
                f"{what}.", hint="Is a variable of the shell not set? The current folder is called '.'."
            )


def variants_of(kind: type) -> dict[str, type]:
    """Return the commands below a command, by name; empty for most."""
    what = get_type_hints(kind, include_extras=True).get("what")
    return {one.__metadata__[0].name: get_args(one)[0] for one in get_args(what)}


def _parse(kind: type, command: str, arguments: Sequence[str]) -> Any:
    """Return the settings of one command: what is typed, else what the file says, else the defaults."""
    _refuse_rare(kind, command, arguments)
    file = _file_of(arguments)
    given = {} if file is None else read_settings(file, kind, command)
    goes_on = any(one.name == "from_run" for one in fields(kind))
    run = (_typed(arguments, "--from") or given.get("from_run")) if goes_on else None
    of_run = {} if run is None else _data_of(to_path(str(run)), kind)
    given = {"data": of_run["data"]} | given if of_run else given
    # Where a file may have switched something on, there is a flag to switch it off.
    style = (*_STYLE, tyro.conf.FlagCreatePairsOff) if file is None else _STYLE
    parsed: Any = tyro.cli(
        _with_defaults(kind, given), prog=f"showtell {command}", args=arguments, config=style
    )
    values = {one.name: getattr(parsed, one.name) for one in fields(kind)}
    if of_run and values["data"] == of_run["data"]:
        values |= {name: value for name, value in of_run.items() if values[name] is None}
    return kind(**values)


def _data_of(run: Path, kind: type) -> dict[str, object]:
    """Return where the data of the run is that a training goes on from, and how it is read."""
    from showtell.kinds.going_on import settings_of_run  # takes a second to load

    trained: DataSource = settings_of_run(run, kind)
    return {one.name: getattr(trained, one.name) for one in fields(DataSource)}


def _with_defaults(kind: type, given: Mapping[str, object]) -> type:
    """Return a dataclass with other defaults and --config, for the parser alone."""
    hints = get_type_hints(kind, include_extras=True)
    changed = [(name, hints[name], field(default=value)) for name, value in given.items()]
    return make_dataclass(
        kind.__name__,
        [*changed, ("config", _CONFIG, field(default=None))],
        bases=(kind,),
        frozen=True,
        kw_only=True,
        namespace={"__doc__": kind.__doc__},
    )


def _file_of(arguments: Sequence[str]) -> Path | None:
    """Return the file that --config names; of several the last, as for any flag."""
    found = _typed(arguments, "--config")
    return to_path(found) if found else None


def _typed(arguments: Sequence[str], flag: str) -> str | None:
    """Return the value of a flag before the arguments are parsed; of several the last."""
    found = None
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        if argument.startswith(f"{flag}="):
            found = argument.removeprefix(f"{flag}=")
        elif argument == flag:
            found = following
    return found


def read_settings(file: Path, kind: type, command: str) -> dict[str, object]:
    """Read a TOML file whose keys are the names of settings.

    Args:
        file: The file.
        kind: The dataclass of the settings.
        command: That they are of, for messages.

    Raises:
        ConfigError: It cannot be read, or holds an unknown key or a value of another type.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8-sig"))  # Windows editors write a BOM
    except OSError as error:
        raise ConfigError(f"--config {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise ConfigError(f"--config {file} is not a TOML file: {error}.") from error
    hints = get_type_hints(kind, include_extras=True)
    names = [one.name for one in fields(kind)]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key.replace("-", "_"), names, 1)
            raise ConfigError(
                f"{file} sets {key}, which {command} does not have.",
                hint=f"Did you mean {near[0]}?" if near else "",
                run=f"showtell {command} --help",
            )
    return {key: _converted(file, key, value, hints[key]) for key, value in values.items()}


def _converted(file: Path, key: str, value: Any, hint: Any) -> Any:
    try:
        return msgspec.convert(value, hint, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file} sets {key} to {value!r}.", hint=f"{error}.") from error


def _path(kind: Any, value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def _refuse_rare(kind: type, command: str, arguments: Sequence[str]) -> None:
    """Say how a setting is set that has no flag.

    Raises:
        ConfigError: It is typed as a flag.
    """
    rare = rare_settings(kind)
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        flag, _, value = argument.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        key = name if name in rare else name.removeprefix("no_")
        if flag.startswith("--") and key in rare:
            line = f"{key} = {_as_toml(value or following, on=key == name)}"
            raise ConfigError(
                f"{flag} is not a flag of {command}: {key} is set in a file.",
                hint=f"Write the line {line} into a file, for example settings.toml.",
                run=f"showtell {command} ... --config settings.toml",
            )


def _as_toml(value: str, *, on: bool) -> str:
    """Return a typed value as TOML; a flag without one is true or false."""
    if not value or value.startswith("--"):
        return "true" if on else "false"
    try:
        float(value)
    except ValueError:
        return json.dumps(value, ensure_ascii=False)
    return value
