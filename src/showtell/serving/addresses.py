"""The addresses of the server: behind a proxy's prefix, and for those who asked at a wrong one."""

import difflib
from collections.abc import Mapping

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


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


def meant_address(method: str, path: str, known: Mapping[str, set[str]]) -> tuple[str, str] | None:
    """Guess what a client meant that asked at a wrong address, or in a wrong way.

    Args:
        method: As it asked.
        path: Where it asked.
        known: The methods of every address.

    Returns:
        A method and an address; None where there is nothing like it.
    """
    by_end = {address.rpartition("/")[2]: address for address in known}
    near = difflib.get_close_matches(path.rstrip("/").rpartition("/")[2].lower(), by_end, 1)
    sent = [address for address, methods in known.items() if method == "POST" and "POST" in methods]
    found = path if path in known else by_end[near[0]] if near else next(iter(sent), None)
    if found is None:
        return None
    return (method if method in known[found] else min(known[found])), found
