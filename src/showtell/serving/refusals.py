"""What a client is told instead of an answer: ``{"error": reason}``, with the status that fits."""

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from showtell.errors import ShowtellError


def reason_of(error: ShowtellError) -> str:
    """Return what is wrong and what to do about it, in a line."""
    return " ".join(str(error).splitlines())


def refusal(
    error: str | ShowtellError, status: int, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as an answer."""
    reason = error if isinstance(error, str) else reason_of(error)
    return JSONResponse({"error": reason}, status, headers)


async def _refused(_: Request, error: HTTPException) -> Response:
    return refusal(str(error.detail), error.status_code, error.headers)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    reasons = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
    return refusal(reasons, 422)


async def _fault(_: Request, error: Exception) -> Response:
    reason = f"This is a fault of showtell: {type(error).__name__}."
    return refusal(reason, 500, {"connection": "close"})  # as uvicorn does after a fault


HANDLERS: dict[Any, Any] = {
    HTTPException: _refused,
    RequestValidationError: _invalid,
    Exception: _fault,
}
"""What answers when something raises, by what it raises."""
