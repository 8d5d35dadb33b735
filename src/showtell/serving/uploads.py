"""The images of a request: its body, or parts of a form."""

import unicodedata
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from showtell.errors import ImageError

FIELD = "images"
"""Name of the parts of a form that are images."""


class Upload(NamedTuple):
    """An image as it was sent.

    Attributes:
        content: Of the file; or why there is none.
        name: Of the file, where the client gave one.
    """

    content: bytes | ImageError
    name: str | None


async def read_uploads(request: Request, max_images: int, how: str) -> list[Upload]:
    """Return the images of a request, in order.

    Args:
        request: Its body has been checked to be within its limit.
        max_images: Most images.
        how: What a client is told that sent no image.

    Raises:
        HTTPException: The form is damaged, holds no image, or too many.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/"):
        return [Upload(await request.body(), None)]
    parser = MultiPartParser(request.headers, request.stream(), max_files=max_images, max_fields=max_images)
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
                reason = ImageError(f"The part {FIELD} is a text; send the image as a file, with its name.")
                found.append(Upload(reason, None))
            else:
                name = unicodedata.normalize("NFC", part.filename or "") or None
                found.append(Upload(await part.read(), name))
    finally:
        await form.close()
    others = sorted({str(name)[:100] for name in form} - {FIELD})
    if found and others:
        where = f"what is asked stands in the address, as in {request.url.path}?model=NAME"
        raise HTTPException(422, f"The form has a part {others[0]!r} besides {FIELD}: {where}.")
    if not found:
        names = ", ".join(sorted({str(name)[:40] for name in form})[:5]) or "none"
        raise HTTPException(422, f"No part of the form is named {FIELD}; its parts: {names}. {how}")
    return found
