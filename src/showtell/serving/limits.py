"""How much a client may ask for: bytes, time, and requests at once."""

import asyncio
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from showtell.serving.guard import refuse
from showtell.serving.prometheus import Metrics


@dataclass(frozen=True)
class Limit:
    """What a request may take.

    Attributes:
        body: Bytes.
        in_flight: Requests with a body that are worked on at once.
        timeout: Seconds from the first byte to the answer.
        patience: Seconds to wait for a client that sends nothing.
    """

    body: int
    in_flight: int
    timeout: float
    patience: float


class Limits:
    """Take a request only whole, within its limits, and while there is room.

    Args:
        app: What answers; it gets the body at once.
        limit: The limits.
        metrics: Where to show how many are in flight.
    """

    def __init__(self, app: ASGIApp, limit: Limit, metrics: Metrics) -> None:
        self.app = app
        self.limit = limit
        self.in_flight = 0
        metrics.watch_in_flight(lambda: self.in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD"):
            await self._handle(scope, receive, send, max_body=0)
        elif self.in_flight >= self.limit.in_flight:
            reason = f"{self.limit.in_flight} requests are being worked on; come back in a second."
            await refuse(receive, send, 503, reason, {"retry-after": "1"})
        else:
            self.in_flight += 1
            try:
                await self._handle(scope, receive, send, max_body=self.limit.body)
            finally:
                self.in_flight -= 1

    async def _handle(self, scope: Scope, receive: Receive, send: Send, max_body: int) -> None:
        began = False  # to answer: from then on it is too late for another answer

        async def watched(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        body: bytes | None = None
        try:
            async with asyncio.timeout(self.limit.timeout):
                body = await self._read(scope, receive, max_body)
                await self.app(scope, _replay(body, receive), watched)
        except ClientDisconnect:
            pass
        except HTTPException as refused:
            await refuse(receive, send, refused.status_code, refused.detail)
        except TimeoutError:
            if began:
                raise
            seconds = f"{self.limit.timeout:g} seconds"
            if body is None:
                await refuse(receive, send, 408, f"The request did not arrive within {seconds}.")
            else:
                reason = f"There was no answer within {seconds}; come back later."
                await refuse(receive, send, 503, reason, {"retry-after": "5"})

    async def _read(self, scope: Scope, receive: Receive, max_body: int) -> bytes:
        """Return the body.

        Raises:
            HTTPException: It is too large, or stalls.
            ClientDisconnect: The client hung up.
        """
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if int(declared) > max_body:
            raise _too_large(scope, max_body)
        body = bytearray()
        while True:
            try:
                async with asyncio.timeout(self.limit.patience):
                    message = await receive()
            except TimeoutError:
                reason = f"Nothing of the request's body came for {self.limit.patience:g} seconds."
                raise HTTPException(408, reason) from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body += message.get("body", b"")
            if len(body) > max_body:
                raise _too_large(scope, max_body)
            if not message.get("more_body", False):
                return bytes(body)


def _too_large(scope: Scope, max_body: int) -> HTTPException:
    if not max_body:
        return HTTPException(413, f"A {scope['method']} request takes no body.")
    return HTTPException(413, f"The request is larger than {max_body / 1e6:g} MB.")


def _replay(body: bytes, rest: Receive) -> Receive:
    """Return what hands a body on, and then whatever comes after it."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Message:
        return next(messages, None) or await rest()

    return receive
