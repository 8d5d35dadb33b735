"""Who may ask: this machine's own pages and whoever has the token; and what a browser may load."""

import asyncio
import hmac
import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROTECTED = ("/v1/", "/metrics")
"""Paths that need the token, where there is one; the page, openapi.json and /healthz are open."""

_HOST_NAME = re.compile(r"[a-z0-9.-]{1,100}")
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
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

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
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
        if self.local or self.trusted:
            host, origin = headers.get("host", ""), headers.get("origin")
            if not (is_local(_name(host)) or _name(host) in self.trusted):
                names = ", ".join(["localhost", *sorted(self.trusted)])
                return 421, f"This server answers to {names} only, not to {host[:100]!r}. {_trust(host)}"
            if origin is not None and not self._is_own_page(urlsplit(origin).netloc, host):
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
