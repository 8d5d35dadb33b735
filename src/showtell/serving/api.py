"""The HTTP API: images in, records out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query
from fastapi.responses import FileResponse, JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from showtell import __version__
from showtell.errors import ImageError
from showtell.kinds.model import Model
from showtell.runtime import limit_threads
from showtell.serving import alike, corrections, schema
from showtell.serving.alike import alike_of
from showtell.serving.corrections import corrections_of
from showtell.serving.guard import Guard, Limit, Limits, Prefixed, is_local
from showtell.serving.prometheus import CONTENT_TYPE, Measured, Metrics
from showtell.serving.refusals import HANDLERS, reason_of, refusal
from showtell.serving.served import Served
from showtell.serving.settings import Demo, Serve
from showtell.serving.uploads import FIELD, Upload, read_uploads

STATIC = Path(__file__).parent / "static"
READERS = 2
"""Threads that decode images."""
PREDICT = "/v1/predict"
_QUESTIONS = ("model", "explain", "beams")
"""What may stand in the address of a question."""


@dataclass(frozen=True)
class Serving:
    """What the endpoints work with.

    Attributes:
        models: By name; the first answers where none is named.
        max_images: Most images of a request.
        metrics: What is counted.
        prefix: Of all addresses, where a proxy has one.
        token: Whether clients must show one.
    """

    models: Mapping[str, Served]
    max_images: int
    metrics: Metrics
    prefix: str
    token: bool

    def model(self, name: str | None) -> Served:
        """Return a model.

        Raises:
            HTTPException: There is none of this name.
        """
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise HTTPException(404, f"There is no model {name[:100]!r}; there is {', '.join(self.models)}.")
        return self.models[name]

    def example(self, request: Request) -> str:
        """Return how an image is sent, as the client of a request reaches this server."""
        shown = "-H 'Authorization: Bearer TOKEN' " if self.token else ""
        address = f"{str(request.base_url).rstrip('/')}{self.prefix}{PREDICT}"
        curl = f"curl {shown}-F {FIELD}=@cat.jpg {address}"
        return f"Send an image as the body, or as parts of a form that are named {FIELD}: {curl}"


def build_app(models: Mapping[str, Model[Any]], settings: Serve) -> FastAPI:
    """Build the app.

    Args:
        models: What answers, by the names that clients call; at least one.
        settings: Limits and who may ask; ``runs`` and ``port`` are not read.
    """
    metrics = Metrics()
    threads = ThreadPoolExecutor(READERS, "showtell-read", initializer=limit_threads, initargs=(1,))
    pixels = settings.max_megapixels * 10**6
    served = {name: Served(name, model, threads, pixels, metrics) for name, model in models.items()}

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for model in served.values():
            model.close()
        threads.shutdown()

    app = FastAPI(
        title="showtell",
        summary="Show it your pictures. It tells you what it sees.",
        version=__version__,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        exception_handlers=HANDLERS | {HTTPException: _refused},
    )
    app.state.serving = Serving(
        served, settings.max_images, metrics, settings.root_path, settings.token is not None
    )
    # Programs only ask; a page of people, on a machine of theirs, keeps what they correct.
    kept = corrections_of(models, settings.runs) if isinstance(settings, Demo) else {}
    app.state.corrections, app.state.max_pixels = kept, pixels
    app.state.alike = alike_of(models, settings.runs) if isinstance(settings, Demo) else {}
    app.include_router(router)
    if kept:
        app.include_router(corrections.router)
    if app.state.alike:
        app.include_router(alike.router)
    app.add_api_route("/heat.js", send_heat, include_in_schema=False)
    app.mount("/", StaticFiles(directory=STATIC, html=True, check_dir=False))
    limit = Limit(
        settings.max_body_mb * 10**6, settings.max_in_flight, settings.timeout, settings.idle_timeout
    )
    # The last one added is the first one asked.
    app.add_middleware(Limits, limit=limit, metrics=metrics)
    local = is_local(settings.host)
    app.add_middleware(Guard, token=settings.token, local=local, trusted=settings.trusted_host)
    app.add_middleware(Measured, metrics=metrics, timed=PREDICT)
    app.add_middleware(Prefixed, prefix=settings.root_path)
    return app


router = APIRouter()
_ERROR: dict[str, Any] = {"model": schema.Error}
_PICTURES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FIELD],
                "properties": {FIELD: {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    },
}
_KINDS = ("image/", "multipart/", "application/octet-stream", "application/x-www-form-urlencoded")
"""Types of requests that may hold images; the last is what curl says of whatever it is told to send."""
ModelName = Annotated[str | None, Query(description="Which model; the first by default.")]


@router.post(
    PREDICT,
    summary="Say what images show",
    openapi_extra={"requestBody": _PICTURES},
    responses={
        200: {"model": schema.Answer, "description": "One record an image, in order."},
        408: _ERROR | {"description": "The request came too slowly."},
        413: _ERROR | {"description": "The request is too large."},
        415: _ERROR | {"description": "It is of a type that holds no image, such as JSON."},
        422: _ERROR | {"description": "The only image cannot be read, or a parameter is out of range."},
        503: _ERROR | {"description": "Too much at once; Retry-After says when to come back."},
    },
)
async def predict(
    request: Request,
    model: ModelName = None,
    explain: Annotated[bool, Query(description="Add what part the network saw, and Grad-CAM.")] = False,
    beams: Annotated[int | None, Query(ge=1, le=10, description="Captions searched side by side.")] = None,
) -> Response:
    """Send one image as the body, or one or several as parts of a form that are named images."""
    serving: Serving = request.app.state.serving
    _check_query(request)
    served = serving.model(model)
    if beams is not None and served.model.has_scores:
        raise HTTPException(422, f"beams is of a captioner's search, and {served.name} is a classifier.")
    uploads = await read_uploads(request, serving.max_images, serving.example(request))
    results = await asyncio.gather(*(_record(served, upload, explain, beams) for upload in uploads))
    if len(results) == 1 and "error" in results[0]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        fits = not kind or kind.startswith(_KINDS)
        how = "" if kind.startswith(("image/", "multipart/")) else f" {serving.example(request)}"
        error = results[0]["error"] if fits else f"A request of type {kind[:100]} holds no image."
        return refusal(f"{error}{how}", 422 if fits else 415)
    return JSONResponse({"model": served.name, "results": results})


def _check_query(request: Request) -> None:
    """Refuse a question that would be answered otherwise than it was asked.

    Raises:
        HTTPException: It has what there is not, or the same twice.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    wrong = next((name for name in names if name not in _QUESTIONS or names.count(name) > 1), None)
    if wrong is not None:
        what = "is given twice" if wrong in _QUESTIONS else "is unknown"
        raise HTTPException(422, f"{wrong[:100]!r} {what}. Expected {', '.join(_QUESTIONS)}, each once.")


