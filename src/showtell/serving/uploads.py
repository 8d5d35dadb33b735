"""The pictures of a request: parts of a form, or the body itself."""

import unicodedata
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from showtell.errors import ImageError

FIELD = "pictures"
"""Name of the parts that are pictures."""


class Upload(NamedTuple):
    """A picture as it was sent.

    Attributes:
        content: Of the file; or why there is none.
        name: Of the file, where the client gave one.
    """

    content: bytes | ImageError
    name: str | None


async def read_uploads(request: Request, most: int, how: str) -> list[Upload]:
    """Return the pictures of a request, in order.

    Args:
        request: Its body has been checked to be within its limit.
        most: Most pictures.
        how: What a client is told that sent no picture.

    Raises:
        HTTPException: The form is damaged, holds no picture, or too many.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/"):
        return [Upload(await request.body(), None)]
    parser = MultiPartParser(request.headers, request.stream(), max_files=most, max_fields=most)
    parser.spool_max_size = 0  # never to the disk: the body is in memory already, and is not large
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"The form cannot be read: {error.message}") from error
    except (ValueError, LookupError) as error:  # headers of parts that the parser trips over
        raise HTTPException(400, f"The form cannot be read: {error}") from error
    found = []
    try:
        for part in form.getlist(FIELD):
            if isinstance(part, str):
                reason = ImageError(f"The part {FIELD} is a text; send the picture as a file, with its name.")
                found.append(Upload(reason, None))
            else:
                name = unicodedata.normalize("NFC", part.filename or "") or None
                found.append(Upload(await part.read(), name))
    finally:
        await form.close()
    if not found:
        names = ", ".join(sorted({str(name)[:40] for name in form})[:5]) or "none"
        raise HTTPException(422, f"No part of the form is named {FIELD}; its parts: {names}. {how}")
    return found
