"""Say no so that the client hears it, even one that is still sending."""

import asyncio
import json
from collections.abc import Mapping

from starlette.types import Receive, Send

LINGER = 1.0
"""Seconds that a refused client's bytes are read and forgotten, so that the reason can reach it."""


def error_body(reason: str) -> bytes:
    """Return the JSON that every error has."""
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
