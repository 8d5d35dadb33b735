"""The process that listens: patient with slow clients for so long only, and finishing what it began."""

import asyncio
import math
import os
import socket
import sys
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from showtell.errors import ConfigError
from showtell.serving.guard import LINGER, error_body
from showtell.serving.settings import Serve

MAX_HEAD = 16384
"""Bytes of a request's line and headers."""
MAX_CONNECTIONS = 500
"""Connections at once, idle ones included; an operating system gives a process about 1,000 files."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits for a request's head only so long, and says why it gives up.

    uvicorn times idle connections only; a client that sends a header a minute would stay for ever.

    Args:
        patience: Seconds a request's head may take.
        options: Of uvicorn.
    """

    def __init__(self, *, patience: float, **options: Any) -> None:
        super().__init__(**options)
        self._patience = patience
        self._alarm: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Greet a client, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; what a refused client still sends is forgotten."""
        if not self._refused:
            super().data_received(data)
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        if self._alarm is not None:
            self._alarm.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP: 431 for too large a head, 400 otherwise."""
        error = sys.exception()
        too_large = getattr(error, "error_status_hint", 400) == 431
        self._refuse(431 if too_large else 400, f"{msg} {error or ''}".strip())

    def _watch(self) -> None:
        """Have an alarm set exactly while a request's head is awaited."""
        awaited = self.cycle is None or self.cycle.response_complete
        if awaited and self._alarm is None:
            self._alarm = self.loop.call_later(self._patience, self._give_up)
        elif not awaited and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _give_up(self) -> None:
        if self.transport.is_closing() or self._refused:
            return
        if self.conn.trailing_data[0]:
            self._refuse(408, f"The request's headers took longer than {self._patience:g} seconds.")
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer an error, read on for a moment so that it arrives, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whoever waits for the rest of the body need not
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = error_body(reason)
        head = h11.Response(
            status_code=status,
            headers=[
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ],
            reason=HTTPStatus(status).phrase.encode(),
        )
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._refused = True
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.close)


class Server(uvicorn.Server):
    """A server that ends quietly when it is told to; told twice, at once."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop listening and finish what is in flight."""
        self.force_exit = self.should_exit
        self.should_exit = True


def build_server(app: ASGIApp, settings: Serve) -> Server:
    """Return what serves an app on the socket that its ``run`` is given."""
    return Server(
        uvicorn.Config(
            app,
            http=partial(PatientProtocol, patience=settings.idle_timeout),  # type: ignore[arg-type]
            ws="none",
            loop="asyncio",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=bool(settings.trusted_host or settings.root_path),
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEAD,
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
            would_do="Another --port, or --port 0 for any that is free.",
        ) from error
