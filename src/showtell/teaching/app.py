"""The page for teaching and what it asks: the same server, guards and looks as the demo's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from showtell.errors import DataError, ImageError, ShowtellError
from showtell.serving.api import send_heat
from showtell.serving.guard import Guard, Limit, Limits, is_local
from showtell.serving.pictures import SIZES, Pictures
from showtell.serving.prometheus import Metrics
from showtell.serving.refusals import HANDLERS, refusal
from showtell.teaching import captions_page
from showtell.teaching.captioning import Captioning
from showtell.teaching.captions_page import Tab
from showtell.teaching.settings import Teach
from showtell.teaching.teaching import Teaching
from showtell.teaching.training import Training

STATIC = Path(__file__).parent / "static"
SHARED = ("showtell.serving", "static")
"""What the page has in common with the demo's: a file of the same name here comes first."""
_ADDED, _FILMED = "added", "camera"
"""Folders, below the image folder, of images that were dropped in and of a camera's."""
_SECONDS, _PATIENCE, _AT_ONCE = 60.0, 15.0, 32
"""Most seconds of a request, without a byte of it, and requests at once."""


class Answers(BaseModel):
    """Labels of images."""

    labels: dict[str, str] = Field(
        description="Label by image; an empty one puts the image off.", max_length=500
    )
    accepted: bool = Field(False, description="The model said so, and a person let it stand.")


class Name(BaseModel):
    """The name of a class."""

    name: str
    old: str | None = Field(None, description="Which class it is a new name of.")


def build_teaching_app(
    teaching: Teaching,
    captioning: Captioning,
    trainings: tuple[Training, Training],
    settings: Teach,
) -> FastAPI:
    """Build the app.

    Args:
        teaching: The classes that are taught.
        captioning: The captions that are written.
        trainings: What the buttons start: a classifier, and a captioner.
        settings: Limits, and who may ask.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        teaching.start()
        captioning.start()
        yield
        for training in trainings:
            training.stop()
        captioning.close()
        teaching.close()

    app = FastAPI(title="showtell teach", docs_url=None, redoc_url=None, lifespan=lifespan,
                  exception_handlers=HANDLERS | {ShowtellError: _mendable})  # fmt: skip
    app.state.teaching, app.state.captioning, app.state.settings = teaching, captioning, settings
    app.state.training, app.state.caption_training = trainings
    app.state.pictures = Pictures(teaching.pool.backbone.preprocessing)
    app.include_router(router)
    app.include_router(captions_page.router)
    app.add_api_route("/heat.js", send_heat, include_in_schema=False)
    app.mount("/", StaticFiles(directory=STATIC, packages=[SHARED], html=True))
    limit = Limit(settings.max_body_mb * 10**6, _AT_ONCE, _SECONDS, _PATIENCE)
    app.add_middleware(Limits, limit=limit, metrics=Metrics())
    app.add_middleware(Guard, token=settings.token, local=is_local(settings.host), trusted=())
    return app


router = APIRouter()
Count = Annotated[int, Query(ge=1, le=200)]


def _record(request: Request, tab: str) -> dict[str, object]:
    found: dict[str, object] = request.app.state.teaching.record(tab)
    return found | {"training": request.app.state.training.record()}


@router.get("/v1/teaching", summary="What is known, and what to ask next")
def read_teaching(request: Request, tab: Tab) -> dict[str, object]:
    """Return the classes, how far learning is, and the next images."""
    return _record(request, tab)


@router.get("/v1/image", summary="An image as a page shows it", response_class=Response)
def read_image(
    request: Request, name: str, size: Annotated[int, Query(ge=1, le=4096)] = SIZES[1]
) -> Response:
    """Return a JPEG."""
    images = request.app.state.teaching.pool.images
    if name not in images:
        raise HTTPException(404, f"There is no image {name[:200]!r}.")
    size = next((one for one in SIZES if one >= size), SIZES[-1])
    content = request.app.state.pictures.read(images[name].path, size)
    return Response(content, media_type="image/jpeg")


@router.post("/v1/answers", summary="Label images")
def answer(request: Request, tab: Tab, answers: Answers) -> dict[str, object]:
    """Keep labels on the disk, then return what to ask next."""
    request.app.state.teaching.answer(answers.labels, tab, accepted=answers.accepted)
    return _record(request, tab)


@router.post("/v1/undo", summary="Take back the last answer of this tab")
def undo(request: Request, tab: Tab) -> dict[str, object]:
    """Return the images that have lost their label, too."""
    images = request.app.state.teaching.undo(tab)
    return _record(request, tab) | {"undone": images}


@router.post("/v1/classes", summary="Name a class, or rename one")
def name_class(request: Request, tab: Tab, given: Name) -> dict[str, object]:
    """Return what is known then."""
    request.app.state.teaching.name(given.name, given.old)
    return _record(request, tab)


@router.get("/v1/alike", summary="Images without a label that belong together")
def alike(request: Request, what: str, of: str, count: Count = 24) -> list[dict[str, object]]:
    """Return those surest to be of a class (sure), or most like an image (like)."""
    found: list[dict[str, object]] = request.app.state.teaching.alike(what, of, count)
    return found


@router.get("/v1/doubted", summary="Images whose label the model doubts")
def doubted(request: Request, count: Count = 30) -> list[dict[str, object]]:
    """Return the most doubtful first."""
    found: list[dict[str, object]] = request.app.state.teaching.doubted(count)
    return found


@router.post("/v1/images", summary="Drop an image in")
async def add_image(
    request: Request, tab: Tab, name: str, label: str = "", filmed: bool = False
) -> dict[str, object]:
    """Keep the body as a file of its own beside the images, with its label where it has one."""
    state, content = request.app.state, await request.body()
    kept = await run_in_threadpool(
        state.teaching.add, content, name, _FILMED if filmed else _ADDED, label, tab,
        state.settings.max_megapixels * 10**6,
    )  # fmt: skip
    return {"image": kept}


@router.post("/v1/predict", summary="Say what an image shows")
async def predict(request: Request) -> dict[str, object]:
    """Answer for the body, an image that is not kept; without classes before two of them are learnt."""
    state, content = request.app.state, await request.body()
    most = state.settings.max_megapixels * 10**6
    found = await run_in_threadpool(state.teaching.classify, content, most)
    return {"results": [found.record() if found else {"classes": {}}]}


@router.post("/v1/training", summary="Train on what was taught")
def start_training(request: Request, tab: Tab) -> dict[str, object]:
    """Start it; /v1/teaching says how far it is."""
    request.app.state.training.start()
    return _record(request, tab)


@router.delete("/v1/training", summary="Stop the training")
def stop_training(request: Request, tab: Tab) -> dict[str, object]:
    """Stop it as Ctrl-C does."""
    request.app.state.training.stop()
    return _record(request, tab)


async def _mendable(_: Request, error: ShowtellError) -> Response:
    """422 for an image that cannot be read, 507 for what could not be kept, 409 for what does not fit."""
    status = 422 if isinstance(error, ImageError) else 507 if isinstance(error, DataError) else 409
    return refusal(error, status)
