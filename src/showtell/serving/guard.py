"""Who may ask: this machine's own pages and whoever has the token; what a browser may load; and how much."""

import asyncio
import hmac
import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from showtell.serving.prometheus import Metrics

PROTECTED = ("/v1/", "/metrics")
"""Paths that need the token, where there is one; the page, openapi.json and /healthz are open."""

_HOST_NAME = re.compile(r"[a-z0-9.-]{1,100}")
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",  # for who knows no frame-ancestors
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "cache-control": "no-cache",
}


def is_local(host: str) -> bool:
    """Say whether an address can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Turn away whom the server is not for, and tell browsers to load nothing from elsewhere.

    A page of another site can have its name point to 127.0.0.1 and so reach a server that listens there
    (DNS rebinding); but the browser still says which name was asked for. So a local server answers only to
    local names, to those that a proxy before it has, and to pages that it served itself.

    A connection ends with a request that came in chunks. Where such a request states a length, too (RFC 9112,
    section 6.1), or has odd chunks, a proxy may see its end elsewhere and pass on, as its body, what would be
    taken for the next request here (request smuggling).

    Args:
        app: What answers.
        token: What a client must show; None for nothing.
        local: The server listens on this machine only.
        trusted: Further names that it may be called by; where there are any, no other is taken.
    """

    def __init__(self, app: ASGIApp, token: str | None, local: bool, trusted: Collection[str]) -> None:
        self.app = app
        self.token = token
        self.local = local
        self.trusted = {name.casefold() for name in trusted}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
                if chunked:
                    MutableHeaders(raw=message["headers"])["connection"] = "close"
            await send(message)

        if found := self._objection(scope):
            status, reason = found
            challenge = {"www-authenticate": "Bearer"} if status == 401 else None
            await refuse(receive, guarded, status, reason, challenge)
        else:
            await self.app(scope, receive, guarded)

    def _objection(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason of a refusal."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        known = is_local(_name(host)) or _name(host) in self.trusted
        if (self.local or self.trusted) and not known:
            names = ", ".join(["localhost", *sorted(self.trusted)])
            return 421, f"This server answers to {names} only, not to {host[:100]!r}. {_trust(host)}"
        if origin is not None and not self._is_own_page(origin.rpartition("//")[2], host):
            return 403, f"A page of {origin[:100]!r} may not ask this server. {_trust(origin)}"
        if self.token is not None and scope["path"].startswith(PROTECTED):
            scheme, _, shown = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return 401, "This server needs a token: Authorization: Bearer TOKEN."
            if not hmac.compare_digest(shown.strip().encode("latin-1"), self.token.encode()):
                return 401, "The token is not the right one."
        return None

    def _is_own_page(self, page: str, host: str) -> bool:
        """Say whether a page's host is that of the request, or of a proxy that passed the request on."""
        return page == host or _name(page) in self.trusted


class Prefixed:
    """Take requests with and without the prefix of a proxy: some proxies take it off, some leave it.

    Whatever comes after sees one form of each address, so that no spelling evades the guard.

    Args:
        app: What answers.
        prefix: Such as ``/showtell``; or empty.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        app = self.app
        if scope["type"] == "http" and self.prefix:
            if scope["path"] == self.prefix:  # the page's own links begin below it
                app = RedirectResponse(self.prefix + "/")
            elif scope["path"].startswith(self.prefix + "/"):
                scope = dict(scope, path=scope["path"][len(self.prefix) :])
        await app(scope, receive, send)


def _trust(host: str) -> str:
    """Return what to do where a refused name is that of a proxy."""
    name = _name(host.rpartition("//")[2])
    shown = name if _HOST_NAME.fullmatch(name) else "NAME"
    return f"If that is a proxy of yours, start the server with --trusted-host {shown}."


def _name(host: str) -> str:
    """Return the name in ``name:port`` or ``[address]:port``."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(raw=message.setdefault("headers", []))
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)


LINGER = 1.0
"""Seconds that a refused client's bytes are read and forgotten, so that the reason can reach it."""


def error_body(reason: str) -> bytes:
    """Return an error as it is sent: ``{"error": reason}``."""
    return json.dumps({"error": reason}, ensure_ascii=False).encode()


async def refuse(
    receive: Receive, send: Send, status: int, reason: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer an error at once, and close.

    Closing a connection with unread bytes makes the kernel throw the answer away; so what the client goes
    on sending is read for a moment after the answer has gone out.
    """
    body = error_body(reason)
    fields = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **(headers or {}),
    }
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    try:
        async with asyncio.timeout(LINGER):
            more = True
            while more:
                message = await receive()
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


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
