"""The training images that look most like the one on a demo's page: found by features, shown small."""

import shlex
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from showtell.console import Log
from showtell.data.pixels.opening import decode
from showtell.data.source import source_of
from showtell.errors import DataError, ImageError, ModelError, ShowtellError
from showtell.extraction.extract import extract_features
from showtell.extraction.fastest import by_fastest
from showtell.kinds.kind import find_kind
from showtell.kinds.model import Model
from showtell.runs.run import Run
from showtell.runs.trained_data import Whereabouts, read_again
from showtell.searching.by_image import ByImage
from showtell.searching.result import Match
from showtell.serving import schema
from showtell.serving.pictures import Pictures
from showtell.serving.refusals import refusal
from showtell.store.store import FeatureStore

router = APIRouter()
_SHOWN = 12
"""Images that are found."""
Name = Annotated[str, Query(max_length=4096)]


class Alike:
    """The training images of a run; they are read when somebody first asks for some.

    Args:
        run: The run.
        model: Its model.
    """

    def __init__(self, run: Run, model: Model[Any]) -> None:
        self._run, self._model = run, model
        self.pictures = Pictures(model.backbone.preprocessing)
        self.paths: Mapping[str, Path] = {}
        self._finder: ByImage | None = None
        self._lock = threading.Lock()

    @property
    def is_at_hand(self) -> bool:
        """Whether the data of the run lies where it lay."""
        try:
            source = source_of(self._run.settings(find_kind(self._model.config.kind).Settings))
        except ModelError:
            return False
        return source.data.exists() and (source.images is None or source.images.exists())

    def find(self, content: bytes) -> list[Match]:
        """Return those most like an image, the most like it first.

        Raises:
            DataError: The training images are not there any more.
            ImageError: The image cannot be read.
        """
        with self._lock:
            if self._finder is None:
                self._finder = self._load()
        return self._finder.near(content, _SHOWN)

    def _load(self) -> ByImage:
        kind, backbone, console = find_kind(self._model.config.kind), self._model.backbone, Log()
        settings = self._run.settings(kind.Settings)
        advice = f"showtell search DATA --like IMAGE --run {shlex.quote(str(self._run.folder))}"
        found = read_again(self._run, settings, kind.read, Whereabouts(advice), console)
        images = [one for one in found.dataset.images if found.splits.get(one.name) == "train"]
        store = FeatureStore(settings.store)
        by = by_fastest(backbone, images, store, console)
        features = extract_features(images, by, store, console=console)
        images = [one for one in images if one.name in features.digests]
        if not images:
            raise DataError(f"None of the training images of {self._run.folder} can be read.")
        self.paths = {one.name: one.path for one in images}
        return ByImage(images, features, backbone)


def alike_of(models: Mapping[str, Model[Any]], runs: Sequence[Path]) -> dict[str, Alike]:
    """Return the training images of each model whose run and data are at hand, by its name.

    Args:
        models: By name, in the order of the runs.
        runs: As typed.
    """
    found = {name: Alike(Run(run), model) for (name, model), run in zip(models.items(), runs)
             if Run(run).has_images}  # fmt: skip
    return {name: alike for name, alike in found.items() if alike.is_at_hand}


def _alike(request: Request, model: str) -> Alike:
    found: Mapping[str, Alike] = request.app.state.alike
    if model not in found:
        raise HTTPException(404, f"The training images of {model[:100]!r} are not at hand.")
    return found[model]


@router.post(
    "/v1/alike",
    summary="Find training images that look like an image",
    responses={
        200: {"model": list[schema.Alike], "description": "The most like it first."},
        404: {"model": schema.Error, "description": "The training images are not at hand."},
        422: {"model": schema.Error, "description": "The image cannot be read."},
    },
)
async def find_alike(request: Request, model: Name) -> Response:
    """Send the image as the body."""
    alike, content = _alike(request, model), await request.body()
    try:
        found = await run_in_threadpool(_find, alike, content, request.app.state.max_pixels)
    except ShowtellError as error:
        return refusal(error, 422 if isinstance(error, ImageError) else 404)
    return JSONResponse(
        [{"image": one.image.name, "similarity": round(one.score, 4), "words": one.words} for one in found]
    )


def _find(alike: Alike, content: bytes, max_pixels: int) -> list[Match]:
    decode(content, max_pixels=max_pixels)  # within the limit of what is sent from outside
    return alike.find(content)


@router.get("/v1/alike/image", summary="A training image, small", response_class=Response)
async def read_alike(request: Request, model: Name, name: Name) -> Response:
    """Return a JPEG of an image that was found."""
    alike = _alike(request, model)
    if name not in alike.paths:
        raise HTTPException(404, f"There is no training image {name[:200]!r}.")
    try:
        content = await run_in_threadpool(alike.pictures.read, alike.paths[name])
    except ImageError as error:
        return refusal(error, 422)
    return Response(content, media_type="image/jpeg")