async def _record(served: Served, upload: Upload, explain: bool, beams: int | None) -> dict[str, object]:
    named: dict[str, object] = {} if upload.name is None else {"image": upload.name}
    try:
        if isinstance(upload.content, ImageError):
            raise upload.content
        return named | await served.answer(upload.content, explain=explain, beams=beams)
    except ImageError as error:
        return named | {"error": reason_of(error)}


@router.get("/v1/models", summary="List the models", responses={200: {"model": list[schema.ModelSummary]}})
async def list_models(request: Request) -> Response:
    """The first answers where none is named."""
    state = request.app.state
    more = {name: {"corrects": name in state.corrections, "alike": name in state.alike}
            for name in state.serving.models}  # fmt: skip
    return JSONResponse([one.summary() | more[name] for name, one in state.serving.models.items()])


@router.get("/v1/model", summary="Read a model card", responses={200: {"model": schema.Card}, 404: _ERROR})
async def read_model(request: Request, model: ModelName = None) -> Response:
    """Its config as JSON, and its README."""
    return JSONResponse(request.app.state.serving.model(model).card())


@router.get("/healthz", summary="Ask whether it is up")
async def healthz() -> dict[str, str]:
    """Answers also while no more requests are taken."""
    return {"status": "ok"}


@router.get("/metrics", summary="Watch it", response_class=Response)
async def metrics(request: Request) -> Response:
    """Counters in the text format of Prometheus."""
    return Response(request.app.state.serving.metrics.text(), media_type=CONTENT_TYPE)


async def send_heat() -> Response:
    """Return the part of the page that reports share."""
    return FileResponse(str(resources.files("showtell.report") / "heat.js"), media_type="text/javascript")


async def _refused(request: Request, error: HTTPException) -> Response:
    if error.status_code in (404, 405) and error.detail == HTTPStatus(error.status_code).phrase:
        return _no_such_address(request)
    return refusal(str(error.detail), error.status_code, error.headers)


def _no_such_address(request: Request) -> Response:
    """Answer who asked where nothing is, or in a wrong way, with what there is and how to send an image."""
    serving: Serving = request.app.state.serving
    known = {route.path: route.methods or set() for route in router.routes if isinstance(route, APIRoute)}
    there = ", ".join(f"{min(methods)} {serving.prefix}{path}" for path, methods in known.items())
    asked = f"{request.method[:20]} {serving.prefix}{request.url.path[:100]}"
    error = f"{asked}: there is nothing. Expected one of {there}. {serving.example(request)}"
    if methods := known.get(request.url.path):
        return refusal(error, 405, {"allow": ", ".join(sorted(methods))})
    return refusal(error, 404)
