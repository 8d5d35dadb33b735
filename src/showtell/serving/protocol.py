"""HTTP/1.1 of so many connections, each with a head that takes only so long; refusals say why, as JSON."""

import asyncio
import sys
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from showtell.serving.guard import LINGER, error_body

MAX_CONNECTIONS = 500
"""At once, idle ones included; an operating system gives a process about 1,000 files."""


class GuardedProtocol(H11Protocol):
    """uvicorn's protocol, with limits on connections and on the time that a request's head may take.

    uvicorn's own limit on connections refuses the requests of all, also of those who came first, while there
    are too many: whoever opens that many would shut everybody out.

    uvicorn's own limit, ``timeout_keep_alive``, begins after the first answer and ends with the next byte: a
    client that sends nothing at all, or a header a minute, would keep its connection for ever.
    """

    _alarm: asyncio.TimerHandle | None = None
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, unless there are too many already."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(503, "Too many connections are open.")
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Read on; what a refused client still sends is dropped."""
        if not self._refused:
            super().data_received(data)
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._alarm is not None:
            self._alarm.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not valid HTTP: 431 for too large a head, 400 otherwise."""
        error = sys.exception()
        too_large = getattr(error, "error_status_hint", 400) == 431
        self._refuse(431 if too_large else 400, f"{msg} {error or ''}".strip())

    def _watch(self) -> None:
        """Keep a timer running exactly while a request's head is awaited."""
        awaited = self.cycle is None or self.cycle.response_complete
        if awaited and self._alarm is None:
            self._alarm = self.loop.call_later(self.timeout_keep_alive, self._time_out)
        elif not awaited and self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _time_out(self) -> None:
        if self.conn.trailing_data[0]:
            self._refuse(408, f"The request's headers took longer than {self.timeout_keep_alive:g} seconds.")
        else:
            self.transport.close()

    def _refuse(self, status: int, reason: str) -> None:
        """Answer with an error, read on for a moment so that it arrives, and close."""
        if self._refused or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # the rest of the body will not come
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        self._refused = True
        body = error_body(reason)
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
        }
        phrase = HTTPStatus(status).phrase.encode()
        head = h11.Response(status_code=status, headers=list(headers.items()), reason=phrase)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.close)
