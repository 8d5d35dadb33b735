"""Answer over HTTP, to programs and to people."""

import math
import os
import socket
import unicodedata
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from showtell.console import Console, Log
from showtell.errors import ConfigError, MissingExtraError
from showtell.files import numbered
from showtell.kinds.model import Model
from showtell.kinds.model_folder import load
from showtell.serving.settings import Demo, Serve

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

EXTRA = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
"""Packages of the extra, as they are imported."""
MAX_HEAD = 16384
"""Bytes of a request's line and headers."""


def serve(config: Serve, console: Console | None = None) -> None:
    """Serve the API and the page until told to stop; what is in flight is finished first.

    Args:
        config: Which runs, where, and how much a client may ask for.
        console: Where to say the address; None for the log of ``showtell``.

    Raises:
        ShowtellError: Something the user can mend, said in its message.
    """
    _run(config, console or Log(), open_browser=False)


def demo(config: Demo, console: Console | None = None) -> None:
    """Serve the page for people, as :func:`serve` does, and open it in the browser if asked to."""
    _run(config, console or Log(), open_browser=config.open_browser)


def _run(config: Serve, console: Console, *, open_browser: bool) -> None:
    if not config.runs:
        raise ConfigError("No run was given.", run=f"showtell {type(config).__name__.lower()} RUN")
    if config.token is None:
        config = replace(config, token=os.environ.get("SHOWTELL_TOKEN") or None)
    check_extra()
    from showtell.serving.api import build_app

    with open_socket(config.host, config.port) as listening:  # before the models, which take seconds
        models = load_models(config.runs, config.device, console)
        for name, model in models.items():
            console.say(f"{name}: {_describe(model)}")
        app, offered = build_app(models, config), {"": "page", "/openapi.json": "HTTP API"}
        run_app(app, listening, config, console, offered=offered, open_browser=open_browser)
    console.say("Stopped; every request that was in flight was answered.")


def load_models(
    runs: Sequence[Path], device: str = "auto", console: Console | None = None
) -> dict[str, Model[Any]]:
    """Load models under the names of their folders; the second of a name becomes ``name-2``."""
    models: dict[str, Model[Any]] = {}
    for run in runs:
        folder = run.absolute()
        stem = unicodedata.normalize("NFC", (folder.parent if folder.name == "model" else folder).name)
        name = next(name for name in numbered(stem) if name not in models)
        models[name] = load(run, device=device, console=console)
    return models


def run_app(
    app: "ASGIApp",
    listening: socket.socket,
    settings: Serve,
    console: Console,
    *,
    offered: Mapping[str, str],
    open_browser: bool,
) -> None:
    """Serve an app until told to stop.

    Args:
        app: What answers.
        listening: As :func:`open_socket` returns it.
        settings: Where it listens, and who may ask.
        console: Told the address, and who can reach it.
        offered: What there is, by its path.
        open_browser: Open the page in the browser.
    """
    server = build_server(app, settings)
    address = _address_of(settings.host, listening.getsockname()[1])
    _warn_of_others(settings, console)
    shown = ", ".join(f"{address}{path} ({what})" for path, what in offered.items())
    console.say(f"{shown}; Ctrl-C ends it")
    if open_browser:
        webbrowser.open(address)  # the socket listens: the browser waits until it is answered
    server.run(sockets=[listening])


def build_server(app: "ASGIApp", settings: Serve) -> "uvicorn.Server":
    """Return what serves an app on the socket that its ``run`` is given.

    It ends quietly when it is told to, and finishes what is in flight; told twice, it ends at once.
    """
    import uvicorn

    from showtell.serving.protocol import GuardedProtocol

    class Server(uvicorn.Server):
        # uvicorn's own would raise the signal again at the end.
        def handle_exit(self, sig: int, frame: object) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

    return Server(
        uvicorn.Config(
            app,
            http=GuardedProtocol,
            ws="none",
            loop="asyncio",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=bool(settings.trusted_host or settings.root_path),
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEAD,
            timeout_keep_alive=settings.idle_timeout,  # type: ignore[arg-type]  # any number of seconds
            timeout_graceful_shutdown=math.ceil(settings.timeout) + 1,
        )
    )


def open_socket(host: str, port: int) -> socket.socket:
    """Take an address to listen on.

    Raises:
        ConfigError: Another program has it, or it is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host.strip("[]"), port), family=family, backlog=256)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise ConfigError(
            f"{host} port {port} cannot be listened on: {reason}.",
            hint="Another --port, or --port 0 for any that is free.",
        ) from error


def check_extra() -> None:
    """Refuse to go on without the packages that serving needs.

    Raises:
        MissingExtraError: One is not installed.
    """
    for package in EXTRA:
        if find_spec(package) is None:
            raise MissingExtraError(package, "serve", "Serving")


def _describe(model: Model[Any]) -> str:
    return f"{model.config.kind} with {model.card().contents}"


def _address_of(host: str, port: int) -> str:
    """Return the address that a browser on this machine opens."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def _warn_of_others(settings: Serve, console: Console) -> None:
    """Say who is answered where other machines can reach this one."""
    from showtell.serving.guard import is_local

    if not is_local(settings.host):
        who = "whoever shows the token" if settings.token else "anybody"
        console.say(
            f"Warning: {settings.host} can be reached from other machines; it answers {who}, without "
            "encryption."
        )
